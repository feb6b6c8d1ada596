//! Who is at the other end of the control socket, as the kernel says.
//!
//! One of the few rooms with unsafe code: no crate that is used here tells the groups of a peer, and the one that tells
//! its user cannot say that its process is out of our sight (in another container), which is no process 0.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use rustix::process::geteuid;

use super::request::ControlRequest;

/// What somebody may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The user of the host, or root: anything.
    Owner,
    /// In the group that the config names: to look and to publish.
    Member,
    /// Nothing. The mode of the socket keeps them out before, unless somebody has changed it.
    Stranger,
}

impl Standing {
    /// Whether somebody who stands so may ask for this.
    pub(super) fn may(self, request: &ControlRequest) -> bool {
        match self {
            Self::Owner => true,
            Self::Stranger => false,
            Self::Member => match request {
                // What `on_notify` gets is an order of the plugin to itself, or of who runs the host.
                ControlRequest::Publish(publication) => !publication.notify,
                ControlRequest::PluginList {}
                | ControlRequest::Connections {}
                | ControlRequest::LogLevels {} => true,
                ControlRequest::PluginReload { .. } | ControlRequest::LogLevel { .. } => false,
            },
        }
    }
}

/// How the peer of `client` stands, and its user.
pub(super) fn standing(client: &UnixStream, group: Option<u32>) -> io::Result<(Standing, u32)> {
    // A process, its user, its primary group: `struct ucred`.
    let mut credentials = [0; 3];
    ask(client, libc::SO_PEERCRED, &mut credentials)?;
    let [_, user, primary] = credentials;
    if user == 0 || user == geteuid().as_raw() {
        return Ok((Standing::Owner, user));
    }
    let is_member = match group {
        None => false,
        Some(group) => primary == group || groups(client)?.contains(&group),
    };
    let standing = if is_member {
        Standing::Member
    } else {
        Standing::Stranger
    };
    Ok((standing, user))
}

/// The supplementary groups that the peer had when it connected.
fn groups(client: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; 64];
    loop {
        let room = groups.len();
        let count = ask(client, libc::SO_PEERGROUPS, &mut groups)?;
        groups.resize(count, 0);
        if count <= room {
            return Ok(groups);
        }
    }
}

/// What the kernel says of the peer, in `numbers`: how many there are of it. More than there is room for, and none of
/// them is there.
fn ask(client: &UnixStream, what: libc::c_int, numbers: &mut [u32]) -> io::Result<usize> {
    let mut bytes = size_of_val(numbers) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `client` is borrowed. The kernel writes at most `bytes` bytes, all of
    // which are those of `numbers`, where any bit pattern is a number; and into `bytes` how many there are.
    let result = unsafe {
        libc::getsockopt(
            client.as_raw_fd(),
            libc::SOL_SOCKET,
            what,
            numbers.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    let count = bytes as usize / size_of::<u32>();
    match result {
        0 => Ok(count),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ERANGE) && count > numbers.len() => {
                Ok(count)
            }
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_kernel_tells_all_groups_of_a_peer_however_little_room_there_is() {
        let (one, _other) = UnixStream::pair().unwrap();
        let told = Command::new("id").arg("-G").output().unwrap();
        let mut expected: Vec<u32> = String::from_utf8(told.stdout)
            .unwrap()
            .split_whitespace()
            .map(|group| group.parse().unwrap())
            .collect();
        let mut found = groups(&one).unwrap();
        let mut credentials = [0; 3];
        ask(&one, libc::SO_PEERCRED, &mut credentials).unwrap();
        // `id` tells the primary group too, and each once.
        found.push(credentials[2]);
        for list in [&mut found, &mut expected] {
            list.sort_unstable();
            list.dedup();
        }
        assert_eq!(found, expected);
        let supplementary = groups(&one).unwrap().len();
        assert_eq!(
            ask(&one, libc::SO_PEERGROUPS, &mut []).unwrap(),
            supplementary
        );
    }

    #[test]
    fn who_runs_the_host_may_ask_for_anything() {
        let (one, _other) = UnixStream::pair().unwrap();
        let (standing, user) = standing(&one, None).unwrap();
        assert_eq!((standing, user), (Standing::Owner, geteuid().as_raw()));
    }
}

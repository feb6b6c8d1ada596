//! Listening unix sockets: one per path, which all service threads accept from, and the file that lies there.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use mio::net::UnixListener;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::net::listener::{BACKLOG, Listener};

/// Bytes of the longest path that a unix socket can have; the system keeps it in 108 with a zero behind.
pub const MOST_PATH_BYTES: usize = 107;

/// The mode of a socket that nobody gave one: for the user and the group of the host.
pub const DEFAULT_MODE: u32 = 0o660;

/// So long another host may take to bind in the same directory. It needs less than a millisecond.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A unix socket to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSettings {
    /// Its file.
    pub path: PathBuf,
    /// Who may connect: the permission bits of the file. Write permission is what counts.
    pub mode: u32,
    /// The user id that the file gets, if not that of the host.
    pub owner: Option<u32>,
    /// The group id that it gets, if not that of the host.
    pub group: Option<u32>,
}

/// The file of a listening socket. Dropped, it is removed, unless another host has taken its place since.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Opened without any access. As long as it is, no other file can get its inode, so the two can be told apart.
    file: File,
}

/// Binds once and gives each of `count` service threads a duplicate of the socket.
///
/// There is no SO_REUSEPORT that spreads the connections of a unix socket, so all threads wait at the same queue, each
/// with a poll of its own: every thread is told of a connection, the first one there gets it, and the others find
/// nothing (`WouldBlock`). That costs a wakeup per thread and connection, which is little beside what else a
/// connection costs, and those who use unix sockets (proxies on the same machine) keep theirs open. In return a thread
/// that is busy takes nothing while others are idle. It is not even: of 400 connections, one after another, two threads
/// got 199 and 201, of 400 at once 67 and 333, and four threads on two cores 6 to 291. No edge is lost: a thread that was told accepts until nothing waits.
///
/// Nobody can connect before `listen`, and only then, with owner and mode right, it is called; so there is no moment in
/// which the file is open to more than it should be. The file of a dead host is replaced.
///
/// # Errors
///
/// [`io::ErrorKind::AddrInUse`] when another host is live there, [`io::ErrorKind::AlreadyExists`] when something else
/// than a socket lies there; otherwise what the operating system says.
pub fn bind(settings: &UnixSettings, count: usize) -> io::Result<(Vec<Listener>, SocketFile)> {
    let path = &settings.path;
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    let copies = (1..count).map(|_| socket.try_clone());
    let copies: Vec<_> = copies.collect::<io::Result<_>>()?;

    // Without it two hosts that start at once could both find the file of a dead one, and one remove the other's.
    let _alone = lock_directory(path)?;
    remove_stale(path)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = open_file(path).and_then(|file| {
        give(&file, settings)?;
        socket.listen(BACKLOG)?;
        Ok(file)
    });
    let file = file.inspect_err(|_| drop(fs::remove_file(path)))?;

    let listeners = std::iter::once(socket).chain(copies).map(into_mio);
    let path = path.clone();
    Ok((listeners.collect(), SocketFile { path, file }))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that cannot be removed does no harm: the next host sees that nobody is there.
        let _ = self.remove();
    }
}

impl SocketFile {
    /// Gives it the owner and mode of `settings` while it is listened at. An owner that they do not name stays.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn settle(&self, settings: &UnixSettings) -> io::Result<()> {
        give(&self.file, settings)
    }

    fn remove(&self) -> io::Result<()> {
        let _alone = lock_directory(&self.path)?;
        let (ours, found) = (self.file.metadata()?, fs::symlink_metadata(&self.path)?);
        if (ours.dev(), ours.ino()) == (found.dev(), found.ino()) {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// Keeps other hosts from binding in the directory of `path` until it is dropped.
fn lock_directory(path: &Path) -> io::Result<File> {
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = File::open(directory.unwrap_or_else(|| Path::new(".")))?;
    let begun = Instant::now();
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::Error(error)) => return Err(error),
            // Anybody who can read the directory can lock it: waiting for ever would be theirs to decide.
            Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_PATIENCE => {
                let text = "another process has locked the directory (flock)";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Removes what a dead host left at `path`.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let text = "a file that is no socket lies there";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    // A live host whose queue is full would keep one that blocks.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The socket's file itself, and not what a link leads to.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let options = options.read(true);
    let file = options
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)?;
    if !file.metadata()?.file_type().is_socket() {
        let text = "something else has taken its place";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    Ok(file)
}

/// Gives the file its owner and mode; by the open file, since a path could lead elsewhere by now.
fn give(file: &File, settings: &UnixSettings) -> io::Result<()> {
    let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
    if settings.owner.is_some() || settings.group.is_some() {
        chown(&opened, settings.owner, settings.group)?;
    }
    fs::set_permissions(&opened, Permissions::from_mode(settings.mode))
}

pub(super) fn into_mio(socket: Socket) -> Listener {
    let socket = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket));
    UnixListener::from_std(socket).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn settings(directory: &tempfile::TempDir) -> UnixSettings {
        UnixSettings {
            path: directory.path().join("a.sock"),
            mode: DEFAULT_MODE,
            owner: None,
            group: None,
        }
    }

    #[test]
    fn whichever_service_thread_comes_first_gets_the_connection_and_the_others_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory);
        let (listeners, _file) = bind(&settings, 3).unwrap();
        assert_eq!(listeners.len(), 3);
        for first in 0..3 {
            let _client = UnixStream::connect(&settings.path).unwrap();
            assert!(listeners[first].accept().is_ok());
            for listener in &listeners {
                let nothing = listener.accept().err().unwrap();
                assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
            }
        }
    }

    #[test]
    fn the_file_has_the_mode_and_group_that_were_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let group = rustix::process::getegid().as_raw();
        for mode in [0o600, 0o666] {
            let settings = UnixSettings {
                mode,
                group: Some(group),
                ..settings(&directory)
            };
            let _bound = bind(&settings, 1).unwrap();
            let found = fs::metadata(&settings.path).unwrap();
            assert_eq!((found.mode() & 0o7777, found.gid()), (mode, group));
        }
    }

    #[test]
    fn an_owner_is_given_by_root_and_refused_to_others_without_leaving_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let settings = UnixSettings {
            owner: Some(12_345),
            ..settings(&directory)
        };
        let bound = bind(&settings, 1);
        if rustix::process::geteuid().is_root() {
            assert_eq!(fs::metadata(&settings.path).unwrap().uid(), 12_345);
        } else {
            let refused = bound.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            assert!(!settings.path.exists());
        }
    }

    #[test]
    fn a_live_socket_is_in_use_and_a_dead_one_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory);
        let (listeners, file) = bind(&settings, 2).unwrap();
        let refused = bind(&settings, 2).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&settings.path).unwrap();

        drop(listeners);
        let (_next, _its_file) = bind(&settings, 2).unwrap();
        drop(file);
        // The first one's end leaves the file of the second alone.
        UnixStream::connect(&settings.path).unwrap();
    }

    #[test]
    fn the_file_goes_with_the_host() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory);
        drop(bind(&settings, 1).unwrap());
        assert!(!settings.path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory);
        fs::write(&settings.path, "precious").unwrap();
        let refused = bind(&settings, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&settings.path).unwrap(), b"precious");
    }
}

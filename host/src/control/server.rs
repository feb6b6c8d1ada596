//! The host's end: a thread that takes one request after another.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};
use socket2::{Domain, SockAddr, Socket, Type};

use super::peer::{self, Standing};
use super::place::{self, PlaceError};
use super::request::{Answer, ControlRequest, Reply};
use crate::limits::Limits;

/// Clients that wait while one is served; more are refused by the system.
const WAITING_CLIENTS: i32 = 16;

/// A byte of a message takes at most so many in a request: `\\u0000`.
const ESCAPED: u64 = 6;

/// The host has so long to answer; a plugin's init may be slow, but a client must not wait for ever.
const ANSWER: Duration = Duration::from_secs(60);

/// Why the control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no safe place for it.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Another host answers there.
    #[error("another host is live at {path}; end it, or name another place with --control")]
    Live {
        /// Its socket.
        path: PathBuf,
    },
    /// Something else lies there.
    #[error("{path} is no socket; remove it, or name another place with --control")]
    NoSocket {
        /// What lies there.
        path: PathBuf,
    },
    /// It cannot be given to the group.
    #[error(
        "the control socket {path} cannot be given to group {group} (`control_group`); let the user of the host (that of \
         `run_as`, if there is one) be a member of it, or leave the key out"
    )]
    Group {
        /// Its path.
        path: PathBuf,
        /// The id of the group.
        group: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot open the control socket {path}; {}", mend(source))]
    Refused {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "let the user of the host (that of `run_as`, if there is one) write to its directory, or name another place \
             with --control"
        }
        _ => "name another place with --control",
    }
}

/// The control socket of this host. Dropped, it takes no more requests and removes its file.
#[derive(Debug)]
#[must_use = "the socket closes when it is dropped"]
pub struct ControlServer {
    path: PathBuf,
    /// Device and inode of the file: another host may have taken the path since.
    file: (u64, u64),
    listener: OwnedFd,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Listens at `path`, or at the usual place, for this user, root and the members of `group`. Each request that may be
    /// asked is handed to `handle` on the thread of the socket, with the way back; the next one is read when it was
    /// answered.
    ///
    /// # Errors
    ///
    /// When the socket cannot be opened, or another host is live there.
    pub fn start(
        path: Option<&Path>,
        group: Option<u32>,
        limits: &Limits,
        handle: impl FnMut(ControlRequest, Reply) + Send + 'static,
    ) -> Result<Self, ControlError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => {
                let path = place::usual_socket(std::process::id())?;
                path.parent().into_iter().for_each(sweep);
                path
            }
        };
        remove_stale(&path)?;
        let refused = |source| ControlError::Refused {
            path: path.clone(),
            source,
        };
        let socket = bind(&path).map_err(refused)?;
        open_to(&path, group)?;
        socket.listen(WAITING_CLIENTS).map_err(refused)?;
        let listener: UnixListener = OwnedFd::from(socket).into();
        let file = identity(&path).map_err(refused)?;
        let kept = listener.as_fd().try_clone_to_owned().map_err(refused)?;
        let ending = Arc::new(AtomicBool::new(false));
        let mut server = Serving {
            handle,
            group,
            request_bytes: limits.control_request_bytes,
            published_bytes: limits.publish_message_bytes.saturating_mul(ESCAPED),
            request_time: Duration::from_millis(limits.control_request_ms),
            ending: Arc::clone(&ending),
        };
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || server.run(&listener))
            .map_err(refused)?;
        Ok(Self {
            path,
            file,
            listener: kept,
            ending,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // On Linux this makes the accept that waits return.
        let _ = shutdown(&self.listener, Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn bind(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Opens the file of a socket to those who may connect; nobody can until it listens.
fn open_to(path: &Path, group: Option<u32>) -> Result<(), ControlError> {
    if let Some(group) = group
        && let Err(source) = lchown(path, None, Some(group))
    {
        let _ = fs::remove_file(path);
        return Err(ControlError::Group {
            path: path.to_owned(),
            group,
            source,
        });
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|source| {
        ControlError::Refused {
            path: path.to_owned(),
            source,
        }
    })
}

/// Removes what a dead host left at `path`.
fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let refused = |source| ControlError::Refused {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ControlError::NoSocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ControlError::Live {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        Err(error) => Err(refused(error)),
    }
}

/// Removes the sockets of hosts that ended without doing so. One that cannot be removed does no harm.
pub(super) fn sweep(directory: &Path) {
    for file in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = file.path();
        let pid = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse::<u32>().ok());
        // A host that is just starting refuses too, but it is alive.
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = remove_stale(&path);
        }
    }
}

struct Serving<H> {
    handle: H,
    group: Option<u32>,
    request_bytes: u64,
    /// What a message may take in a request, beside the rest.
    published_bytes: u64,
    request_time: Duration,
    ending: Arc<AtomicBool>,
}

impl<H: FnMut(ControlRequest, Reply)> Serving<H> {
    fn run(&mut self, listener: &UnixListener) {
        while !self.ending.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((client, _)) => {
                    if let Err(error) = self.serve(client) {
                        tracing::debug!(%error, "a client of the control socket went away");
                    }
                }
                Err(_) if self.ending.load(Ordering::Relaxed) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    // Out of descriptors, most likely: without a pause this would spin until one is free.
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// One request, one answer.
    fn serve(&mut self, mut client: UnixStream) -> io::Result<()> {
        let (standing, user) = peer::standing(&client, self.group)?;
        let answer = match standing {
            // Not even read, so that nobody waits for a stranger.
            Standing::Stranger => {
                tracing::info!(user, "somebody else was refused at the control socket");
                refuse_stranger(user)
            }
            _ => {
                let most = self.request_bytes.saturating_add(self.published_bytes);
                match read_line(&mut client, most, self.request_time)? {
                    Ok(line) => self.answer(&line, standing),
                    Err(answer) => answer,
                }
            }
        };
        client.set_write_timeout(Some(self.request_time.max(Duration::from_millis(1))))?;
        client.write_all(format!("{}\n", answer.to_json()).as_bytes())
    }

    fn answer(&mut self, line: &[u8], standing: Standing) -> Answer {
        let request = serde_json::from_slice(line);
        let is_message = matches!(request, Ok(ControlRequest::Publish(_)));
        if line.len() as u64 > self.request_bytes && !is_message {
            return refuse_long();
        }
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                return Answer::refused(
                    format!("no request: {error}"),
                    "use the hotsocket of this host",
                );
            }
        };
        if !standing.may(&request) {
            return refuse_member();
        }
        let (reply, answer) = Reply::new();
        (self.handle)(request, reply);
        let begun = Instant::now();
        loop {
            // Looks up now and then, so that a host that ends does not wait for an answer that never comes.
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(answer) => return answer,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Answer::refused("the host is ending", "");
                }
                Err(_) if self.ending.load(Ordering::Relaxed) => {
                    return Answer::refused("the host is ending", "");
                }
                Err(_) if begun.elapsed() > ANSWER => {
                    return Answer::refused("the host does not answer", "look at its log");
                }
                Err(_) => {}
            }
        }
    }
}

fn refuse_stranger(user: u32) -> Answer {
    Answer::refused(
        format!("user {user} may not ask this host for anything"),
        "ask as the user of the host, as root, or as a member of the `control_group` in its config",
    )
}

fn refuse_member() -> Answer {
    Answer::refused(
        "members of the `control_group` may publish and look, and change nothing",
        "ask as the user of the host, or as root",
    )
}

fn refuse_long() -> Answer {
    Answer::refused(
        "the request is too long",
        "see limits.control_request_bytes, and limits.publish_message_bytes for messages",
    )
}

/// The bytes up to the first line end, or why they are refused. The whole line has to come within `time`.
fn read_line(
    client: &mut UnixStream,
    bytes: u64,
    time: Duration,
) -> io::Result<Result<Vec<u8>, Answer>> {
    let deadline = Instant::now() + time;
    let mut line = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(Answer::refused(
                "the request took too long",
                "see limits.control_request_ms",
            )));
        }
        client.set_read_timeout(Some(left))?;
        let count = match client.read(&mut piece) {
            Ok(0) => return Ok(Ok(line)),
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let end = piece[..count].iter().position(|&byte| byte == b'\n');
        line.extend_from_slice(&piece[..end.unwrap_or(count)]);
        if line.len() as u64 > bytes {
            return Ok(Err(refuse_long()));
        }
        if end.is_some() {
            return Ok(Ok(line));
        }
    }
}

//! The command's end.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::place;
use super::request::{Answer, ControlRequest};

/// Why no host could be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No host of this user is running, or none where commands look.
    #[error("no live host found in {}; start one with `hotsocket serve`, or name its socket with --control", paths(.0))]
    NoHost(Vec<PathBuf>),
    /// Several are running.
    #[error("several live hosts; name one with --control: {}", paths(.0))]
    SeveralHosts(Vec<PathBuf>),
    /// Nobody answers at this socket.
    #[error("no live host at {path}")]
    Dead {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The transport ended too early.
    #[error("the host at {path} gave no answer")]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn paths(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A transport to a running host, good for one request.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    transport: UnixStream,
}

impl Client {
    /// To the host at `path`, or to the only live one.
    ///
    /// # Errors
    ///
    /// When there is not exactly that one.
    pub fn connect(path: Option<&Path>) -> Result<Self, ClientError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => only_host()?,
        };
        match UnixStream::connect(&path) {
            Ok(transport) => Ok(Self { path, transport }),
            Err(source) => Err(ClientError::Dead { path, source }),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// When the host ends before it answers, or answers something that is none.
    pub fn ask(mut self, request: &ControlRequest) -> Result<Answer, ClientError> {
        let answer = self.exchange(request);
        answer.map_err(|source| ClientError::NoAnswer {
            path: self.path,
            source,
        })
    }

    fn exchange(&mut self, request: &ControlRequest) -> io::Result<Answer> {
        let request = format!("{}\n", serde_json::to_string(request)?);
        let written = self.transport.write_all(request.as_bytes());
        let mut line = String::new();
        BufReader::new(&self.transport).read_line(&mut line)?;
        // A host that has refused a request does not read the rest of it, but its answer is there.
        if line.is_empty() {
            written?;
        }
        let answer = Answer::from_json(serde_json::from_str(&line)?);
        answer.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "this is no answer of a host"))
    }
}

fn only_host() -> Result<PathBuf, ClientError> {
    let directories = place::directories();
    let mut hosts = live_hosts(&directories);
    match hosts.len() {
        0 => Err(ClientError::NoHost(directories)),
        1 => Ok(hosts.remove(0)),
        _ => Err(ClientError::SeveralHosts(hosts)),
    }
}

/// The sockets in these directories at which a host is live. Directories that others can write to are not looked at.
#[must_use]
pub fn live_hosts(directories: &[PathBuf]) -> Vec<PathBuf> {
    let private = directories
        .iter()
        .filter(|path| place::is_private(path).is_ok_and(|private| private));
    let files = private.flat_map(|path| fs::read_dir(path).into_iter().flatten().flatten());
    let sockets = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "sock"));
    let mut hosts: Vec<PathBuf> = sockets
        .filter(|path| UnixStream::connect(path).is_ok())
        .collect();
    hosts.sort();
    hosts
}

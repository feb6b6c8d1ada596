//! What carries a connection: bytes in, bytes out, and the end of it.

use std::{
    fs::File,
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UnixStream},
};
use rustix::io::Errno;

/// A socket that was accepted. Nothing blocks.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Does the same with whatever socket it is.
macro_rules! with {
    ($transport:expr, $socket:ident => $body:expr) => {
        match $transport {
            Transport::Tcp($socket) => $body,
            Transport::Unix($socket) => $body,
        }
    };
}

impl Transport {
    /// Reads once; `Ok(0)` is the end.
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        with!(self, socket => socket.read(into))
    }

    /// Writes what the socket takes at once.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        with!(self, socket => socket.write(bytes))
    }

    /// The same out of several slices.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        with!(self, socket => socket.write_vectored(slices))
    }

    /// Sends bytes of a file without their passing through here; moves `offset` by what the socket took. `Ok(0)` is the
    /// end of the file.
    pub(crate) fn send_file(
        &mut self,
        file: &File,
        offset: &mut u64,
        count: usize,
    ) -> Result<usize, Errno> {
        with!(self, socket => rustix::fs::sendfile(socket, file, Some(offset), count))
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shut_down(&mut self) {
        // A socket that is gone already has nobody to tell.
        let _ = with!(self, socket => socket.shutdown(Shutdown::Write));
    }

    /// The error that the socket has kept.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        with!(self, socket => socket.take_error())
    }

    /// The address that it was accepted on, if it has one.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Has the poll watch it.
    pub(crate) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        with!(self, socket => socket.register(registry, token, interest))
    }
}

//! What carries a connection: bytes in, bytes out, and the end of it.

use std::{
    fs::File,
    io::{self, IoSlice, Write},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
};

use mio::{
    Interest, Token,
    net::{TcpStream, UnixStream},
};
use rustix::{
    buffer::spare_capacity,
    io::Errno,
    net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg},
};
use socket2::SockRef;

use crate::net::{
    adopting::AcceptedStream,
    tls::{TlsFacts, TlsStream},
    watcher::Watcher,
};

/// A socket, or TLS over one. Nothing blocks.
///
/// What a write does not take is to be given again first, before anything else: TLS may have encrypted it already.
pub(crate) enum Transport {
    /// There is none yet.
    Absent,
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

impl From<TlsStream> for Transport {
    fn from(stream: TlsStream) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Transport {
    /// Reads once; `Ok(0)` is the end.
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(stream) => stream.read(into),
            socket => socket.receive(into, RecvFlags::empty()),
        }
    }

    /// Reads once into the spare room of a buffer; `Ok(0)` is the end. None where it can only be read elsewhere: under TLS.
    pub(crate) fn read_spare(&mut self, buffer: &mut Vec<u8>) -> Option<io::Result<usize>> {
        let flags = RecvFlags::empty();
        loop {
            let read = match self {
                Self::Absent | Self::Tls(_) => return None,
                Self::Tcp(socket) => recv(socket, spare_capacity(buffer), flags),
                Self::Unix(socket) => recv(socket, spare_capacity(buffer), flags),
            };
            match read {
                Err(Errno::INTR) => {}
                read => return Some(read.map(|(count, _)| count).map_err(io::Error::from)),
            }
        }
    }

    /// Writes what the socket takes at once.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match self {
            Self::Absent => return Err(io::ErrorKind::WouldBlock.into()),
            Self::Tcp(socket) => send(socket, bytes, SendFlags::NOSIGNAL)?,
            Self::Unix(socket) => send(socket, bytes, SendFlags::NOSIGNAL)?,
            Self::Tls(stream) => return stream.write(bytes),
        };
        Ok(count)
    }

    /// The same with what nothing follows: the end of our side is told at once, if all of it is taken. TCP has one packet for
    /// both, which costs 2 µs less than two.
    pub(crate) fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Tls(stream) = self {
            stream.note_last();
            return stream.write(bytes);
        }
        let count = self.write_held(&[IoSlice::new(bytes)])?;
        if count == bytes.len() {
            // Before a close that may find something unread, with which what is held back would be lost.
            self.shut_down();
        }
        Ok(count)
    }

    /// Writes what TCP holds back until more comes, or the end of our side; to be told at once.
    pub(crate) fn write_held(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (Self::Tcp(socket), flags) = (&*self, SendFlags::NOSIGNAL | SendFlags::MORE) else {
            return self.write_vectored(slices);
        };
        Ok(match slices {
            [slice] => send(socket, slice, flags)?,
            slices => sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?,
        })
    }

    /// The same out of several slices.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Absent => Err(io::ErrorKind::WouldBlock.into()),
            Self::Tcp(socket) => socket.write_vectored(slices),
            Self::Unix(socket) => socket.write_vectored(slices),
            Self::Tls(stream) => stream.write_vectored(slices),
        }
    }

    /// Writes until all of it has left or the socket is full; `is_writable` says so, and `slices` are what is left.
    pub(crate) fn write_slices(
        &mut self,
        slices: &mut &mut [IoSlice<'_>],
        is_writable: &mut bool,
    ) -> io::Result<()> {
        while *is_writable && !slices.is_empty() {
            match self.write_vectored(slices) {
                Ok(taken) => IoSlice::advance_slices(slices, taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether what is written goes to the socket as it is.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    /// Sends bytes of a file, which do not pass through here unless they are encrypted; moves `offset` by what the
    /// socket took. `Ok(0)` is the end of the file.
    pub(crate) fn send_file(
        &mut self,
        file: &File,
        offset: &mut u64,
        count: usize,
    ) -> Result<usize, Errno> {
        match self {
            Self::Absent => Err(Errno::AGAIN),
            Self::Tcp(socket) => rustix::fs::sendfile(socket, file, Some(offset), count),
            Self::Unix(socket) => rustix::fs::sendfile(socket, file, Some(offset), count),
            Self::Tls(stream) => stream.send_file(file, offset, count),
        }
    }

    /// The socket, for whoever gave it.
    pub(crate) fn into_accepted(self) -> AcceptedStream {
        match self {
            Self::Absent => unreachable!("a connection that was not accepted"),
            Self::Tcp(socket) => AcceptedStream::Tcp(socket.into()),
            Self::Unix(socket) => AcceptedStream::Unix(socket.into()),
            Self::Tls(stream) => stream.into_socket().into_accepted(),
        }
    }

    /// The descriptor of the socket, if there is one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Absent => None,
            Self::Tcp(socket) => Some(socket.as_fd()),
            Self::Unix(socket) => Some(socket.as_fd()),
            Self::Tls(stream) => stream.socket().descriptor(),
        }
    }

    /// What is written next is the last: TLS says so in the same batch.
    pub(crate) fn note_last(&mut self) {
        if let Self::Tls(stream) = self {
            stream.note_last();
        }
    }

    /// Whether the peer answers to the end of our side, beside ending its own.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shut_down(&mut self) {
        // A socket that is gone already has nobody to tell.
        let _ = match self {
            Self::Absent => Ok(()),
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(stream) => {
                stream.shut_down();
                Ok(())
            }
        };
    }

    /// The error that the socket has kept.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Absent => Ok(None),
            Self::Tcp(socket) => socket.take_error(),
            Self::Unix(socket) => socket.take_error(),
            Self::Tls(stream) => stream.socket().take_error(),
        }
    }

    /// Its address on this machine, if it has one.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Absent | Self::Unix(_) => None,
            Self::Tls(stream) => stream.socket().local_address(),
        }
    }

    /// Looks at what the socket has, under TLS if there is any, and leaves it there; `Ok(0)` is the end.
    pub(crate) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.receive(into, RecvFlags::PEEK)
    }

    /// One `recv` of the socket. Not by the C library, which looks for a cancellation of the thread before and after it.
    #[inline]
    fn receive(&self, into: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        let (count, _) = match self {
            Self::Absent => return Err(io::ErrorKind::WouldBlock.into()),
            Self::Tcp(socket) => recv(socket, into, flags)?,
            Self::Unix(socket) => recv(socket, into, flags)?,
            Self::Tls(stream) => return stream.socket().receive(into, flags),
        };
        Ok(count)
    }

    /// Takes what is ahead of everything that is spoken, TLS included.
    pub(crate) fn take_ahead(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(stream) => stream.socket_mut().take_ahead(into),
            socket => socket.read(into),
        }
    }

    /// Does something with the socket itself, if there is one.
    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(SockRef<'_>) -> R) -> Option<R> {
        self.descriptor()
            .map(|socket| action(SockRef::from(&socket)))
    }

    /// Has it watched.
    pub(crate) fn register(
        &mut self,
        watcher: &mut Watcher,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Absent => Ok(()),
            Self::Tcp(socket) => watcher.add(socket, token, interest),
            Self::Unix(socket) => watcher.add(socket, token, interest),
            Self::Tls(stream) => stream.socket_mut().register(watcher, token, interest),
        }
    }

    /// Has it watched no longer, although it is not closed.
    pub(crate) fn deregister(&mut self, watcher: &mut Watcher) {
        match self {
            Self::Absent => {}
            Self::Tcp(socket) => watcher.remove(socket),
            Self::Unix(socket) => watcher.remove(socket),
            Self::Tls(stream) => stream.socket_mut().deregister(watcher),
        }
    }

    /// Has the edges told anew of a socket that is watched already.
    pub(crate) fn rewatch(&mut self, watcher: &mut Watcher, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => watcher.rewatch(socket, token),
            _ => Ok(()),
        }
    }

    /// Whether a read that gave `count` bytes for `asked` has emptied the socket.
    #[inline]
    pub(crate) fn is_emptied(&self, count: usize, asked: usize) -> bool {
        match self {
            Self::Tls(stream) => !stream.has_more(),
            _ => count < asked,
        }
    }

    /// Whether there may be something to read although the last read gave nothing.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.has_more())
    }

    /// Whether output of its own waits for the socket: of a handshake, or its end.
    #[inline]
    pub(crate) fn has_output(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.has_output())
    }

    /// Sends of that what the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }

    /// Whether nothing can be said yet.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_handshaking())
    }

    /// Whether the peer was refused before anything could be said: what else it sends means nothing.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_refused())
    }

    /// Whether the peer has said that nothing more comes, where TLS asks for that; without TLS the end itself says so.
    pub(crate) fn is_ended_cleanly(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.is_ended(),
            _ => true,
        }
    }

    /// What was agreed on, if it is encrypted.
    pub(crate) fn tls(&self) -> Option<TlsFacts<'_>> {
        match self {
            Self::Tls(stream) => stream.facts(),
            _ => None,
        }
    }
}

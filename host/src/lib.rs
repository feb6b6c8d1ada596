//! Hotsocket: a WebSocket and HTTP server whose protocols are plugins.
//!
//! The `hotsocket` command is a thin user of this library, which a program of your own can be as well. A [`Host`] listens
//! and serves; its plugins are linked into the program, or files of a directory that it watches, or both.
//!
//! # A server in a program
//!
//! ```
//! use std::{net::SocketAddr, time::Duration};
//!
//! use hotsocket::Host;
//!
//! # use linked_left as echo;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
//! let host = Host::builder()
//!     .listen(anywhere)
//!     .plugin(echo::plugin())
//!     .build()?;
//! println!("listening on {:?}", host.local_addrs());
//! let server = host.spawn()?; // or `host.run()`, on this thread
//! server.shutdown(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! # In the program's own loop
//!
//! A host with one service thread, which is the default, takes no thread for serving: it serves in the turns that it is
//! given. A loop that waits for other things too watches the one descriptor of the host, and waits no longer than
//! [`Host::timeout`] says.
//!
//! ```
//! use std::{io::{Read, Write}, net::{SocketAddr, TcpStream}, time::Duration};
//!
//! use hotsocket::{Host, Turned};
//! use rustix::event::{PollFd, PollFlags, Timespec, poll};
//!
//! # use linked_left as echo;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
//! let mut host = Host::builder()
//!     .listen(anywhere)
//!     .plugin(echo::plugin())
//!     .build()?;
//!
//! let mut browser = TcpStream::connect(host.local_addrs()[0])?;
//! browser.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! browser.set_nonblocking(true)?;
//! let mut answer = Vec::new();
//! while !answer.starts_with(b"HTTP/1.1 200") {
//!     let timeout = host.timeout().map(Timespec::try_from).transpose()?;
//!     let mut watched = [
//!         PollFd::new(&host, PollFlags::IN),
//!         PollFd::new(&browser, PollFlags::IN),
//!     ];
//!     poll(&mut watched, timeout.as_ref())?;
//!     assert_eq!(host.turn(Some(Duration::ZERO))?, Turned::Running);
//!     let mut piece = [0; 4096];
//!     if let Ok(count) = browser.read(&mut piece) {
//!         answer.extend(&piece[..count]);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With several service threads the program may drive each: [`Host::workers`].
//!
//! A loop that has to watch every descriptor itself is told of each by a [`FdSink`], and tells the host what it has seen:
//!
//! ```
//! use std::{io, net::{SocketAddr, TcpStream}, os::fd::{AsRawFd, BorrowedFd, RawFd}, sync::mpsc::{Sender, channel}, time::Duration};
//!
//! use hotsocket::{FdInterest, FdReadiness, FdSink, Host};
//!
//! /// Tells the loop what to watch for; nothing any more for what is removed.
//! struct ToLoop(Sender<(RawFd, Option<FdInterest>)>);
//!
//! impl FdSink for ToLoop {
//!     fn add(&mut self, fd: BorrowedFd<'_>, interest: FdInterest) -> io::Result<()> {
//!         self.0.send((fd.as_raw_fd(), Some(interest))).map_err(io::Error::other)
//!     }
//!     fn modify(&mut self, fd: BorrowedFd<'_>, _: FdInterest, new: FdInterest) -> io::Result<()> {
//!         self.add(fd, new)
//!     }
//!     fn remove(&mut self, fd: BorrowedFd<'_>) {
//!         let _ = self.0.send((fd.as_raw_fd(), None));
//!     }
//! }
//!
//! # use linked_left as echo;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
//! let (told, watched) = channel();
//! let mut host = Host::builder()
//!     .listen(anywhere)
//!     .plugin(echo::plugin())
//!     .fd_sink(move |_thread| ToLoop(told.clone()))
//!     .build()?;
//! host.turn(Some(Duration::ZERO))?;
//! assert_eq!(watched.try_iter().count(), 2, "the waker and the listener");
//!
//! // The loop waits for what it was told of, no longer than `host.timeout()`, and tells what it has seen.
//! let readable = FdReadiness { readable: true, ..FdReadiness::default() };
//! assert!(!host.service_fd(io::stdin().as_raw_fd(), readable), "that one is not the host's");
//! host.turn(Some(Duration::ZERO))?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/foreign-loops` has whole programs: plain `poll`, tokio and calloop.
//!
//! # Connections of the program
//!
//! [`Host::adopt`] takes a stream in that the program has accepted, as if a listener had, and
//! [`Host::adopt_with_prefix`] one of which something was read already; a [`HostHandle`] does so from any thread. Every
//! connection has a [`ConnectionId`], by which [`HostHandle::close`] and [`HostHandle::abort`] end it.
//!
//! # Plugins of the program
//!
//! A protocol of the program's own is written as any plugin is, with the crate `hotsocket-plugin`, and given to
//! [`HostBuilder::plugin`]. What it shares with the rest of the program it asks its host for, by type:
//! [`HostBuilder::data`].
//!
//! # Files of the program
//!
//! A mount serves the files of a directory or of a zip archive, or [`EmbeddedFiles`], which are part of the program, or
//! those of a [`FileSource`] of its own; ranges, conditions and media types are the same for all. See
//! [`FilesMount`](FilesMount::of).
//!
//! # Features
//!
//! All are on by default. Without any the library serves linked plugins over TCP and unix sockets.
//!
//! * `plugin-files`: plugins from files, replaced while they serve.
//! * `tls`: TLS on listeners, by rustls.
//! * `zip`: mounts that serve a zip archive.
//! * `cli`: the `hotsocket` command; takes `plugin-files` along.
//!
//! # The floors
//!
//! Each uses only those below:
//!
//! ```text
//! main, cli/, server/      choose, assemble, report
//! config/                  what was written -> what is meant
//! control/, logging/       how a running host is asked, and what it tells
//! plugin/                  load, check, generations, adapters
//! context/                 vhosts, protocols, sessions; host-side traits only
//! net/                     mio, deadlines; generic over one trait, Service
//! access_log/              one line per HTTP exchange
//! line_file/               a file of lines, written by a thread of its own
//! connection/              state machines without I/O, told what time it is
//! wire/                    frames, masks, UTF-8, close codes, opening handshake
//! ```

pub mod access_log;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod connection;
pub mod context;
pub mod control;
pub mod limits;
mod line_file;
pub mod logging;
pub mod net;
pub mod plugin;
pub mod server;
mod version;
pub mod wire;

pub use config::{Config as HostConfig, ConfigError, ControlPlace, ListenAddress, ListenerConfig};
pub use connection::request_error::{RequestCause, RequestError, RequestStage};
#[cfg(feature = "tls")]
pub use context::client_request::GivenTls;
pub use context::client_request::{ClientRequest, ClientRequestError, ServerTrust};
pub use context::files::{BadFileName, EmbeddedFiles, FileSource, FilesMount};
pub use context::http_request::{HttpBody, HttpRequest, HttpRequestError};
pub use context::response_handler::{ResponseCall, ResponseHandler};
pub use context::whole_response::WholeResponse;
pub use hotsocket_abi::StaticPlugin;
pub use net::{
    adopting::{AcceptedStream, Adopt, AdoptError, NotAdopted},
    event_loop::Turned,
    token::ConnectionId,
    watcher::{FdInterest, FdReadiness, FdSink},
};
pub use server::{
    Busy, CloseError, ConnectError, Host, HostBuilder, HostError, HostHandle, HostThread,
    RequestHandle, ServiceThread, StartError, Waker, Worker, serve,
};
pub use version::{Version, version};

#[cfg(test)]
mod floors;
#[cfg(doctest)]
mod must_use;

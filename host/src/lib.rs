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
//! # Plugins of the program
//!
//! A protocol of the program's own is written as any plugin is, with the crate `hotsocket-plugin`, and given to
//! [`HostBuilder::plugin`]. What it shares with the rest of the program it asks its host for, by type:
//! [`HostBuilder::data`].
//!
//! # Features
//!
//! All are on by default. Without any the library serves linked plugins over TCP and unix sockets.
//!
//! * `plugin-files`: plugins from files, replaced while they serve.
//! * `tls`: TLS on listeners, by rustls.
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
pub use context::client_request::{ClientRequest, ClientRequestError, ServerTrust};
pub use hotsocket_abi::StaticPlugin;
pub use net::{event_loop::Turned, token::ConnectionId};
pub use server::{
    ConnectError, Host, HostBuilder, HostError, HostHandle, HostThread, ServiceThread, StartError,
    Waker, Worker, serve,
};
pub use version::{Version, version};

#[cfg(test)]
mod floors;
#[cfg(doctest)]
mod must_use;

//! The binary contract between a Hotsocket host and a plugin file.
//!
//! Plain C and nothing else: integers, borrowed byte slices, opaque pointers, and tables of functions
//! (*blocks*) that begin with their own size. A plugin author never sees this crate: `hotsocket-plugin`
//! puts safe traits above it, and a plugin in C uses the same blocks through a header.
//!
//! # What crosses
//!
//! * **Nothing on the heap changes owner.** A [`Bytes`] is borrowed for the call in which it is given;
//!   whoever wants to keep it copies it. An opaque pointer is freed by the side that made it, through the
//!   function of the same block. A hook that makes one writes it to `out` and answers [`STATUS_OK`]; with any other
//!   answer `out` is not read, and the hook has freed what it began to make. Null and dangling are pointers like others,
//!   so a state may be of size zero.
//! * **No panic crosses.** Each function of a plugin catches its own and answers [`STATUS_PANIC`]; each
//!   function of the host does the same.
//! * **Numbers for choices.** What a C header would call an enum is a `u32` here, with constants. An
//!   unknown value is refused by the side that receives it, never guessed.
//!
//! # How it grows
//!
//! A released block never changes. What is added is a new block behind a new pointer at the end of
//! [`Declaration`], [`ProtocolEntry`], [`Session`] or [`Host`], and [`ABI_MINOR`] goes up by one; whoever
//! does not find a block (the size says so) takes the default behaviour, so either side may be the older
//! one. While [`ABI_MAJOR`] is 0 blocks may still change, and two different builds refuse each other by
//! [`LAYOUT_HASH`] before any code of the file runs.
//!
//! # Which file says what
//!
//! `stamp.rs` what is read from the file before it is opened; `declaration.rs` what the file hands over
//! once it is open; `plugin.rs` what the host calls; `host.rs` what the plugin calls; `extension.rs`, `handshake.rs`,
//! `http.rs`, `policy.rs`, `client.rs` and `request.rs` both of these for extensions, opening handshakes, HTTP exchanges,
//! policies, connections that we open and plain requests that we send; `layout.rs` how both sides compare the blocks; `linked.rs` how a program hands over a plugin
//! that is linked into it.

mod bytes;
mod client;
mod declaration;
mod extension;
mod handshake;
mod host;
mod http;
mod layout;
mod linked;
mod plugin;
mod policy;
mod request;
mod stamp;

pub use bytes::*;
pub use client::*;
pub use declaration::*;
pub use extension::*;
pub use handshake::*;
pub use host::*;
pub use http::*;
pub use layout::*;
pub use linked::StaticPlugin;
pub use plugin::*;
pub use policy::*;
pub use request::*;
pub use stamp::*;

/// Versions that differ here cannot meet. 0 until the contract is declared stable.
pub const ABI_MAJOR: u32 = 0;

/// Goes up by one with each block that is added.
pub const ABI_MINOR: u32 = 1;

/// The answer of a hook or host call.
pub type Status = u32;

/// Done as asked.
pub const STATUS_OK: Status = 0;
/// The other side refused. A hook has told why through `fail` before it returned; a hook that fails without a word is
/// logged as such. An answer that its call does not name is taken as this one.
pub const STATUS_ERROR: Status = 1;
/// The other side panicked. A hook has told the text and place through `fail` before it returned. What it worked on is
/// not called again, only freed.
pub const STATUS_PANIC: Status = 2;
/// No such thing: a fact that this session does not have, a timer that was not set.
pub const STATUS_NONE: Status = 3;
/// The session of that id has ended.
pub const STATUS_STALE: Status = 4;
/// A bound is reached; nothing was taken. For a send: ask for a writable call and try again then.
pub const STATUS_FULL: Status = 5;
/// The session is closing: nothing more is sent.
pub const STATUS_CLOSED: Status = 6;
/// The answer is not known yet; the hook is called again.
pub const STATUS_PENDING: Status = 7;

//! Load, check, generations, adapters. Knows no socket and no config syntax.
//!
//! The way of a file, from the moment it is dropped:
//!
//! ```text
//! watch, settle     something changed; now nobody writes any more
//! image             its bytes, hash, owner
//! permissions       nobody but root and us may write to it
//! elf, stamp, manifest   complete, for this machine and ABI; names; before any code of it runs
//! staging, library, layout, tables   a private copy is opened, its tables are compared and read
//! registry, catalog a new generation, by name: prepared, installed; the one before drains
//! ```
//!
//! A plugin that is linked into the program begins at its tables; without the feature `plugin-files` there are no others.
//!
//! Whatever goes wrong on the way is one [`refusal::Refusal`], and the generation before goes on. A library is never
//! unmapped: *retired* means that nobody uses it any more.

pub mod adapter;
mod bounded;
// Without files some of it has no use.
mod ask_calls;
#[cfg_attr(not(feature = "plugin-files"), allow(dead_code))]
mod catalog;
mod client_calls;
pub mod connect_calls;
pub mod door;
#[cfg(feature = "plugin-files")]
mod elf;
mod exchange_calls;
pub mod extension_adapter;
mod extension_calls;
mod facts;
pub mod generation;
mod handshake_calls;
pub mod hash;
pub(crate) mod host_calls;
mod http_adapter;
#[cfg(feature = "plugin-files")]
pub mod image;
pub mod instance;
#[cfg(feature = "plugin-files")]
mod layout;
#[cfg(feature = "plugin-files")]
pub mod library;
#[cfg(feature = "plugin-files")]
pub mod loader;
pub mod manifest;
mod names;
#[cfg(feature = "plugin-files")]
pub mod permissions;
pub mod policy_adapter;
mod policy_calls;
// Without files some of it has no use.
#[cfg_attr(not(feature = "plugin-files"), allow(dead_code))]
mod record;
pub mod refusal;
pub mod registry;
mod response_adapter;
mod response_calls;
pub mod services;
mod session_calls;
#[cfg(feature = "plugin-files")]
pub mod settle;
#[cfg(feature = "plugin-files")]
pub mod staging;
#[cfg(feature = "plugin-files")]
pub mod stamp;
pub mod status;
pub mod tables;
#[cfg(feature = "plugin-files")]
mod thread_keys;
#[cfg(feature = "plugin-files")]
pub mod watch;

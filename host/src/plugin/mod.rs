//! Load, check, generations, adapters. Knows no socket and no config syntax.
//!
//! The way of a file, from the moment it is dropped:
//!
//! ```text
//! watch, settle     something changed; now nobody writes any more
//! image             its bytes, hash, owner
//! permissions       nobody but root and us may write to it
//! elf, stamp, manifest   complete, for this machine and ABI; names; before any code of it runs
//! staging, library, layout   a private copy is opened, its tables are compared
//! registry, catalog a new generation, by name: prepared, installed; the one before drains
//! ```
//!
//! Whatever goes wrong on the way is one [`refusal::Refusal`], and the generation before goes on. A library is never
//! unmapped: *retired* means that nobody uses it any more.

pub mod adapter;
mod bounded;
mod catalog;
mod elf;
mod exchange_calls;
pub mod extension_adapter;
mod extension_calls;
mod facts;
pub mod generation;
mod handshake_calls;
pub mod host_calls;
mod http_adapter;
pub mod image;
pub mod instance;
mod layout;
pub mod library;
pub mod loader;
pub mod manifest;
mod names;
pub mod permissions;
pub mod policy_adapter;
mod policy_calls;
mod record;
pub mod refusal;
pub mod registry;
mod session_calls;
pub mod settle;
pub mod staging;
pub mod stamp;
pub mod status;
mod thread_keys;
pub mod watch;

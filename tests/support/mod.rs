//! The tools of the tests. They share no code with the host.

pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod deflate;
pub(crate) mod frame;
pub(crate) mod lines;
pub(crate) mod plugins;
pub(crate) mod process;
pub(crate) mod raw_peer;
pub(crate) mod server;
pub(crate) mod snapshot;
#[path = "../../plugins/permessage-deflate/tests/codec/strict.rs"]
pub(crate) mod strict;

use std::time::Duration;

pub(crate) use config::Config;
pub(crate) use deflate::DeflatePeer;
pub(crate) use frame::Frame;
pub(crate) use raw_peer::RawPeer;
pub(crate) use server::{Server, Setup};

/// How long a test waits for something that must happen. Long, because other builds may share the machine; a
/// test that passes never waits it out.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

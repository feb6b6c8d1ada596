//! Plugins for Hotsocket.
pub mod abi {
    pub use hotsocket_abi::*;
}

mod bridge;
mod error;
#[doc(hidden)]
pub mod export;
mod guard;
mod handle;
mod host;
mod manifest;
mod message;
mod options;
mod protocol;
mod session;
mod shim;

pub use error::PluginError;
pub use export::StaticPlugin;
pub use handle::{PostError, SessionHandle, SessionId, Sessions, SlowPolicy};
pub use host::Host;
pub use message::{Close, CloseCode, ClosedBy, Kind, Message, Piece};
pub use protocol::{Delivery, Instance, NoOptions, Protocol};
pub use session::{Role, Sent, Session, TimerId, Transport};

/// Everything that a plugin usually names.
pub mod prelude {
    pub use crate::{
        Close, CloseCode, ClosedBy, Delivery, Host, Instance, Kind, Message, NoOptions, Piece,
        PluginError, PostError, Protocol, Sent, Session, SessionHandle, SessionId, Sessions,
        SlowPolicy, TimerId, export_plugin,
    };
}

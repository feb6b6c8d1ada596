//! Plugins for Hotsocket.
pub use hotsocket_abi as abi;

//! Vhosts, protocols, sessions. Knows no plugin file and no socket.

pub mod page;

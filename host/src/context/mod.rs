//! Vhosts, protocols, sessions. Knows no plugin file and no socket.

//! What a peer sees.

mod closing;
mod flow;
mod fragments;
mod handshake;
mod large;
mod limits;
mod own_handshake;
mod ping;
mod sessions;
mod utf8;

//! Frames, masks, UTF-8, close codes, the opening handshake and the HTTP/1.1 grammar.
//!
//! Knows no connection, no clock and no policy. What must outlive one call (a half-read code point, the phase of a
//! mask) is a small value that the caller keeps.

pub mod answer_head;
pub mod answer_length;
mod authority;
pub mod body_length;
pub mod byte_range;
pub mod chunked;
pub mod client_fields;
pub mod client_handshake;
pub mod close_code;
pub mod content_coding;
pub mod credentials;
pub(crate) mod eights;
pub mod entity_tag;
pub mod extension;
mod extension_chain;
#[cfg(test)]
pub(crate) mod extension_toys;
pub mod fields;
pub mod forwarded;
pub mod frame_header;
pub mod handshake;
pub mod header_list;
pub mod host_pattern;
pub mod http_date;
mod loose_lines;
pub mod mask;
pub mod network;
pub mod opcode;
pub mod proxy;
pub mod proxy_header;
pub(crate) mod repeated_fields;
pub mod request_head;
pub mod request_path;
pub mod response_head;
pub mod url;
pub mod url_host;
#[cfg(test)]
mod url_tests;
pub mod utf8;

pub use opcode::{MessageKind, Opcode};

/// Which end of the connection we are; RFC 6455 treats the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Accepts connections; its frames are not masked.
    Server,
    /// Opens connections; its frames are masked.
    Client,
}

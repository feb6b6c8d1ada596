//! Frames, masks, UTF-8, close codes, the opening handshake and the HTTP/1.1 grammar.
//!
//! Knows no connection, no clock and no policy.

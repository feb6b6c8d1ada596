//! Extension `permessage-deflate`: messages compressed one by one. RFC 7692.
//!
//! Negotiation ([`accept`], [`offer`], [`confirm`]) ends in [`Agreed`]; of it a connection makes a [`Deflater`] and an
//! [`Inflater`]. They borrow what is large from [`Compressors`] and [`Decompressors`], of which a service thread has
//! one each, so that a connection between two messages holds the text it must remember and nothing else.
//!
//! The codec is zlib-rs without a layer between: flate2 hides the memory level and panics on 8 bits. zlib-rs is safe
//! to use, so nothing here is `unsafe`.
#![forbid(unsafe_code)]

mod deflate;
mod inflate;
mod offer;
mod options;
mod parameters;
mod window;

pub use deflate::{Compressors, Deflater};
pub use inflate::{Decompressors, InflateError, Inflater};
pub use offer::{Accept, Agreed, CompressionKey, accept, confirm, offer};
pub use options::{Level, MemoryLevel, Options, TakeoverKeeps, WindowBits, Within};
pub use parameters::{ClientBits, NAME, Parameters, Refusal};

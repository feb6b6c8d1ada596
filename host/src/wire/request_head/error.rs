//! Why a head is refused, and the status code that says so.

use std::sync::Arc;

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not a request as RFC 9112 has it.
    #[error("bad request: {0}")]
    Malformed(&'static str),
    /// Above `limits.request_target_bytes`.
    #[error("request target too long: see limits.request_target_bytes")]
    TargetTooLong,
    /// Above `limits.request_head_bytes` or `limits.request_field_count`.
    #[error("request head too large: see limits.request_head_bytes and limits.request_field_count")]
    TooLarge,
    /// Above `limits.request_field_bytes`.
    #[error("request field too large: see limits.request_field_bytes")]
    FieldTooLarge,
    /// Above what `limits.per_field_bytes` has for fields of this name.
    #[error(
        "request field `{name}` too large: see limits.per_field_bytes, which is {bytes} for it"
    )]
    FieldAboveItsOwn {
        /// As the limit writes it.
        name: Arc<str>,
        /// What all its values together may have.
        bytes: u64,
    },
    /// A tunnel is asked for: what follows the head would be no request (RFC 9110 section 9.3.6).
    #[error("CONNECT is for proxies, and this is none")]
    Tunnel,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("HTTP version not supported: use HTTP/1.1")]
    Version,
}

impl HeadError {
    /// The status code of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::TargetTooLong => 414,
            Self::TooLarge | Self::FieldTooLarge | Self::FieldAboveItsOwn { .. } => 431,
            Self::Tunnel => 501,
            Self::Version => 505,
        }
    }
}

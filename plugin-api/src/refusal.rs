//! The answer to an opening handshake when the protocol says no.

use std::{error::Error, fmt};

use crate::PluginError;

/// The answer to an opening handshake that a protocol does not accept.
///
/// Every error turns into one by `?`: that is a failure, answered with 500, and its text is for the log only.
#[derive(Clone, Debug)]
#[must_use = "it refuses nothing before it is returned"]
pub struct Refusal {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) content: Vec<u8>,
    /// Why it is a failure and no answer.
    pub(crate) failure: Option<String>,
}

impl Refusal {
    /// An answer with this status, 300 to 599, and no content. One with another status fails: 500, and a line in the
    /// log.
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            content: Vec::new(),
            failure: None,
        }
    }

    /// With this text as content, and its Content-Type.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.content("text/plain; charset=utf-8", text.into())
    }

    /// With this content, and its Content-Type, in place of what was set before.
    pub fn content(mut self, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        self.content = content.into();
        self.fields
            .retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Type"));
        self.field("Content-Type", media_type)
    }

    /// With one more field. If it cannot be sent ([`FieldError`]) the handshake fails: 500, and a line in the log.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let field = (name.to_owned(), value.as_ref().to_vec());
        self.fields.push(field);
        self
    }
}

impl<E: Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        PluginError::from(error).into()
    }
}

impl From<PluginError> for Refusal {
    fn from(error: PluginError) -> Self {
        Self {
            failure: Some(error.to_string()),
            ..Self::new(500)
        }
    }
}

/// Why a field is not added to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// Its name is no token, its value has control characters, or it is the host's own: Connection, Content-Length, Date,
    /// Keep-Alive, Server, TE, Trailer, Transfer-Encoding, Upgrade, or one that begins with `Sec-WebSocket-`.
    Invalid,
    /// All fields together are above `limits.answer_fields_bytes` of the host.
    TooMuch,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => {
                "the name is no token, the value has control characters, or the field is the host's own"
            }
            Self::TooMuch => "the fields are more than `limits.answer_fields_bytes` of the host",
        })
    }
}

impl Error for FieldError {}

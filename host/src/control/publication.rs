//! A message that somebody outside has for the sessions of a protocol.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::context::hub::SlowPolicy;
use crate::wire::MessageKind;

/// A message for all sessions of a protocol on a vhost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The name of the protocol.
    pub protocol: String,
    /// The name of the vhost; the default one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// A text message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In its place a binary message, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// What becomes of sessions that do not keep up.
    #[serde(default)]
    pub slow: SlowPolicy,
    /// The plugin is given the bytes for each session (`on_notify`), and nothing is sent by the host.
    #[serde(default)]
    pub notify: bool,
}

/// Why there is no message in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPublication {
    /// Neither, or both.
    #[error("a message is either `text` or `base64`")]
    NotOne,
    /// Letters that are none of base64.
    #[error("`base64` is not the base64 of RFC 4648 with its padding")]
    NotBase64,
}

impl Publication {
    /// The same with this text message.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            base64: None,
            ..self
        }
    }

    /// The same with this binary message.
    #[must_use]
    pub fn with_binary(self, bytes: &[u8]) -> Self {
        Self {
            text: None,
            base64: Some(BASE64.encode(bytes)),
            ..self
        }
    }

    /// The kind of the message, and its payload.
    ///
    /// # Errors
    ///
    /// When there is not exactly one that can be read.
    pub fn message(&self) -> Result<(MessageKind, Cow<'_, [u8]>), BadPublication> {
        match (&self.text, &self.base64) {
            (Some(text), None) => Ok((MessageKind::Text, text.as_bytes().into())),
            (None, Some(letters)) => match BASE64.decode(letters) {
                Ok(bytes) => Ok((MessageKind::Binary, bytes.into())),
                Err(_) => Err(BadPublication::NotBase64),
            },
            _ => Err(BadPublication::NotOne),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_put_in_and_two_or_none_are_refused() {
        let empty = Publication::default();
        let text = empty.clone().with_text("t\u{e9}xt");
        let read = text.message().unwrap();
        assert_eq!(read, (MessageKind::Text, "t\u{e9}xt".as_bytes().into()));
        let binary = text.clone().with_binary(b"\0\xff");
        let read = binary.message().unwrap();
        assert_eq!(read, (MessageKind::Binary, b"\0\xff".as_slice().into()));
        assert_eq!(empty.message(), Err(BadPublication::NotOne));
        let both = Publication {
            text: text.text,
            ..binary
        };
        assert_eq!(both.message(), Err(BadPublication::NotOne));
        let letters = Some("no base64".to_owned());
        let bad = Publication {
            base64: letters,
            ..empty
        };
        assert_eq!(bad.message(), Err(BadPublication::NotBase64));
    }
}

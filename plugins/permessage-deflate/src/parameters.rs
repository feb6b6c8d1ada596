//! The four parameters of an offer or a response. RFC 7692 section 7.1.

use std::fmt;

use thiserror::Error;

use crate::options::WindowBits;

/// The extension's name in `Sec-WebSocket-Extensions`.
pub const NAME: &str = "permessage-deflate";

pub(crate) const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
pub(crate) const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
pub(crate) const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
pub(crate) const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The parameters of one offer, or of a response. `Display` writes them as the field does, behind the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The server starts each message afresh. Section 7.1.1.1.
    pub server_no_context_takeover: bool,
    /// The client starts each message afresh. Section 7.1.1.2.
    pub client_no_context_takeover: bool,
    /// The largest window of the server. Section 7.1.2.1.
    pub server_max_window_bits: Option<WindowBits>,
    /// The largest window of the client. Section 7.1.2.2.
    pub client_max_window_bits: Option<ClientBits>,
}

/// `client_max_window_bits` where it is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientBits {
    /// Without a value, only in an offer: a response may carry the parameter.
    Any,
    /// With a value.
    Max(WindowBits),
}

/// Why an offer is declined, or a response makes the client fail the connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A parameter that RFC 7692 does not define.
    #[error("unknown parameter {0:?}")]
    Unknown(String),
    /// A parameter that stands there twice.
    #[error("{0} is repeated")]
    Repeated(&'static str),
    /// A parameter with a value that takes none.
    #[error("{0} takes no value")]
    UnexpectedValue(&'static str),
    /// A window size that is missing, not a number from 8 to 15, or has a leading zero.
    #[error("{0} needs a number from 8 to 15")]
    WindowBits(&'static str),
    /// A response lacks what the offer demanded.
    #[error("{0} was demanded but is missing")]
    Missing(&'static str),
    /// A response has a window that is larger than the one demanded.
    #[error("{0} is larger than offered")]
    TooLarge(&'static str),
}

impl Parameters {
    /// Parses an offer or a response: names with their values, which are unquoted already.
    ///
    /// # Errors
    /// The first parameter that is unknown, repeated or has a wrong value.
    pub fn parse<'a>(
        list: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        for (name, value) in list {
            match name {
                SERVER_NO_CONTEXT_TAKEOVER => raise(
                    &mut parameters.server_no_context_takeover,
                    SERVER_NO_CONTEXT_TAKEOVER,
                    value,
                )?,
                CLIENT_NO_CONTEXT_TAKEOVER => raise(
                    &mut parameters.client_no_context_takeover,
                    CLIENT_NO_CONTEXT_TAKEOVER,
                    value,
                )?,
                SERVER_MAX_WINDOW_BITS => {
                    let bits = value
                        .and_then(window_bits)
                        .ok_or(Refusal::WindowBits(SERVER_MAX_WINDOW_BITS))?;
                    put(
                        &mut parameters.server_max_window_bits,
                        SERVER_MAX_WINDOW_BITS,
                        bits,
                    )?;
                }
                CLIENT_MAX_WINDOW_BITS => {
                    let bits = match value {
                        None => ClientBits::Any,
                        Some(value) => window_bits(value)
                            .map(ClientBits::Max)
                            .ok_or(Refusal::WindowBits(CLIENT_MAX_WINDOW_BITS))?,
                    };
                    put(
                        &mut parameters.client_max_window_bits,
                        CLIENT_MAX_WINDOW_BITS,
                        bits,
                    )?;
                }
                unknown => return Err(Refusal::Unknown(unknown.to_owned())),
            }
        }
        Ok(parameters)
    }

    /// The parameters that are present, with their values.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, Option<WindowBits>)> {
        let server_bits = self.server_max_window_bits;
        let client_bits = self.client_max_window_bits.map(|bits| match bits {
            ClientBits::Any => None,
            ClientBits::Max(bits) => Some(bits),
        });
        [
            self.server_no_context_takeover
                .then_some((SERVER_NO_CONTEXT_TAKEOVER, None)),
            self.client_no_context_takeover
                .then_some((CLIENT_NO_CONTEXT_TAKEOVER, None)),
            server_bits.map(|bits| (SERVER_MAX_WINDOW_BITS, Some(bits))),
            client_bits.map(|bits| (CLIENT_MAX_WINDOW_BITS, bits)),
        ]
        .into_iter()
        .flatten()
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.list().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match value {
                None => write!(f, "{separator}{name}")?,
                Some(value) => write!(f, "{separator}{name}={value}")?,
            }
        }
        Ok(())
    }
}

/// A parameter without a value.
fn raise(flag: &mut bool, name: &'static str, value: Option<&str>) -> Result<(), Refusal> {
    if value.is_some() {
        return Err(Refusal::UnexpectedValue(name));
    }
    if *flag {
        return Err(Refusal::Repeated(name));
    }
    *flag = true;
    Ok(())
}

/// A parameter with a value.
fn put<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), Refusal> {
    if place.is_some() {
        return Err(Refusal::Repeated(name));
    }
    *place = Some(value);
    Ok(())
}

/// A decimal number from 8 to 15 without leading zeros. Section 7.1.2.
fn window_bits(value: &str) -> Option<WindowBits> {
    if !matches!(value.as_bytes(), [b'8' | b'9'] | [b'1', b'0'..=b'5']) {
        return None;
    }
    WindowBits::new(value.parse().ok()?)
}

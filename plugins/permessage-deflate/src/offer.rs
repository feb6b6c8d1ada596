//! Negotiation: what a server answers to an offer, what a client offers, and what was agreed on. RFC 7692 section 7.1.

use crate::options::{Level, MemoryLevel, Options, WindowBits};
use crate::parameters::{
    CLIENT_MAX_WINDOW_BITS, ClientBits, Parameters, Refusal, SERVER_MAX_WINDOW_BITS,
    SERVER_NO_CONTEXT_TAKEOVER,
};

/// What was agreed on for one connection, told from this endpoint's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// What we send may refer to messages sent before.
    pub our_takeover: bool,
    /// The largest window that what we send may need.
    pub our_window_bits: WindowBits,
    /// What the peer sends may refer to messages it sent before.
    pub peer_takeover: bool,
    /// The largest window that what the peer sends may need.
    pub peer_window_bits: WindowBits,
}

/// An accepted offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// What holds for the connection.
    pub agreed: Agreed,
    /// The parameters of the response.
    pub response: Parameters,
}

/// Two connections with equal keys send the same bytes for the same message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompressionKey {
    shape: Shape,
    threshold_bytes: u32,
}

/// All that distinguishes one compressor from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) window_bits: WindowBits,
    pub(crate) level: Level,
    pub(crate) memory_level: MemoryLevel,
}

impl Shape {
    pub(crate) fn new(agreed: &Agreed, options: &Options) -> Self {
        // zlib makes no raw stream of 8 bits. One of 9 bits refers back by 512 - 262 bytes at most, which a window
        // of 8 bits holds.
        let nine = const { WindowBits::new(9).unwrap() };
        Self {
            window_bits: agreed.our_window_bits.max(nine),
            level: options.level,
            memory_level: options.memory_level,
        }
    }
}

impl Agreed {
    /// Which compressed form of a message this connection sends: `None` if that depends on what it sent before.
    pub fn key(&self, options: &Options) -> Option<CompressionKey> {
        (!self.our_takeover).then(|| CompressionKey {
            shape: Shape::new(self, options),
            threshold_bytes: options.threshold_bytes,
        })
    }
}

impl CompressionKey {
    /// The key as a number that differs where the keys do.
    pub fn number(self) -> u64 {
        let shape = [
            self.shape.window_bits.get(),
            self.shape.level.get(),
            self.shape.memory_level.get(),
        ];
        shape
            .into_iter()
            .fold(u64::from(self.threshold_bytes), |number, part| {
                number << 8 | u64::from(part)
            })
    }
}

/// The server's side: accepts an offer as far as the options allow.
///
/// # Errors
/// Why the offer is declined; the next one may do.
pub fn accept<'a>(
    offer: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    options: &Options,
) -> Result<Accept, Refusal> {
    let offer = Parameters::parse(offer)?;
    let server_bits = offer
        .server_max_window_bits
        .unwrap_or(WindowBits::MAX)
        .min(options.server_max_window_bits);
    let client_bits = match offer.client_max_window_bits {
        // Section 7.1.2.2: then the response must not have it either.
        None => WindowBits::MAX,
        Some(ClientBits::Any) => options.client_max_window_bits,
        Some(ClientBits::Max(bits)) => bits.min(options.client_max_window_bits),
    };
    let server_takeover = options.server_context_takeover && !offer.server_no_context_takeover;
    let client_takeover = options.client_context_takeover
        && !offer.client_no_context_takeover
        && client_bits <= options.client_max_window_bits;

    let response = Parameters {
        server_no_context_takeover: !server_takeover,
        client_no_context_takeover: !client_takeover,
        server_max_window_bits: (offer.server_max_window_bits.is_some()
            || server_bits < WindowBits::MAX)
            .then_some(server_bits),
        client_max_window_bits: (client_bits < WindowBits::MAX)
            .then_some(ClientBits::Max(client_bits)),
    };
    let agreed = Agreed {
        our_takeover: server_takeover,
        our_window_bits: server_bits,
        peer_takeover: client_takeover,
        peer_window_bits: client_bits,
    };
    Ok(Accept { agreed, response })
}

/// The client's side: what to offer. It is one offer: a second one with less in it would give away what the options
/// demand, and nothing in it is beyond a server that knows RFC 7692.
pub fn offer(options: &Options) -> Parameters {
    let demanded = |bits: WindowBits| (bits < WindowBits::MAX).then_some(bits);
    Parameters {
        server_no_context_takeover: !options.server_context_takeover,
        client_no_context_takeover: !options.client_context_takeover,
        server_max_window_bits: demanded(options.server_max_window_bits),
        client_max_window_bits: Some(
            demanded(options.client_max_window_bits).map_or(ClientBits::Any, ClientBits::Max),
        ),
    }
}

/// The client's side: what a server's response to [`offer`] means.
///
/// # Errors
/// What is wrong with the response; the client fails the connection. RFC 7692 section 7.1.
pub fn confirm<'a>(
    response: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    options: &Options,
) -> Result<Agreed, Refusal> {
    let offer = offer(options);
    let response = Parameters::parse(response)?;
    if offer.server_no_context_takeover && !response.server_no_context_takeover {
        return Err(Refusal::Missing(SERVER_NO_CONTEXT_TAKEOVER));
    }
    match (
        offer.server_max_window_bits,
        response.server_max_window_bits,
    ) {
        (Some(_), None) => return Err(Refusal::Missing(SERVER_MAX_WINDOW_BITS)),
        (Some(offered), Some(bits)) if bits > offered => {
            return Err(Refusal::TooLarge(SERVER_MAX_WINDOW_BITS));
        }
        _ => {}
    }
    // The offer had client_max_window_bits, so the response may. Section 7.1.2.2.
    let client_bits = match response.client_max_window_bits {
        None => WindowBits::MAX,
        Some(ClientBits::Max(bits)) => bits,
        Some(ClientBits::Any) => return Err(Refusal::WindowBits(CLIENT_MAX_WINDOW_BITS)),
    };
    Ok(Agreed {
        our_takeover: options.client_context_takeover && !response.client_no_context_takeover,
        // What we offered is what we keep to, whatever the server grants beyond it.
        our_window_bits: client_bits.min(options.client_max_window_bits),
        peer_takeover: !response.server_no_context_takeover,
        peer_window_bits: response.server_max_window_bits.unwrap_or(WindowBits::MAX),
    })
}

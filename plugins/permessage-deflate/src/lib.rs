//! Extension `permessage-deflate`: messages compressed one by one. RFC 7692.
//!
//! # Options
//!
//! *Server* and *client* name the side that compresses, whichever of them this endpoint is. The third column is what an
//! idle connection keeps for it, beside 400 bytes that each one takes.
//!
//! | key | default | bytes per connection | |
//! | --- | --- | --- | --- |
//! | `level` | 1 | 0 | How hard to look for repetitions, 1 (fast) to 9 (small). |
//! | `threshold_bytes` | 256 | 0 | Messages shorter than this are sent as they are; fragmented ones never are. |
//! | `memory_level` | 8 | 0 | How much a compressor gathers before it writes a block, 1 to 9. |
//! | `server_max_window_bits` | 15 | see below | The largest window of the server side, 8 to 15 bits. |
//! | `client_max_window_bits` | 15 | see below | The largest window of the client side, 8 to 15 bits. |
//! | `server_context_takeover` | `false` | 2 to the power of the bits | Whether the server side may refer to earlier messages. |
//! | `client_context_takeover` | `false` | 2 to the power of the bits | Whether the client side may refer to earlier messages. |
//! | `takeover_keeps` | `"window"` | `"compressor"`: 251,008 (8 bits) to 380,032 (15 bits) more | What is kept between outgoing messages with context takeover. |
//! | `takeover_window_bits` | 12 | see below | How much of their text that is at most, 8 to 15 bits. |
//!
//! Without context takeover the window bits cost nothing: compressors and decompressors belong to the service thread, and
//! a connection borrows one for a message. With it, a direction keeps 256 bytes (8 bits) to 32,768 (15 bits), outgoing
//! 4,096 by default, and less until there was as much text. [`Options`] has the table, with times and ratios.
//!
//! The counters `compressors_made` and `decompressors_made` stand still in a host that runs for a while, unless
//! connections keep compressors.
//!
//! # What it does
//!
//! RSV1 is set on the first frame of a message that is compressed; what comes without it passes as it is. Each fragment
//! that is sent becomes one frame, which holds all of the fragment, so nothing is ever held back. What comes in is handed
//! on as it is decompressed, so the limit of the host acts on what a message becomes, at the first 16 KiB above it.
//! Without context takeover on our side a broadcast is compressed once for all connections with the same window.
//!
//! A peer that sets RSV1 on a frame that continues a message is closed with 1002, one that sends what is no DEFLATE
//! with 1007. An offer with a parameter that is unknown, repeated or ill-valued is declined.
//!
//! # Inside
//!
//! Negotiation ([`accept`], [`offer`], [`confirm`]) ends in [`Agreed`]; of it a connection makes a [`Deflater`] and an
//! [`Inflater`], which borrow what is large from [`Compressors`] and [`Decompressors`].
//!
//! The codec is zlib-rs without a layer between: flate2 hides the memory level and panics on 8 bits. zlib-rs is safe
//! to use, so nothing here is `unsafe`.
#![forbid(unsafe_code)]

mod connection;
mod deflate;
mod frames;
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

use std::num::NonZeroU64;

use hotsocket_plugin::{
    Call, Extension, Host, Parameters as List, PluginError, Rsv, export_plugin,
};

use connection::{Connection, Pools};

/// The extension on one vhost.
#[derive(Debug)]
pub struct PermessageDeflate {
    options: Options,
}

impl Extension for PermessageDeflate {
    const NAME: &'static str = NAME;

    type Codec = Connection;
    type Options = Options;
    type Thread = Pools;

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        Ok(Self { options })
    }

    fn thread(&self, _host: &Host) -> Pools {
        Pools::default()
    }

    fn accept(
        &self,
        _call: &Call<Pools>,
        offer: &List<'_>,
    ) -> Result<Option<hotsocket_plugin::Agreed<Connection>>, PluginError> {
        // A refusal is the peer's business: the next offer may do.
        let Ok(accepted) = accept(offer.iter(), &self.options) else {
            return Ok(None);
        };
        let agreed = self.agree(&accepted.agreed);
        Ok(Some(agreed.with_response(list(&accepted.response))))
    }

    fn offer(&self, _call: &Call<Pools>, alternative: u32) -> Option<List<'static>> {
        (alternative == 0).then(|| list(&offer(&self.options)))
    }

    fn confirm(
        &self,
        _call: &Call<Pools>,
        response: &List<'_>,
    ) -> Result<hotsocket_plugin::Agreed<Connection>, PluginError> {
        let agreed = confirm(response.iter(), &self.options)?;
        Ok(self.agree(&agreed))
    }
}

impl PermessageDeflate {
    fn agree(&self, agreed: &Agreed) -> hotsocket_plugin::Agreed<Connection> {
        let connection = Connection::new(agreed, &self.options);
        let key = agreed.key(&self.options).map(CompressionKey::number);
        let agreed = hotsocket_plugin::Agreed::new(connection).with_rsv(Rsv::RSV1);
        match key.and_then(NonZeroU64::new) {
            Some(key) => agreed.with_independence(key),
            None => agreed,
        }
    }
}

fn list(parameters: &Parameters) -> List<'static> {
    let mut list = List::new();
    for (name, value) in parameters.list() {
        list = match value {
            Some(value) => list.with_value(name, value),
            None => list.with(name),
        };
    }
    list
}

export_plugin!(extensions: PermessageDeflate);

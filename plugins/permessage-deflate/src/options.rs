//! The options of the extension, with what each of them costs.

use std::fmt;

use serde::Deserialize;

/// How the extension negotiates and compresses. *server* and *client* name the side that compresses, as in the
/// parameters of RFC 7692, whichever of them this endpoint is.
///
/// # Memory
///
/// An idle connection without context takeover keeps nothing on the heap, and the default is none on both sides. With
/// it, each direction keeps (`cargo test -p hotsocket-permessage-deflate --test memory -- --nocapture`):
///
/// | window bits | `window`, bytes at most | `compressor`, KiB |
/// | --- | --- | --- |
/// | 8 | 256 | 245 |
/// | 9 | 512 | 245 |
/// | 10 | 1024 | 247 |
/// | 11 | 2048 | 251 |
/// | 12 | 4096 | 259 |
/// | 13 | 8192 | 275 |
/// | 14 | 16384 | 307 |
/// | 15 | 32768 | 371 |
///
/// Incoming messages always keep the window, so `compressor` costs its sum with the window of the other direction. Of
/// outgoing ones no more than `takeover_window_bits` say is kept. A window grows with the text there was.
///
/// # Time
///
/// For 1 KiB of JSON, in microseconds of one processor, and the ratio (`cargo run --release -p
/// hotsocket-permessage-deflate --example measure`):
///
/// | level | no takeover | window of 12 bits | window of 15 bits | compressor of 15 bits |
/// | --- | --- | --- | --- | --- |
/// | 1 | 3.0, 2.50 | 5.4, 2.96 | 22, 3.15 | 2.0, 3.12 |
/// | 2 | 8.1, 3.27 | 10.1, 3.99 | 27, 3.92 | 7.1, 3.86 |
/// | 3 | 8.9, 3.39 | 11.2, 4.15 | 28, 4.10 | 8.2, 4.09 |
/// | 6 | 9.5, 3.48 | 12.6, 4.42 | 34, 4.40 | 13.6, 4.40 |
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How hard to look for repetitions, 1 (fast) to 9 (small). The default, 1, takes a third of the time of the others
    /// and saves most of what they save; 3 is for links that cost more than processors.
    pub level: Level,
    /// Messages shorter than this many bytes are sent as they are. 128 bytes of JSON shrink by 25 and 256 by 107, at
    /// nearly the same cost.
    pub threshold_bytes: u32,
    /// How much a compressor gathers before it writes a block, 1 to 9, by default 8. Less makes compressors smaller
    /// (140 KiB instead of 245 at 9 bits for 4) and levels above 1 slower and worse with long messages.
    pub memory_level: MemoryLevel,
    /// The largest window the server side may use, 8 to 15 bits.
    pub server_max_window_bits: WindowBits,
    /// The largest window the client side may use, 8 to 15 bits. A client that cannot be asked for less than 15 is asked
    /// for no context takeover instead, so the memory this promises is kept.
    pub client_max_window_bits: WindowBits,
    /// Whether the server side may refer to earlier messages.
    pub server_context_takeover: bool,
    /// Whether the client side may refer to earlier messages.
    pub client_context_takeover: bool,
    /// What a connection keeps between the messages it sends with context takeover.
    pub takeover_keeps: TakeoverKeeps,
    /// How much text that is at most where text is kept, as window bits, 8 to 15: a side may refer to less than was agreed.
    /// The default, 12, is 4 KiB: a quarter of the time of 32 KiB, and nearly all of what they save. Within a message
    /// what was agreed holds.
    pub takeover_window_bits: WindowBits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: const { Within::new(1).unwrap() },
            threshold_bytes: 256,
            memory_level: const { Within::new(8).unwrap() },
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
            server_context_takeover: false,
            client_context_takeover: false,
            takeover_keeps: TakeoverKeeps::Window,
            takeover_window_bits: const { Within::new(12).unwrap() },
        }
    }
}

/// Memory against time, for outgoing messages with context takeover. The output is as small either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakeoverKeeps {
    /// The text that may be referred to: at most 2 to the power of the window bits, in bytes, and of
    /// [`Options::takeover_window_bits`]. Each message reads it into a shared compressor first, which takes about 0.6
    /// microseconds for each KiB: best with 12 bits or less.
    Window,
    /// A compressor: hundreds of KiB whatever the window, for few connections with large windows.
    Compressor,
}

/// How hard to compress.
pub type Level = Within<1, 9>;
/// How much a compressor gathers.
pub type MemoryLevel = Within<1, 9>;
/// The binary logarithm of the size of a window in bytes.
pub type WindowBits = Within<8, 15>;

/// A number from `LOW` to `HIGH`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u8")]
pub struct Within<const LOW: u8, const HIGH: u8>(u8);

impl<const LOW: u8, const HIGH: u8> Within<LOW, HIGH> {
    /// The largest.
    pub const MAX: Self = Self(HIGH);

    /// `None` for a number outside.
    pub const fn new(number: u8) -> Option<Self> {
        if number < LOW || number > HIGH {
            return None;
        }
        Some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<const LOW: u8, const HIGH: u8> TryFrom<u8> for Within<LOW, HIGH> {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("{number} is not between {LOW} and {HIGH}"))
    }
}

impl<const LOW: u8, const HIGH: u8> fmt::Display for Within<LOW, HIGH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

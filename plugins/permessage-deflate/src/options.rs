//! The options of the extension, with what each of them costs.

use std::fmt;

use serde::Deserialize;

/// How the extension negotiates and compresses. *server* and *client* name the side that compresses, as in the
/// parameters of RFC 7692, whichever of them this endpoint is.
///
/// # Memory of one idle connection
///
/// Without context takeover nothing stays behind a message, and the default is none on both sides. With it, each
/// direction keeps this much on the heap (`cargo test -p hotsocket-permessage-deflate memory` measures it):
///
/// | window bits | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15 |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | no context takeover, bytes | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
/// | takeover keeps `window`, bytes at most | 256 | 512 | 1024 | 2048 | 4096 | 8192 | 16384 | 32768 |
/// | takeover keeps `compressor` (outgoing only), KiB | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How hard to look for repetitions, 1 (fast) to 9 (small).
    pub level: Level,
    /// Messages shorter than this many bytes are sent as they are: compressing them costs more than it saves.
    pub threshold_bytes: u32,
    /// How much a compressor gathers before it writes a block, 1 to 9. A smaller one makes compressors smaller and long
    /// messages longer.
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
        }
    }
}

/// Memory against time, for outgoing messages with context takeover. The output is as small either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakeoverKeeps {
    /// The text that may be referred to: at most 2 to the power of the window bits, in bytes. Each message reads it
    /// into a shared compressor first, which takes about a microsecond for each KiB: best with 12 bits or less.
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

//! The seam for extensions: who owns which RSV bit, and in which order payloads pass them. RFC 6455 section 9.
//!
//! Only data frames pass extensions; RSV bits of control frames stay zero.

use std::mem;

use super::close_code::Failure;
use super::opcode::MessageKind;

/// A frame of a message, or a piece of one, on its way through the extensions.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionFrame<'a> {
    /// The kind of its message.
    pub kind: MessageKind,
    /// Inbound, the RSV bits of the frame that this extension owns; outbound 0.
    pub rsv: u8,
    /// Nothing of the message came before.
    pub first: bool,
    /// Nothing of the message comes after.
    pub last: bool,
    /// The payload, unmasked.
    pub payload: &'a [u8],
}

/// Where an extension puts the payload it makes; enforces the limit while it grows.
pub trait PayloadSink {
    /// Takes more payload.
    ///
    /// # Errors
    /// The failure of the connection if that is too much; the extension hands it on.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure>;
}

/// What was agreed on for one connection, with its state.
pub trait Extension {
    /// The RSV bits it owns: 4 for RSV1, 2 for RSV2, 1 for RSV3.
    fn rsv_bits(&self) -> u8;

    /// Undoes what the peer's side did to a payload.
    ///
    /// # Errors
    /// The failure of the connection.
    fn inbound(
        &mut self,
        frame: ExtensionFrame<'_>,
        sink: &mut dyn PayloadSink,
    ) -> Result<(), Failure>;

    /// Changes a payload on its way to the peer; answers with the RSV bits to set, of its own.
    ///
    /// # Errors
    /// The failure of the connection.
    fn outbound(
        &mut self,
        frame: ExtensionFrame<'_>,
        sink: &mut dyn PayloadSink,
    ) -> Result<u8, Failure>;
}

/// Two extensions want the same RSV bit, so they cannot be agreed on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsvConflict;

/// The extensions of one connection in the order in which they were agreed on.
#[derive(Default)]
pub struct ExtensionChain {
    extensions: Vec<Box<dyn Extension>>,
    rsv_bits: u8,
    /// What passes from one extension to the next.
    between: [Vec<u8>; 2],
}

impl ExtensionChain {
    /// Adds an extension behind the others.
    ///
    /// # Errors
    /// [`RsvConflict`] if one of its bits has an owner.
    pub fn push(&mut self, extension: Box<dyn Extension>) -> Result<(), RsvConflict> {
        let bits = extension.rsv_bits();
        if bits & self.rsv_bits != 0 {
            return Err(RsvConflict);
        }
        self.rsv_bits |= bits;
        self.extensions.push(extension);
        Ok(())
    }

    /// The RSV bits that have an owner; the others must be 0.
    pub fn rsv_bits(&self) -> u8 {
        self.rsv_bits
    }

    /// Passes a frame or piece from the wire through the extensions, the last one first. What one hands to the next
    /// is bounded by `limit`.
    ///
    /// # Errors
    /// The failure of the connection.
    pub fn inbound(
        &mut self,
        frame: ExtensionFrame<'_>,
        limit: usize,
        sink: &mut dyn PayloadSink,
    ) -> Result<(), Failure> {
        let order = self.extensions.iter_mut().rev();
        pass(
            order,
            &mut self.between,
            frame,
            limit,
            sink,
            |extension, mut frame, sink| {
                frame.rsv &= extension.rsv_bits();
                extension.inbound(frame, sink)
            },
        )
    }

    /// Passes a frame for the wire through the extensions in their order; answers with its RSV bits.
    ///
    /// # Errors
    /// The failure of the connection.
    pub fn outbound(
        &mut self,
        frame: ExtensionFrame<'_>,
        limit: usize,
        sink: &mut dyn PayloadSink,
    ) -> Result<u8, Failure> {
        let mut rsv = 0;
        let order = self.extensions.iter_mut();
        pass(
            order,
            &mut self.between,
            frame,
            limit,
            sink,
            |extension, frame, sink| {
                rsv |= extension.outbound(frame, sink)? & extension.rsv_bits();
                Ok(())
            },
        )?;
        Ok(rsv)
    }
}

/// Lets each extension make of a frame the payload of the next; the last one fills the sink.
fn pass<'e>(
    order: impl ExactSizeIterator<Item = &'e mut Box<dyn Extension>>,
    between: &mut [Vec<u8>; 2],
    frame: ExtensionFrame<'_>,
    limit: usize,
    sink: &mut dyn PayloadSink,
    mut step: impl FnMut(
        &mut dyn Extension,
        ExtensionFrame<'_>,
        &mut dyn PayloadSink,
    ) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let count = order.len();
    if count == 0 {
        return sink.put(frame.payload);
    }
    let [from, to] = between;
    for (index, extension) in order.enumerate() {
        let payload = if index == 0 {
            frame.payload
        } else {
            from.as_slice()
        };
        let frame = ExtensionFrame { payload, ..frame };
        if index + 1 == count {
            return step(extension.as_mut(), frame, sink);
        }
        to.clear();
        step(extension.as_mut(), frame, &mut Bounded { bytes: to, limit })?;
        mem::swap(from, to);
    }
    Ok(())
}

/// A plain buffer with a limit.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
}

impl PayloadSink for Bounded<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
            return Err(super::close_code::TOO_LARGE);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod toy {
    //! An extension for tests: owns one bit, XORs the payload and puts a byte before it.

    use super::*;

    pub(crate) struct Toy {
        pub(crate) bit: u8,
        pub(crate) xor: u8,
        pub(crate) awaits_mark: bool,
    }

    impl Extension for Toy {
        fn rsv_bits(&self) -> u8 {
            self.bit
        }

        fn inbound(
            &mut self,
            frame: ExtensionFrame<'_>,
            sink: &mut dyn PayloadSink,
        ) -> Result<(), Failure> {
            if frame.first && frame.rsv != self.bit {
                return Err(Failure::protocol("the toy's bit is missing"));
            }
            self.awaits_mark |= frame.first;
            let payload = match frame.payload {
                [mark, rest @ ..] if self.awaits_mark => {
                    self.awaits_mark = false;
                    if *mark != self.xor {
                        return Err(Failure::protocol("the toy's mark is missing"));
                    }
                    rest
                }
                payload => payload,
            };
            payload
                .iter()
                .try_for_each(|byte| sink.put(&[byte ^ self.xor]))
        }

        fn outbound(
            &mut self,
            frame: ExtensionFrame<'_>,
            sink: &mut dyn PayloadSink,
        ) -> Result<u8, Failure> {
            if frame.first {
                sink.put(&[self.xor])?;
            }
            for byte in frame.payload {
                sink.put(&[byte ^ self.xor])?;
            }
            Ok(self.bit)
        }
    }

    pub(crate) fn chain(toys: &[(u8, u8)]) -> ExtensionChain {
        let mut chain = ExtensionChain::default();
        for (bit, xor) in toys {
            let toy = Toy {
                bit: *bit,
                xor: *xor,
                awaits_mark: false,
            };
            chain.push(Box::new(toy)).unwrap();
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::toy::{Toy, chain};
    use super::*;

    const FRAME: ExtensionFrame<'_> = ExtensionFrame {
        kind: MessageKind::Binary,
        rsv: 0,
        first: true,
        last: true,
        payload: b"ab",
    };

    fn sink(bytes: &mut Vec<u8>) -> Bounded<'_> {
        Bounded { bytes, limit: 100 }
    }

    #[test]
    fn a_bit_has_one_owner() {
        let mut chain = chain(&[(4, 1), (2, 2)]);
        assert_eq!(chain.rsv_bits(), 6);
        let third = Toy {
            bit: 2,
            xor: 3,
            awaits_mark: false,
        };
        assert_eq!(chain.push(Box::new(third)), Err(RsvConflict));
    }

    #[test]
    fn payloads_pass_in_order_out_and_in_reverse_in() {
        let mut chain = chain(&[(4, 0x10), (2, 0x20), (1, 0x40)]);
        let mut out = Vec::new();
        let rsv = chain.outbound(FRAME, 100, &mut sink(&mut out)).unwrap();
        assert_eq!(rsv, 7);
        assert_eq!(out, [0x40, 0x60, 0x70, b'a' ^ 0x70, b'b' ^ 0x70]);

        let mut back = Vec::new();
        let frame = ExtensionFrame {
            rsv,
            payload: &out,
            ..FRAME
        };
        chain.inbound(frame, 100, &mut sink(&mut back)).unwrap();
        assert_eq!(back, b"ab");
    }

    #[test]
    fn what_passes_between_extensions_is_bounded() {
        let mut chain = chain(&[(4, 0x10), (2, 0x20)]);
        let mut out = Vec::new();
        let passed = chain.outbound(FRAME, 2, &mut sink(&mut out));
        assert_eq!(passed, Err(crate::wire::close_code::TOO_LARGE));
    }
}

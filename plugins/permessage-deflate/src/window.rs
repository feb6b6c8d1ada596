//! What context takeover has to keep between two messages of one direction: the text that may be referred to.

use crate::options::WindowBits;

/// The last bytes of all messages so far. Grows with what there is, up to the size of the window.
pub(crate) struct Window {
    bytes: Vec<u8>,
    size: usize,
}

impl Window {
    pub(crate) fn new(bits: WindowBits) -> Self {
        Self {
            bytes: Vec::new(),
            size: 1 << bits.get(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.size)..];
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(self.size);
        self.bytes.drain(..excess);
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // Doubled, but never beyond the window, whose size is a power of two.
            let capacity = needed.next_power_of_two();
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

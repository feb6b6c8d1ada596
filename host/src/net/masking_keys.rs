//! The keys that the frames of our clients are masked with. RFC 6455 section 5.3: nobody may predict them, for a page that
//! chooses what is sent must not choose what a proxy on the way sees.
//!
//! Random bytes of the operating system, of which some are kept, so that one call to it is enough for a thousand frames.

use std::hash::{BuildHasher, RandomState};

use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

use crate::wire::mask::MaskingKey;

/// Random bytes that are asked for at once.
const KEPT_BYTES: usize = 4 << 10;

/// Gives masking keys, each one once. Kept per service thread; nothing on the heap before the first key.
pub(crate) struct MaskingKeys {
    bytes: Vec<u8>,
    at: usize,
    /// For a system that gives no random bytes.
    spare: RandomState,
    refills: u64,
}

impl MaskingKeys {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            at: 0,
            spare: RandomState::new(),
            refills: 0,
        }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> MaskingKey {
        if self.at >= self.bytes.len() {
            self.refill();
        }
        let mut key = MaskingKey::default();
        let end = self.at + key.len();
        key.copy_from_slice(&self.bytes[self.at..end]);
        self.at = end;
        key
    }

    #[cold]
    fn refill(&mut self) {
        self.bytes.resize(KEPT_BYTES, 0);
        self.at = 0;
        self.refills += 1;
        let mut filled = 0;
        while filled < KEPT_BYTES {
            match getrandom(&mut self.bytes[filled..], GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(_) => return self.fill_from_spare(filled),
            }
        }
    }

    /// The keyed hash of a count, with the key that the standard library was given when the process began. Only a kernel
    /// or a sandbox that refuses the call leads here.
    fn fill_from_spare(&mut self, filled: usize) {
        for (at, word) in self.bytes[filled..].chunks_mut(8).enumerate() {
            let hash = self.spare.hash_one((self.refills, at)).to_ne_bytes();
            word.copy_from_slice(&hash[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Of 3000 random keys two are alike once in a thousand runs; three pairs practically never.
    fn are_all_different(keys: impl Iterator<Item = MaskingKey>) {
        let all: Vec<_> = keys.collect();
        let different: HashSet<_> = all.iter().collect();
        assert!(different.len() + 2 >= all.len(), "{}", different.len());
    }

    #[test]
    fn keys_differ_across_refills_and_from_those_of_another_thread() {
        let (mut keys, mut others) = (MaskingKeys::new(), MaskingKeys::new());
        let both = (0..1500).flat_map(|_| [keys.next(), others.next()]);
        are_all_different(both);
    }

    #[test]
    fn without_random_bytes_of_the_system_keys_differ_too() {
        let mut keys = MaskingKeys::new();
        let mut spare = || {
            keys.bytes.resize(KEPT_BYTES, 0);
            keys.refills += 1;
            keys.fill_from_spare(0);
            keys.bytes.clone()
        };
        let bytes = [spare(), spare()].concat();
        let keys = bytes.chunks_exact(4);
        are_all_different(keys.map(|key| [key[0], key[1], key[2], key[3]]));
    }
}

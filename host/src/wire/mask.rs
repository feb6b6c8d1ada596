//! The masking of payloads from clients. RFC 6455 section 5.3.

/// What a frame from a client is masked with.
pub type MaskingKey = [u8; 4];

/// XORs `bytes` with the key, which begins at their first byte. Masks and unmasks alike.
#[inline]
pub fn apply_mask(bytes: &mut [u8], key: MaskingKey) {
    apply_mask_is_ascii(bytes, key);
}

/// [`apply_mask`], and whether all that it leaves is ASCII: most text is, and here it costs no pass of its own.
#[inline]
pub fn apply_mask_is_ascii(bytes: &mut [u8], key: MaskingKey) -> bool {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= WIDE_BYTES && is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { wide(bytes, key) };
    }
    pass(bytes, key)
}

/// From this length on twice as wide instructions, which not every processor has, are worth the question and the call.
#[cfg(target_arch = "x86_64")]
const WIDE_BYTES: usize = 512;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn wide(bytes: &mut [u8], key: MaskingKey) -> bool {
    pass(bytes, key)
}

/// A part of its callers, so that it is compiled for the instructions that each of them may use.
#[inline(always)]
fn pass(bytes: &mut [u8], key: MaskingKey) -> bool {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    // Whole words in a plain loop: the compiler makes vector instructions of it.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    let mut seen = 0;
    for chunk in words {
        let plain = u64::from_ne_bytes(*chunk) ^ word;
        seen |= plain;
        *chunk = plain.to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for chunk in halves {
        let plain = u32::from_ne_bytes(*chunk) ^ half;
        seen |= u64::from(plain);
        *chunk = plain.to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    seen & NOT_ASCII == 0
}

/// The bits of a word that no ASCII has.
const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

/// The key as it continues after `consumed` bytes, for a payload that comes in pieces.
#[inline]
pub const fn rotate_key(key: MaskingKey, consumed: usize) -> MaskingKey {
    u32::from_le_bytes(key)
        .rotate_right(8 * (consumed as u32 & 3))
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(bytes: &mut [u8], key: MaskingKey) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[index % 4];
        }
    }

    fn counted(length: usize) -> Vec<u8> {
        (0..length).map(|index| index as u8).collect()
    }

    const KEY: MaskingKey = [0x12, 0xef, 0x00, 0x81];

    #[test]
    fn words_agree_with_bytes_at_every_length_and_alignment() {
        for length in (0..200).chain(500..700) {
            for start in 0..8.min(length) {
                let (mut fast, mut slow) = (counted(length), counted(length));
                apply_mask(&mut fast[start..], KEY);
                naive(&mut slow[start..], KEY);
                assert_eq!(fast, slow, "{length} from {start}");
            }
        }
    }

    #[test]
    fn one_octet_that_is_not_ascii_is_seen_wherever_it_is() {
        for length in (0..70).chain(510..530) {
            let mut plain = vec![b'a'; length];
            naive(&mut plain, KEY);
            assert!(apply_mask_is_ascii(&mut plain, KEY), "{length}");
            for at in 0..length {
                plain[at] = 0x80;
                naive(&mut plain, KEY);
                assert!(!apply_mask_is_ascii(&mut plain, KEY), "{at} of {length}");
                plain[at] = b'a';
            }
        }
    }

    #[test]
    fn pieces_with_the_rotated_key_are_the_whole() {
        let mut whole = counted(67);
        naive(&mut whole, KEY);
        for cut in 0..67 {
            let mut pieces = counted(67);
            let (left, right) = pieces.split_at_mut(cut);
            apply_mask(left, KEY);
            apply_mask(right, rotate_key(KEY, cut));
            assert_eq!(pieces, whole, "cut at {cut}");
        }
    }
}

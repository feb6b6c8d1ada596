//! How many thread-specific keys of the C library are free.
//!
//! Each copy of the standard library in a plugin makes one and never gives it back; when none is left the process
//! is aborted, so a plugin is refused some time before.

/// What glibc has per process (`PTHREAD_KEYS_MAX`).
const KEYS: libc::pthread_key_t = 1024;

/// How many keys no library has taken.
pub(crate) fn free_count() -> u64 {
    (0..KEYS).filter(|&key| !is_taken(key)).count() as u64
}

fn is_taken(key: libc::pthread_key_t) -> bool {
    // SAFETY: both functions answer for any number; a key that is not taken reads as null and is refused by the
    // second. A value of a key that is taken is set to what it was, on this thread only.
    unsafe { libc::pthread_setspecific(key, libc::pthread_getspecific(key)) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_made_is_no_longer_free() {
        let mut keys = Vec::new();
        let before = free_count();
        for _ in 0..100 {
            let mut key = 0;
            // SAFETY: `key` is written to; there is no destructor.
            assert_eq!(unsafe { libc::pthread_key_create(&mut key, None) }, 0);
            keys.push(key);
        }
        // Other tests may make a few of their own meanwhile.
        let taken = before.saturating_sub(free_count());
        for key in keys {
            // SAFETY: the key was made above and nobody else knows it.
            assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0);
        }
        assert!((90..=110).contains(&taken), "{taken}");
    }
}

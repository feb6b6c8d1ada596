//! How the allocator of the C library is set in this program. A program that embeds the host sets its own.

/// Blocks of so many bytes and more come from the system and go back to it when they are freed. By itself glibc moves this
/// bound up to the largest block that was ever freed, at most 32 MiB, and keeps what is below it: after a burst for ever.
#[cfg(target_env = "gnu")]
const MAPPED_FROM_BYTES: libc::c_int = 64 << 10;

/// Has large blocks given back to the system. To be called before there are threads.
pub(crate) fn give_back_what_is_large() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it sets a number, and no other thread allocates meanwhile. It refuses what it does not know, and the
        // program runs without it too.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES) };
    }
}

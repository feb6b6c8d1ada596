//! Keeps the descriptors of this process from its programs.

/// Marks all descriptors but the first three to be closed when a program is started. What Rust opens is marked from the
/// beginning; this is for what the process was born with, as sockets that a service manager passed on.
///
/// A kernel before Linux 5.11 cannot do it; nothing else depends on it.
#[expect(unsafe_code, reason = "the standard library has no name for this call")]
pub(crate) fn keep_to_this_process() {
    let (first, last) = (3_u32, u32::MAX);
    // SAFETY: no descriptor is closed or opened and no memory touched; only flags are set, which nobody relies on being
    // absent: whoever passes a descriptor on does it by `dup2`, which leaves them out.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            last,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
}

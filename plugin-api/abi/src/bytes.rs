//! Borrowed bytes.

use std::marker::PhantomData;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

/// Bytes lent for the duration of one call. Text is UTF-8 without a terminator.
///
/// An empty slice may have any non-null, aligned address; a null `data` with `len` 0 is also taken as empty.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Bytes<'a> {
    /// The first byte.
    pub data: *const u8,
    /// How many bytes there are.
    pub len: usize,
    /// The lender.
    pub lender: PhantomData<&'a u8>,
}

impl<'a> Bytes<'a> {
    /// Lends `bytes`.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            len: bytes.len(),
            lender: PhantomData,
        }
    }

    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::new(&[])
    }

    /// The bytes that were lent.
    ///
    /// # Safety
    ///
    /// `data` must be null with `len` 0, or valid for reads of `len` bytes that nobody writes for `'a`.
    #[inline]
    #[must_use]
    pub const unsafe fn as_slice(self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the caller promises that `data` is readable for `len` bytes for 'a.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

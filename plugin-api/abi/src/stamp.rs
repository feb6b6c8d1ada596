//! What a plugin file says before any code of it runs: plain data in the ELF section [`SECTION`].

use crate::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH};

/// The ELF section that holds the stamp and, right behind it, the manifest.
pub const SECTION: &str = ".hotsocket";

/// The first bytes of the section.
pub const MAGIC: [u8; 16] = *b"HOTSOCKET-PLUGIN";

/// Flag: built by a Rust compiler from `hotsocket-plugin`, so the layouts can be compared.
pub const FLAG_RUST: u32 = 1;
/// Flag: built with `panic = "abort"`; such a file would end the host and is refused.
pub const FLAG_PANIC_ABORT: u32 = 2;

/// The fixed part. Integers are in the byte order of the machine the file is for.
///
/// Behind its `size` bytes follow `manifest_len` bytes of UTF-8 JSON. Unknown keys of the manifest are ignored:
///
/// ```json
/// {"plugin":"chat","version":"1.2.0","protocols":[
///   {"name":"chat","id":0,"delivery":"messages","rx_chunk":0,"pongs":false}],
///  "extensions":[{"name":"permessage-deflate"}],
///  "policies":[{"name":"ip-filter"}]}
/// ```
///
/// `delivery` is `messages` or `pieces`; with pieces, `rx_chunk` is the size in bytes up to which a frame comes in
/// one piece. `"http":true` says that it answers HTTP, `"websocket":false` that it does nothing else; `"body_bytes":N`
/// that it wants request bodies whole, up to N bytes; `"keep_headers":["cookie"]` which fields of the opening handshake
/// its sessions can read. The order of `protocols` is that of [`crate::Declaration::protocols`], the order of `extensions` that of
/// [`crate::Declaration::extensions`], and that of `policies` that of [`crate::Declaration::policies`]; any may be left
/// out, but not all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// Bytes of this fixed part; the manifest begins there.
    pub size: u32,
    /// The ABI major version the file was built for.
    pub abi_major: u32,
    /// The ABI minor version the file was built for.
    pub abi_minor: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// [`LAYOUT_HASH`] of the build; compared while the major version is 0.
    pub layout_hash: u64,
    /// Bytes of the manifest.
    pub manifest_len: u32,
    /// Zero.
    pub reserved: u32,
    /// The compiler, for messages only; padded with NUL.
    pub toolchain: [u8; 64],
    /// The symbol of the [`crate::DeclarationFn`]; padded with NUL.
    pub declaration: [u8; 128],
}

impl Stamp {
    /// The stamp of a plugin built from this crate.
    ///
    /// # Panics
    ///
    /// At compile time, when `declaration` is too long for its place.
    #[must_use]
    pub const fn new(flags: u32, toolchain: &str, declaration: &str, manifest_len: usize) -> Self {
        assert!(declaration.len() < 128, "the package name is too long");
        Self {
            magic: MAGIC,
            size: size_of::<Self>() as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            flags,
            layout_hash: LAYOUT_HASH,
            manifest_len: manifest_len as u32,
            reserved: 0,
            toolchain: padded(toolchain),
            declaration: padded(declaration),
        }
    }
}

/// The whole section: the fixed part and the manifest, without a gap.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StampedManifest<const N: usize> {
    /// The fixed part.
    pub stamp: Stamp,
    /// The manifest, UTF-8 JSON.
    pub manifest: [u8; N],
}

/// `text`, cut to `N` bytes or padded with NUL.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < N && i < bytes.len() {
        out[i] = bytes[i];
        i += 1;
    }
    out
}

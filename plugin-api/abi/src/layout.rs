//! How both sides compare the blocks: roughly by hash, in words by abi_stable.

#[cfg(feature = "layout")]
use abi_stable::{StableAbi, library::AbiHeader, type_layout::TypeLayout};

/// Stands for the state of the blocks while the major version is 0: a hash over their source, with which each
/// change of a block, meaning included, makes another ABI.
pub const LAYOUT_HASH: u64 = fnv1a(&[
    include_str!("lib.rs"),
    include_str!("bytes.rs"),
    include_str!("declaration.rs"),
    include_str!("plugin.rs"),
    include_str!("extension.rs"),
    include_str!("handshake.rs"),
    include_str!("http.rs"),
    include_str!("client.rs"),
    include_str!("request.rs"),
    include_str!("policy.rs"),
    include_str!("host.rs"),
]);

const fn fnv1a(files: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut file = 0;
    while file < files.len() {
        let bytes = files[file].as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        file += 1;
    }
    hash
}

/// The layouts of the blocks as one compiler sees them.
#[repr(C)]
#[derive(Debug)]
pub struct Layouts {
    /// Bytes of this struct.
    pub size: usize,
    /// abi_stable's own header: says whether the descriptions can be read at all. Opaque without the feature `layout`.
    pub header: *const std::ffi::c_void,
    /// `count` pointers to abi_stable's descriptions, in the order of [`LAYOUT_NAMES`].
    pub blocks: *const *const std::ffi::c_void,
    /// How many.
    pub count: usize,
}

// SAFETY: immutable statics all the way down.
unsafe impl Sync for Layouts {}
// SAFETY: as above.
unsafe impl Send for Layouts {}

/// The blocks that are compared. Only appended to.
pub const LAYOUT_NAMES: [&str; 19] = [
    "PluginBlock",
    "InstanceBlock",
    "SessionBlock",
    "SessionCalls",
    "HostCalls",
    "ExtensionBlock",
    "ExtensionCalls",
    "HandshakeBlock",
    "HandshakeCalls",
    "HttpBlock",
    "ExchangeCalls",
    "ClientBlock",
    "ClientCalls",
    "ConnectRequest",
    "PolicyBlock",
    "PolicyCalls",
    "HttpRequest",
    "ResponseBlock",
    "ResponseCalls",
];

/// The layouts of this build.
#[cfg(feature = "layout")]
pub static LAYOUTS: Layouts = Layouts {
    size: size_of::<Layouts>(),
    header: (&raw const HEADER).cast(),
    blocks: (&raw const BLOCKS).cast(),
    count: BLOCKS.len(),
};

#[cfg(feature = "layout")]
static HEADER: AbiHeader = AbiHeader::VALUE;

#[cfg(feature = "layout")]
static BLOCKS: [&TypeLayout; LAYOUT_NAMES.len()] = [
    <crate::PluginBlock as StableAbi>::LAYOUT,
    <crate::InstanceBlock as StableAbi>::LAYOUT,
    <crate::SessionBlock as StableAbi>::LAYOUT,
    <crate::SessionCalls as StableAbi>::LAYOUT,
    <crate::HostCalls as StableAbi>::LAYOUT,
    <crate::ExtensionBlock as StableAbi>::LAYOUT,
    <crate::ExtensionCalls as StableAbi>::LAYOUT,
    <crate::HandshakeBlock as StableAbi>::LAYOUT,
    <crate::HandshakeCalls as StableAbi>::LAYOUT,
    <crate::HttpBlock as StableAbi>::LAYOUT,
    <crate::ExchangeCalls as StableAbi>::LAYOUT,
    <crate::ClientBlock as StableAbi>::LAYOUT,
    <crate::ClientCalls as StableAbi>::LAYOUT,
    <crate::ConnectRequest<'static> as StableAbi>::LAYOUT,
    <crate::PolicyBlock as StableAbi>::LAYOUT,
    <crate::PolicyCalls as StableAbi>::LAYOUT,
    <crate::HttpRequest<'static> as StableAbi>::LAYOUT,
    <crate::ResponseBlock as StableAbi>::LAYOUT,
    <crate::ResponseCalls as StableAbi>::LAYOUT,
];

//! What an opened plugin file hands over: tables that live as long as the file is mapped, which is for ever.

use crate::{
    ClientBlock, ExtensionBlock, HandshakeBlock, HttpBlock, InstanceBlock, Layouts, PluginBlock,
    PolicyEntry, SessionBlock,
};

/// The one symbol that is looked up, by the name in the stamp. It returns the same static each time and
/// does nothing else.
pub type DeclarationFn = unsafe extern "C" fn() -> *const Declaration;

/// The tables of one plugin file. All pointers are to immutable statics.
#[repr(C)]
#[derive(Debug)]
pub struct Declaration {
    /// Bytes of this struct as the plugin knows it.
    pub size: usize,
    /// How the blocks look to the plugin's compiler; null in a plugin in C.
    pub layouts: *const Layouts,
    /// The calls that concern the whole file.
    pub plugin: *const PluginBlock,
    /// The protocols, in the order of the manifest.
    pub protocols: *const ProtocolEntry,
    /// How many; as many as the manifest names.
    pub protocol_count: usize,
    /// The extensions, in the order of the manifest; null when there are none.
    pub extensions: *const ExtensionEntry,
    /// How many; as many as the manifest names.
    pub extension_count: usize,
    /// The policies, in the order of the manifest; null when there are none.
    pub policies: *const PolicyEntry,
    /// How many; as many as the manifest names.
    pub policy_count: usize,
}

// SAFETY: a declaration is an immutable static whose pointers lead to immutable statics.
unsafe impl Sync for Declaration {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Declaration {}

/// One protocol of the file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ProtocolEntry {
    /// Bytes of this struct as the plugin knows it: the distance to the next entry.
    pub size: usize,
    /// State per vhost and per service thread.
    pub instance: *const InstanceBlock,
    /// State per session, and the hooks of a session; null when it answers HTTP only.
    pub session: *const SessionBlock,
    /// What the protocol has to say before there is a session; null when it has nothing to say.
    pub handshake: *const HandshakeBlock,
    /// State per exchange, and the hooks of an exchange; null when it does not answer HTTP. One of `session` and `http`
    /// is there, as the manifest says.
    pub http: *const HttpBlock,
    /// What the protocol has to say of a connection that it opens, before there is a session; null when it has nothing to say.
    pub client: *const ClientBlock,
}

// SAFETY: an entry is part of an immutable static and leads to immutable statics.
unsafe impl Sync for ProtocolEntry {}
// SAFETY: as above.
unsafe impl Send for ProtocolEntry {}

/// One extension of the file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExtensionEntry {
    /// Bytes of this struct as the plugin knows it: the distance to the next entry.
    pub size: usize,
    /// State per vhost and per service thread.
    pub instance: *const InstanceBlock,
    /// State per connection, and the hooks of a connection.
    pub extension: *const ExtensionBlock,
}

// SAFETY: an entry is part of an immutable static and leads to immutable statics.
unsafe impl Sync for ExtensionEntry {}
// SAFETY: as above.
unsafe impl Send for ExtensionEntry {}

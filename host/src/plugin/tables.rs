//! Reading the tables that a plugin hands over: the room where foreign memory becomes values.
//!
//! What a table says is taken on the plugin's word; its sizes, its pointers that may not be null, and between two
//! Rust sides its layout are not. Everything that is used later is copied out by value.

use std::any::type_name;
use std::ffi::c_void;
use std::sync::Arc;

use hotsocket_abi::{
    ClientBlock, Declaration, ExtensionBlock, ExtensionEntry, HandshakeBlock, HttpBlock,
    InstanceBlock, PluginBlock, PolicyBlock, PolicyEntry, ProtocolEntry, ResponseBlock,
    SessionBlock,
};

use described::{Described, field_name};

#[cfg(feature = "plugin-files")]
use super::layout::compare_layouts;
use super::manifest::{Manifest, ProtocolManifest};
use super::refusal::{Fault, Stage};

/// What blocks call their fields, which only files need to be told.
#[cfg(feature = "plugin-files")]
mod described {
    pub(super) use abi_stable::StableAbi as Described;

    pub(super) fn field_name<T: Described>(index: usize) -> Option<&'static str> {
        let fields = T::LAYOUT.get_fields();
        let field = fields.and_then(|fields| fields.get(index));
        field.map(|field| field.name())
    }
}

/// A plugin that is linked was compiled with the blocks that we know.
#[cfg(not(feature = "plugin-files"))]
mod described {
    pub(super) trait Described {}

    impl<T> Described for T {}

    pub(super) fn field_name<T: Described>(_: usize) -> Option<&'static str> {
        None
    }
}

/// No table is as large as this; a size above it is no size.
const TABLE_BYTES: usize = 1 << 16;

/// A plugin whose tables were read. Cheap to clone; valid for as long as the process lives.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What the plugin says of itself.
    pub manifest: Arc<Manifest>,
    /// The tables as the plugin holds them; blocks that later versions add are found through it.
    pub declaration: &'static Declaration,
    /// The calls that concern the whole plugin.
    pub plugin: PluginBlock,
    /// The calls of each protocol, in the order of the manifest.
    pub protocols: Arc<[ProtocolBlocks]>,
    /// The calls of each extension, in the order of the manifest.
    pub extensions: Arc<[ExtensionBlocks]>,
    /// The calls of each policy, in the order of the manifest.
    pub policies: Arc<[PolicyBlocks]>,
    /// Whether the plugin is linked into the program.
    pub linked: bool,
}

/// The blocks of one protocol.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolBlocks {
    /// State per vhost and per service thread.
    pub instance: InstanceBlock,
    /// State per session, and the hooks of a session; none when it answers HTTP only.
    pub session: Option<SessionBlock>,
    /// What the protocol has to say before there is a session.
    pub handshake: Option<HandshakeBlock>,
    /// State per exchange, and the hooks of an exchange; none when it does not answer HTTP.
    pub http: Option<HttpBlock>,
    /// What the protocol has to say of connections that it opens.
    pub client: Option<ClientBlock>,
}

/// The blocks of one extension.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionBlocks {
    /// State per vhost and per service thread.
    pub instance: InstanceBlock,
    /// State per connection, and the hooks of a connection.
    pub extension: ExtensionBlock,
}

/// The blocks of one policy.
#[derive(Clone, Copy, Debug)]
pub struct PolicyBlocks {
    /// State per vhost and per service thread.
    pub instance: InstanceBlock,
    /// The hooks.
    pub policy: PolicyBlock,
}

impl Opened {
    /// Takes a plugin that is linked into the program: what the `plugin()` function of its crate gives.
    ///
    /// # Errors
    ///
    /// At [`Stage::Manifest`], [`Stage::Names`], [`Stage::Declaration`] or [`Stage::Layout`].
    pub fn from_linked(declaration: &'static Declaration, manifest: &str) -> Result<Self, Fault> {
        let manifest = Manifest::parse(manifest.as_bytes())?;
        read_tables(declaration, manifest, true)
    }
}

pub(super) fn read_tables(
    declaration: &'static Declaration,
    manifest: Manifest,
    linked: bool,
) -> Result<Opened, Fault> {
    #[cfg(feature = "plugin-files")]
    compare_layouts(declaration.layouts)?;
    let protocols = read_entries(
        ("ProtocolEntry", "protocols"),
        (declaration.protocols, declaration.protocol_count),
        manifest.protocols.len(),
        |entry: &ProtocolEntry| entry.size,
        |entry| {
            Ok(ProtocolBlocks {
                instance: read_block(entry.instance)?,
                session: read_optional(entry.session)?,
                handshake: read_optional(entry.handshake)?,
                http: read_optional(entry.http)?,
                client: read_optional(entry.client)?,
            })
        },
    )?;
    for (blocks, said) in protocols.iter().zip(&manifest.protocols) {
        refuse_other_blocks(blocks, said)?;
    }
    let extensions = read_entries(
        ("ExtensionEntry", "extensions"),
        (declaration.extensions, declaration.extension_count),
        manifest.extensions.len(),
        |entry: &ExtensionEntry| entry.size,
        |entry| {
            Ok(ExtensionBlocks {
                instance: read_block(entry.instance)?,
                extension: read_block(entry.extension)?,
            })
        },
    )?;
    let policies = read_entries(
        ("PolicyEntry", "policies"),
        (declaration.policies, declaration.policy_count),
        manifest.policies.len(),
        |entry: &PolicyEntry| entry.size,
        |entry| {
            Ok(PolicyBlocks {
                instance: read_block(entry.instance)?,
                policy: read_block(entry.policy)?,
            })
        },
    )?;
    Ok(Opened {
        plugin: read_block(declaration.plugin)?,
        manifest: Arc::new(manifest),
        declaration,
        protocols: protocols.into(),
        extensions: extensions.into(),
        policies: policies.into(),
        linked,
    })
}

/// Reads the entries of a declaration, as many as the manifest names, and the blocks of each.
fn read_entries<E: Copy, B>(
    (name, plural): (&str, &str),
    (mut at, count): (*const E, usize),
    expected: usize,
    size: impl Fn(&E) -> usize,
    blocks: impl Fn(E) -> Result<B, Fault>,
) -> Result<Vec<B>, Fault> {
    if count != expected {
        return Err(declaration_fault(format!(
            "the declaration has {count} {plural}, the manifest {expected}"
        )));
    }
    let mut all = Vec::with_capacity(expected);
    for _ in 0..expected {
        // SAFETY: the declaration says that so many entries stand there, each as far from the next as it is long.
        unsafe { check_size(at.cast(), size_of::<E>(), name) }?;
        // SAFETY: as above, and it is at least as long as the one we know.
        let entry = unsafe { at.read() };
        all.push(blocks(entry)?);
        at = at.wrapping_byte_add(size(&entry));
    }
    Ok(all)
}

/// Refuses a table that is not there, or shorter than the `known` bytes that are about to be read of it.
///
/// # Safety
///
/// `table` must be null, misaligned, or lead to an immutable static that begins with its size as a `usize`.
pub(super) unsafe fn check_size(
    table: *const c_void,
    known: usize,
    name: &str,
) -> Result<(), Fault> {
    let size = table.cast::<usize>();
    if size.is_null() || !size.is_aligned() {
        return Err(declaration_fault(format!("{name} is at {table:p}")));
    }
    // SAFETY: not null, aligned, and readable as the caller promises.
    let size = unsafe { size.read() };
    if (known..=TABLE_BYTES).contains(&size) {
        return Ok(());
    }
    Err(declaration_fault(format!(
        "{name} has {size} bytes, expected {known}"
    )))
}

/// What the manifest says of a protocol is what stands in its tables.
fn refuse_other_blocks(blocks: &ProtocolBlocks, said: &ProtocolManifest) -> Result<(), Fault> {
    let found = [
        ("sessions", blocks.session.is_some(), said.websocket),
        ("HTTP", blocks.http.is_some(), said.http),
    ];
    for (what, has_block, is_said) in found {
        if has_block != is_said {
            let (name, has) = (&said.name, |has| if has { "has" } else { "has not" });
            return Err(declaration_fault(format!(
                "the manifest says that the protocol {name} {} {what}, its tables that it {}",
                has(is_said),
                has(has_block)
            )));
        }
    }
    Ok(())
}

/// The block that stands there, if one does.
fn read_optional<T: Described + Copy>(block: *const T) -> Result<Option<T>, Fault> {
    match block.is_null() {
        true => Ok(None),
        false => read_block(block).map(Some),
    }
}

/// The block of a plain request, which comes with it.
pub(super) fn read_response_block(block: *const ResponseBlock) -> Result<ResponseBlock, Fault> {
    read_block(block)
}

/// Copies a block: its size, then functions, none of which may be null.
fn read_block<T: Described + Copy>(block: *const T) -> Result<T, Fault> {
    let name = type_name::<T>().rsplit("::").next().unwrap_or_default();
    // SAFETY: the declaration says that a block stands there.
    unsafe { check_size(block.cast(), size_of::<T>(), name) }?;
    for index in 1..size_of::<T>() / size_of::<usize>() {
        // SAFETY: within the size of the block; read as integers, since a null function is no value of `T`.
        if unsafe { block.cast::<usize>().add(index).read() } == 0 {
            let field = field_name::<T>(index).unwrap_or("there");
            return Err(declaration_fault(format!("{name} has no function {field}")));
        }
    }
    // SAFETY: as long as a `T`, and each of its functions is there.
    Ok(unsafe { block.read() })
}

pub(super) fn declaration_fault(cause: String) -> Fault {
    Fault::new(
        Stage::Declaration,
        cause,
        "rebuild the plugin with export_plugin! of the hotsocket-plugin that belongs to this host",
    )
}

#[cfg(all(test, feature = "plugin-files"))]
pub(crate) mod tests;

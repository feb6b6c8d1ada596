//! Opening a copy of a plugin file and reading the tables it hands over: the room where foreign memory becomes values.
//!
//! What a table says is taken on the plugin's word; its sizes, its pointers that may not be null, and between two
//! Rust sides its layout are not. Everything that is used later is copied out by value. A library is never closed.

use std::ffi::{CString, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{AbiInstabilityErrors, check_layout_compatibility};
use abi_stable::library::AbiHeader;
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use hotsocket_abi::{
    Declaration, DeclarationFn, InstanceBlock, LAYOUT_NAMES, LAYOUTS, Layouts, PluginBlock,
    ProtocolEntry, SessionBlock,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::manifest::Manifest;
use super::refusal::{Fault, Stage};
use super::stamp::Stamped;

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
    /// Whether the plugin is linked into the program.
    pub linked: bool,
}

/// The blocks of one protocol.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolBlocks {
    /// State per vhost and per service thread.
    pub instance: InstanceBlock,
    /// State per session, and the hooks of a session.
    pub session: SessionBlock,
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

    /// Opens the private copy of a plugin file, whose constructors run, and reads its tables.
    ///
    /// # Errors
    ///
    /// At [`Stage::Open`]: nothing is mapped then. At [`Stage::Declaration`] or [`Stage::Layout`]: it stays mapped.
    pub fn from_copy(copy: &Path, stamped: &Stamped) -> Result<Self, Fault> {
        // SAFETY: constructors of the file run here. The operator put it into a directory that only root and we may
        // write to, and its stamp says that it is a plugin; that is all the trust there can be in native code.
        let library = unsafe { Library::open(Some(copy), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|e| not_opened(&e))?;
        // Nothing ever closes it: `declaration` and all it leads to stay valid.
        let library = ManuallyDrop::new(library);
        let symbol = CString::new(stamped.declaration.as_str()).map_err(|_| {
            declaration_fault("the name of the declaration symbol contains NUL".into())
        })?;
        // SAFETY: the stamp says that the symbol is a `DeclarationFn`.
        let declare = unsafe { library.get::<DeclarationFn>(symbol.as_bytes_with_nul()) }
            .map_err(|error| declaration_fault(with_source(&error)))?;
        // SAFETY: the function takes nothing and only returns the address of a static.
        let declaration = unsafe { declare() };
        // SAFETY: the plugin gives the address of a `Declaration` in a library that is never closed.
        unsafe { check_size(declaration.cast(), size_of::<Declaration>(), "Declaration") }?;
        // SAFETY: as above, and it is at least as long as the one we know.
        let declaration = unsafe { &*declaration };
        read_tables(declaration, stamped.manifest.clone(), false)
    }
}

fn read_tables(
    declaration: &'static Declaration,
    manifest: Manifest,
    linked: bool,
) -> Result<Opened, Fault> {
    compare_layouts(declaration.layouts)?;
    if declaration.protocol_count != manifest.protocols.len() {
        return Err(declaration_fault(format!(
            "the declaration has {} protocols, the manifest {}",
            declaration.protocol_count,
            manifest.protocols.len()
        )));
    }
    let mut protocols = Vec::with_capacity(manifest.protocols.len());
    let mut at = declaration.protocols;
    for _ in &manifest.protocols {
        // SAFETY: the declaration says that so many entries stand there, each as far from the next as it is long.
        unsafe { check_size(at.cast(), size_of::<ProtocolEntry>(), "ProtocolEntry") }?;
        // SAFETY: as above, and it is at least as long as the one we know.
        let entry = unsafe { at.read() };
        protocols.push(ProtocolBlocks {
            instance: read_block(entry.instance)?,
            session: read_block(entry.session)?,
        });
        at = at.wrapping_byte_add(entry.size);
    }
    Ok(Opened {
        plugin: read_block(declaration.plugin)?,
        manifest: Arc::new(manifest),
        declaration,
        protocols: protocols.into(),
        linked,
    })
}

/// Refuses a table that is not there, or shorter than the `known` bytes that are about to be read of it.
///
/// # Safety
///
/// `table` must be null, misaligned, or lead to an immutable static that begins with its size as a `usize`.
unsafe fn check_size(table: *const c_void, known: usize, name: &str) -> Result<(), Fault> {
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

/// Copies a block: its size, then functions, none of which may be null.
fn read_block<T: StableAbi + Copy>(block: *const T) -> Result<T, Fault> {
    let layout = T::LAYOUT;
    // SAFETY: the declaration says that a block stands there.
    unsafe { check_size(block.cast(), size_of::<T>(), layout.name()) }?;
    for index in 1..size_of::<T>() / size_of::<usize>() {
        // SAFETY: within the size of the block; read as integers, since a null function is no value of `T`.
        if unsafe { block.cast::<usize>().add(index).read() } == 0 {
            let field = layout.get_fields().and_then(|fields| fields.get(index));
            return Err(declaration_fault(format!(
                "{} has no function {}",
                layout.name(),
                field.map_or("there", |field| field.name())
            )));
        }
    }
    // SAFETY: as long as a `T`, and each of its functions is there.
    Ok(unsafe { block.read() })
}

/// Compares what both compilers made of the blocks that both sides know. A plugin in C has no layouts.
fn compare_layouts(theirs: *const Layouts) -> Result<(), Fault> {
    if theirs.is_null() {
        return Ok(());
    }
    // SAFETY: the declaration says that `Layouts` stand there.
    unsafe { check_size(theirs.cast(), size_of::<Layouts>(), "Layouts") }?;
    // SAFETY: as above, and they are at least as long as those we know.
    let theirs = unsafe { &*theirs };
    let header = theirs.header.cast::<AbiHeader>();
    if header.is_null() || !header.is_aligned() {
        return Err(declaration_fault(format!(
            "Layouts.header is at {header:p}"
        )));
    }
    // SAFETY: the header is plain data, the same in all versions of abi_stable, with a magic string to know it by.
    let header = unsafe { &*header };
    if !header.is_valid() {
        return Err(layout_fault(format!(
            "the layouts of abi_stable {}.{} cannot be compared with those of {}.{}",
            header.abi_major,
            header.abi_minor,
            AbiHeader::VALUE.abi_major,
            AbiHeader::VALUE.abi_minor
        )));
    }
    for (index, block) in LAYOUT_NAMES.iter().enumerate().take(theirs.count) {
        // SAFETY: both have more than `index` descriptions; the header says that abi_stable can read them.
        let (expected, found) = unsafe { (layout_at(&LAYOUTS, index)?, layout_at(theirs, index)?) };
        compare_block(block, expected, found)?;
    }
    Ok(())
}

/// # Safety
///
/// `index` must be less than `layouts.count`, and the descriptions must be those of this version of abi_stable.
unsafe fn layout_at(layouts: &Layouts, index: usize) -> Result<&'static TypeLayout, Fault> {
    let missing = || declaration_fault(format!("Layouts.blocks has nothing at {index}"));
    if layouts.blocks.is_null() || !layouts.blocks.is_aligned() {
        return Err(missing());
    }
    // SAFETY: the array has `count` places and `index` is less.
    let layout = unsafe { layouts.blocks.add(index).read() }.cast::<TypeLayout>();
    if layout.is_null() || !layout.is_aligned() {
        return Err(missing());
    }
    // SAFETY: a description in a static of a library that is never closed.
    Ok(unsafe { &*layout })
}

fn compare_block(
    block: &str,
    expected: &'static TypeLayout,
    found: &'static TypeLayout,
) -> Result<(), Fault> {
    check_layout_compatibility(expected, found)
        .map_err(|errors| layout_fault(format!("{block}{}", first_mismatch(&errors))))
}

/// The first thing of the many that abi_stable tells: which field, what is wrong, expected and found.
fn first_mismatch(errors: &AbiInstabilityErrors) -> String {
    let mut words = String::new();
    let Some(error) = errors.errors.iter().find(|error| !error.errs.is_empty()) else {
        return " differs".into();
    };
    for place in &error.stack_trace {
        // A function stands between the field it is the type of and its parameter, and has the name of the field.
        if let TLFieldOrFunction::Field(field) = &place.expected {
            words.push('.');
            words.push_str(field.name().trim_end_matches(','));
        }
    }
    let text = error.to_string();
    let essence = text.split("\nError:").nth(1).unwrap_or("differs");
    let essence: Vec<_> = essence.split_whitespace().take(40).collect();
    let essence = essence
        .join(" ")
        .replace(" Expected: ", ", expected ")
        .replace(" Found: ", ", found ");
    format!("{words}: {essence}")
}

fn not_opened(error: &libloading::Error) -> Fault {
    let cause = with_source(error);
    let mend = if cause.contains("failed to map segment") {
        "set TMPDIR to a directory that is not mounted noexec"
    } else if cause.contains("undefined symbol") {
        "link the library that defines this symbol into the plugin"
    } else if cause.contains("' not found") {
        "build the plugin on the system it is to run on, or an older one"
    } else if cause.contains("cannot open shared object file") {
        "install the library that the plugin needs, or link it into the plugin"
    } else {
        "rebuild the plugin as a cdylib for this system"
    };
    Fault::new(Stage::Open, cause, mend)
}

/// libloading's own text only says which function failed.
fn with_source(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn declaration_fault(cause: String) -> Fault {
    Fault::new(
        Stage::Declaration,
        cause,
        "rebuild the plugin with export_plugin! of the hotsocket-plugin that belongs to this host",
    )
}

fn layout_fault(cause: String) -> Fault {
    Fault::new(
        Stage::Layout,
        cause,
        "rebuild the plugin with the hotsocket-plugin that belongs to this host",
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use hotsocket_abi::{Host, STATUS_OK, Status};

    use super::*;
    use crate::plugin::stamp::plugin_file;

    const ECHO: &str = r#"{"plugin":"echo","version":"1.0.0","protocols":[{"name":"echo"}]}"#;

    unsafe extern "C" fn start(_: *const Host, _: u32) -> Status {
        STATUS_OK
    }

    static PLUGIN: PluginBlock = PluginBlock {
        size: size_of::<PluginBlock>(),
        start,
    };

    static NOTHING: Declaration = Declaration {
        size: size_of::<Declaration>(),
        layouts: std::ptr::null(),
        plugin: &raw const PLUGIN,
        protocols: std::ptr::null(),
        protocol_count: 0,
    };

    /// A plugin that was never opened: for tests that only look at its manifest.
    pub(crate) fn opened(manifest: Manifest) -> Opened {
        Opened {
            manifest: Arc::new(manifest),
            declaration: &NOTHING,
            plugin: PLUGIN,
            protocols: Arc::new([]),
            linked: false,
        }
    }

    /// A declaration whose blocks are these words, which leak as a static would.
    fn declare(instance: Vec<usize>, session: Vec<usize>, count: usize) -> &'static Declaration {
        let entry = ProtocolEntry {
            size: size_of::<ProtocolEntry>(),
            instance: instance.leak().as_ptr().cast(),
            session: session.leak().as_ptr().cast(),
        };
        Box::leak(Box::new(Declaration {
            size: size_of::<Declaration>(),
            layouts: &raw const LAYOUTS,
            plugin: &raw const PLUGIN,
            protocols: Box::leak(Box::new(entry)),
            protocol_count: count,
        }))
    }

    fn block<T>() -> Vec<usize> {
        let mut words = vec![start as *const () as usize; size_of::<T>() / size_of::<usize>()];
        words[0] = size_of::<T>();
        words
    }

    fn cause(declaration: &'static Declaration) -> String {
        let fault = Opened::from_linked(declaration, ECHO).unwrap_err();
        assert_eq!(fault.stage, Stage::Declaration);
        fault.cause
    }

    #[test]
    fn tables_with_the_layouts_of_this_build_are_read() {
        let declaration = declare(block::<InstanceBlock>(), block::<SessionBlock>(), 1);
        let opened = Opened::from_linked(declaration, ECHO).unwrap();
        assert_eq!(opened.protocols.len(), 1);
        assert!(opened.linked);
    }

    #[test]
    fn a_block_that_is_too_short_absent_or_lacks_a_function_is_named() {
        let mut short = block::<SessionBlock>();
        short[0] -= 8;
        assert_eq!(
            cause(declare(block::<InstanceBlock>(), short, 1)),
            "SessionBlock has 64 bytes, expected 72"
        );

        let mut hole = block::<InstanceBlock>();
        hole[3] = 0;
        assert_eq!(
            cause(declare(hole, block::<SessionBlock>(), 1)),
            "InstanceBlock has no function destroy"
        );

        assert_eq!(
            cause(declare(
                block::<InstanceBlock>(),
                block::<SessionBlock>(),
                2
            )),
            "the declaration has 2 protocols, the manifest 1"
        );
    }

    mod ours {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Block {
            pub(super) size: usize,
            pub(super) call: extern "C" fn(level: u32),
        }
    }

    mod theirs {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Block {
            pub(super) size: usize,
            pub(super) call: extern "C" fn(level: i32),
        }
    }

    #[test]
    fn a_changed_field_is_told_in_words() {
        let fault = compare_block(
            "Block",
            <ours::Block as StableAbi>::LAYOUT,
            <theirs::Block as StableAbi>::LAYOUT,
        )
        .unwrap_err();
        assert_eq!(fault.stage, Stage::Layout);
        assert_eq!(
            fault.cause,
            "Block.call.level: mismatched type, expected u32, found i32"
        );
    }

    #[test]
    fn what_the_loader_of_the_system_refuses_is_told_in_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("echo.so");
        let bytes = plugin_file(ECHO, |_| {});
        fs::write(&file, &bytes).unwrap();
        let stamped = Stamped::parse(&bytes).unwrap();
        let fault = Opened::from_copy(&file, &stamped).unwrap_err();
        assert_eq!(fault.stage, Stage::Open);
        assert!(fault.cause.contains("echo.so: "), "{}", fault.cause);
    }
}

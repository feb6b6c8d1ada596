//! What both compilers made of the blocks, compared by abi_stable and told in words.

use abi_stable::abi_stability::abi_checking::{AbiInstabilityErrors, check_layout_compatibility};
use abi_stable::library::AbiHeader;
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use hotsocket_abi::{LAYOUT_NAMES, LAYOUTS, Layouts};

use super::refusal::{Fault, Stage};
use super::tables::{check_size, declaration_fault};

/// Compares what both compilers made of the blocks that both sides know. A plugin in C has no layouts.
pub(super) fn compare_layouts(theirs: *const Layouts) -> Result<(), Fault> {
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

fn layout_fault(cause: String) -> Fault {
    Fault::new(
        Stage::Layout,
        cause,
        "rebuild the plugin with the hotsocket-plugin that belongs to this host",
    )
}

#[cfg(test)]
mod tests {
    use abi_stable::StableAbi;

    use super::*;

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
}

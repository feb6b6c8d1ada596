//! From the bytes of a file to its stamp section: is it a complete shared library for this machine?
//!
//! The linker is trusted with nothing here. A file that is cut short would end the host inside `dlopen` with
//! SIGBUS, so every segment and section must lie inside the file before it is opened.

use hotsocket_abi::SECTION;
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{FileHeader, SectionHeader};

use super::refusal::{Fault, Stage, Unfit};

type Header = FileHeader64<LittleEndian>;

const ORDER: LittleEndian = LittleEndian;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;

/// The number and name of the machine this host runs on.
const MACHINE: (u16, &str) = if cfg!(target_arch = "x86_64") {
    (62, "x86_64")
} else if cfg!(target_arch = "aarch64") {
    (183, "aarch64")
} else if cfg!(target_arch = "riscv64") {
    (243, "riscv64")
} else {
    panic!("add the ELF machine number of this architecture here")
};

/// The stamp section of a complete shared library for this machine. Bytes behind the end of the ELF are allowed.
pub(crate) fn stamp_section(bytes: &[u8]) -> Result<&[u8], Unfit> {
    refuse_other_formats(bytes)?;
    let header = Header::parse(bytes).map_err(|error| wrong(error.to_string()))?;
    refuse_other_machines(header)?;
    refuse_truncation(header, bytes)?;
    find_section(header, bytes)
}

fn refuse_other_formats(bytes: &[u8]) -> Result<(), Unfit> {
    if bytes.is_empty() {
        return Err(incomplete("the file is empty"));
    }
    let start = &bytes[..bytes.len().min(elf::ELFMAG.len())];
    if start.iter().all(|&byte| byte == 0) {
        return Err(incomplete("the file begins with zeros"));
    }
    if !elf::ELFMAG.starts_with(start) {
        let found = bytes[..bytes.len().min(16)].escape_ascii();
        return Err(wrong(format!(
            "no ELF file: it begins with \"{found}\", expected \"\\x7fELF\""
        )));
    }
    if bytes.len() < size_of::<Header>() {
        return Err(incomplete(format!(
            "the file has {} bytes, its ELF header alone has {}",
            bytes.len(),
            size_of::<Header>()
        )));
    }
    if (bytes[4], bytes[5]) != (CLASS_64, LITTLE_ENDIAN) {
        return Err(wrong(format!(
            "the ELF file is not 64 bit little endian (class {}, byte order {})",
            bytes[4], bytes[5]
        )));
    }
    Ok(())
}

fn refuse_other_machines(header: &Header) -> Result<(), Unfit> {
    let machine = header.e_machine.get(ORDER).0;
    if machine != MACHINE.0 {
        return Err(wrong(format!(
            "built for ELF machine {machine}, expected {} ({})",
            MACHINE.0, MACHINE.1
        )));
    }
    let kind = header.e_type.get(ORDER);
    if kind != elf::ET_DYN {
        return Err(wrong(format!(
            "no shared library: ELF type {}, expected {}",
            kind.0,
            elf::ET_DYN.0
        )));
    }
    Ok(())
}

fn refuse_truncation(header: &Header, bytes: &[u8]) -> Result<(), Unfit> {
    let inside = |what: String, offset: u64, size: u64| {
        let end = offset.saturating_add(size);
        if end <= bytes.len() as u64 {
            return Ok(());
        }
        Err(incomplete(format!(
            "{what} ends at byte {end}, but the file has {} bytes",
            bytes.len()
        )))
    };
    let table = |count: u16, entry: usize| u64::from(count) * entry as u64;

    inside(
        "the program header table".into(),
        header.e_phoff.get(ORDER),
        table(
            header.e_phnum.get(ORDER),
            size_of::<ProgramHeader64<LittleEndian>>(),
        ),
    )?;
    let segments = header
        .program_headers(ORDER, bytes)
        .map_err(|error| wrong(error.to_string()))?;
    for (index, segment) in segments.iter().enumerate() {
        inside(
            format!("segment {index}"),
            segment.p_offset.get(ORDER),
            segment.p_filesz.get(ORDER),
        )?;
    }

    inside(
        "the section table".into(),
        header.e_shoff.get(ORDER),
        table(
            header.e_shnum.get(ORDER),
            size_of::<SectionHeader64<LittleEndian>>(),
        ),
    )?;
    let sections = header
        .section_headers(ORDER, bytes)
        .map_err(|error| wrong(error.to_string()))?;
    for (index, section) in sections.iter().enumerate() {
        if let Some((offset, size)) = section.file_range(ORDER) {
            inside(format!("section {index}"), offset, size)?;
        }
    }
    Ok(())
}

fn find_section<'a>(header: &Header, bytes: &'a [u8]) -> Result<&'a [u8], Unfit> {
    let sections = header
        .sections(ORDER, bytes)
        .map_err(|error| wrong(error.to_string()))?;
    let Some((_, section)) = sections.section_by_name(ORDER, SECTION.as_bytes()) else {
        return Err(Unfit::Wrong(Fault::new(
            Stage::Stamp,
            format!("the library has no section {SECTION}, so it is no Hotsocket plugin"),
            "build it with hotsocket-plugin and export_plugin!, or move it out of the plugin directory",
        )));
    };
    section
        .data(ORDER, bytes)
        .map_err(|error| wrong(error.to_string()))
}

fn incomplete(cause: impl Into<String>) -> Unfit {
    Unfit::Incomplete(Fault::new(
        Stage::Elf,
        cause,
        "copy the whole file into the plugin directory again",
    ))
}

fn wrong(cause: impl Into<String>) -> Unfit {
    Unfit::Wrong(Fault::new(
        Stage::Elf,
        cause,
        format!("build the plugin as a cdylib for {} Linux", MACHINE.1),
    ))
}

/// The smallest shared library that carries `section` as its stamp section.
#[cfg(test)]
pub(crate) fn library_with(section: &[u8]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.shstrtab\0.hotsocket\0";
    let names_at = size_of::<Header>() + size_of::<ProgramHeader64<LittleEndian>>();
    let section_at = (names_at + NAMES.len()).next_multiple_of(8);
    let table_at = (section_at + section.len()).next_multiple_of(8);

    let mut bytes = Vec::new();
    bytes.extend(elf::ELFMAG);
    bytes.extend([CLASS_64, LITTLE_ENDIAN, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(3_u16.to_le_bytes()); // a shared library
    bytes.extend(MACHINE.0.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes()); // entry
    bytes.extend(64_u64.to_le_bytes()); // program headers
    bytes.extend((table_at as u64).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 3, 1] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1_u32.to_le_bytes()); // PT_LOAD of the whole file up to the section table
    bytes.extend(4_u32.to_le_bytes());
    for word in [0, 0, 0, table_at as u64, table_at as u64, 4096] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(NAMES);
    bytes.resize(section_at, 0);
    bytes.extend(section);
    bytes.resize(table_at, 0);
    for (name, kind, offset, size) in [
        (0_u32, 0_u32, 0, 0),
        (1, 3, names_at, NAMES.len()),
        (11, 1, section_at, section.len()),
    ] {
        bytes.extend(name.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for word in [0, 0, offset as u64, size as u64, 0, 1, 0] {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(bytes: &[u8]) -> String {
        match stamp_section(bytes).unwrap_err() {
            Unfit::Incomplete(fault) => format!("incomplete: {}", fault.cause),
            Unfit::Wrong(fault) => format!("{}: {}", fault.stage, fault.cause),
        }
    }

    #[test]
    fn the_section_of_a_complete_library_is_found_also_with_bytes_behind_its_end() {
        let mut bytes = library_with(b"the stamp");
        assert_eq!(stamp_section(&bytes).unwrap(), b"the stamp");
        bytes.extend(b"marker");
        assert_eq!(stamp_section(&bytes).unwrap(), b"the stamp");
    }

    #[test]
    fn a_library_that_is_cut_anywhere_is_incomplete() {
        let bytes = library_with(b"the stamp");
        for len in 0..bytes.len() {
            let found = stamp_section(&bytes[..len]);
            assert!(matches!(found, Err(Unfit::Incomplete(_))), "at byte {len}");
        }
    }

    #[test]
    fn a_real_file_that_is_cut_at_every_4_kib_is_incomplete() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in (0..bytes.len()).step_by(4096) {
            let found = stamp_section(&bytes[..len]);
            assert!(matches!(found, Err(Unfit::Incomplete(_))), "at byte {len}");
        }
    }

    #[test]
    fn a_library_that_is_no_plugin_is_told_so() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut mapped = maps
            .lines()
            .filter_map(|line| line.split_whitespace().last());
        let libc = mapped.find(|path| path.ends_with("/libc.so.6")).unwrap();
        assert_eq!(
            cause(&std::fs::read(libc).unwrap()),
            "stamp: the library has no section .hotsocket, so it is no Hotsocket plugin"
        );
    }

    #[test]
    fn zeros_at_the_beginning_are_a_file_that_is_still_being_written() {
        assert_eq!(cause(&[0; 4096]), "incomplete: the file begins with zeros");
    }

    #[test]
    fn text_is_no_elf_file() {
        assert_eq!(
            cause(b"hello, world\n"),
            "elf: no ELF file: it begins with \"hello, world\\n\", expected \"\\x7fELF\""
        );
    }

    #[test]
    fn another_machine_class_or_kind_is_named() {
        let mut bytes = library_with(b"the stamp");
        bytes[18] = 40;
        assert!(cause(&bytes).starts_with("elf: built for ELF machine 40, expected "));

        let mut bytes = library_with(b"the stamp");
        bytes[4] = 1;
        assert!(cause(&bytes).contains("not 64 bit little endian"));

        let mut bytes = library_with(b"the stamp");
        bytes[16] = 2;
        assert_eq!(
            cause(&bytes),
            "elf: no shared library: ELF type 2, expected 3"
        );
    }
}

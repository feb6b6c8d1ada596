//! What a plugin file says before any code of it runs: the stamp and the manifest behind it.

use std::mem::offset_of;

use hotsocket_abi::{
    ABI_MAJOR, ABI_MINOR, FLAG_PANIC_ABORT, FLAG_RUST, LAYOUT_HASH, MAGIC, SECTION, Stamp,
};
use serde::Serialize;

use super::elf;
use super::manifest::Manifest;
use super::refusal::{Fault, Stage, Unfit};

/// A file that may be opened, as far as its bytes can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stamped {
    /// The ABI it was built for, major and minor.
    pub abi: (u32, u32),
    /// Whether it was built by a Rust compiler, so that layouts can be compared.
    pub rust: bool,
    /// The compiler, for messages only.
    pub toolchain: String,
    /// The symbol of its declaration function.
    pub declaration: String,
    /// What the plugin says of itself.
    pub manifest: Manifest,
}

impl Stamped {
    /// Reads the bytes of a plugin file without running any of it.
    ///
    /// # Errors
    ///
    /// [`Unfit::Incomplete`] when the file is cut short and may still be growing, otherwise [`Unfit::Wrong`].
    pub fn parse(file: &[u8]) -> Result<Self, Unfit> {
        Ok(Self::decode(elf::stamp_section(file)?)?)
    }

    fn decode(section: &[u8]) -> Result<Self, Fault> {
        let fixed = fixed_part(section)?;
        let stamp_size = u32_at(fixed, offset_of!(Stamp, size)) as usize;
        let manifest_len = u32_at(fixed, offset_of!(Stamp, manifest_len)) as usize;
        let manifest = section[stamp_size..].get(..manifest_len).ok_or_else(|| {
            damaged(format!(
                "the manifest of {manifest_len} bytes does not fit into the section of {}",
                section.len()
            ))
        })?;
        let flags = u32_at(fixed, offset_of!(Stamp, flags));
        if flags & FLAG_PANIC_ABORT != 0 {
            return Err(Fault::new(
                Stage::Abi,
                "the plugin was built with panic = \"abort\": its first panic would end the host",
                "remove panic = \"abort\" from the profile in its Cargo.toml and rebuild it",
            ));
        }
        Ok(Self {
            abi: (
                u32_at(fixed, offset_of!(Stamp, abi_major)),
                u32_at(fixed, offset_of!(Stamp, abi_minor)),
            ),
            rust: flags & FLAG_RUST != 0,
            toolchain: toolchain(fixed),
            declaration: symbol(fixed)?,
            manifest: Manifest::parse(manifest)?,
        })
    }
}

/// The fixed part, once it is known that it is one of our ABI and complete.
fn fixed_part(section: &[u8]) -> Result<&[u8], Fault> {
    // These fields come first and stay where they are, so that the message is right for any ABI.
    const HEAD: usize = offset_of!(Stamp, flags);
    if section.len() < HEAD || section[..MAGIC.len()] != MAGIC {
        return Err(damaged(format!(
            "the section {SECTION} of {} bytes does not begin with {}",
            section.len(),
            MAGIC.escape_ascii()
        )));
    }
    let major = u32_at(section, offset_of!(Stamp, abi_major));
    let minor = u32_at(section, offset_of!(Stamp, abi_minor));
    if major != ABI_MAJOR {
        return Err(other_abi(format!(
            "built for ABI {major}.{minor}, this host has ABI {ABI_MAJOR}.{ABI_MINOR}"
        )));
    }
    let size = u32_at(section, offset_of!(Stamp, size)) as usize;
    if size < size_of::<Stamp>() || size > section.len() {
        return Err(damaged(format!(
            "the stamp says it has {size} bytes, expected {} to {}",
            size_of::<Stamp>(),
            section.len()
        )));
    }
    let hash = u64_at(section, offset_of!(Stamp, layout_hash));
    if ABI_MAJOR == 0 && hash != LAYOUT_HASH {
        return Err(other_abi(format!(
            "built for another state of ABI {major}.{minor}: layout hash {hash:016x}, this host has {LAYOUT_HASH:016x} (toolchain of the plugin: {})",
            toolchain(section)
        )));
    }
    Ok(&section[..size])
}

fn symbol(fixed: &[u8]) -> Result<String, Fault> {
    const START: usize = offset_of!(Stamp, declaration);
    let padded = &fixed[START..START + size_of::<Stamp>() - START];
    let name = padded.split(|&byte| byte == 0).next().unwrap_or_default();
    // It carries the name of a package, which may contain more than an identifier of Rust or C.
    if name.is_empty() || name.len() == padded.len() || !name.iter().all(u8::is_ascii_graphic) {
        return Err(damaged(format!(
            "the declaration symbol \"{}\" is none",
            name.escape_ascii()
        )));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn toolchain(fixed: &[u8]) -> String {
    let padded = &fixed[offset_of!(Stamp, toolchain)..offset_of!(Stamp, declaration)];
    let text = padded.split(|&byte| byte == 0).next().unwrap_or_default();
    text.escape_ascii().to_string()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

fn damaged(cause: String) -> Fault {
    Fault::new(
        Stage::Stamp,
        cause,
        "rebuild the plugin and copy it again; do not edit the file",
    )
}

fn other_abi(cause: String) -> Fault {
    Fault::new(
        Stage::Abi,
        cause,
        format!(
            "rebuild the plugin with the hotsocket-plugin of ABI {ABI_MAJOR}.{ABI_MINOR} that belongs to this host"
        ),
    )
}

/// The bytes of a library with a good stamp, changed by `edit`, and `manifest`.
#[cfg(test)]
pub(crate) fn plugin_file(manifest: &str, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut section = Vec::new();
    section.extend(MAGIC);
    for word in [size_of::<Stamp>() as u32, ABI_MAJOR, ABI_MINOR, FLAG_RUST] {
        section.extend(word.to_le_bytes());
    }
    section.extend(LAYOUT_HASH.to_le_bytes());
    section.extend((manifest.len() as u32).to_le_bytes());
    section.extend(0_u32.to_le_bytes());
    section.extend(b"rustc 1.95.0");
    section.resize(offset_of!(Stamp, declaration), 0);
    section.extend(b"hotsocket_plugin_decl_my-echo");
    section.resize(size_of::<Stamp>(), 0);
    section.extend(manifest.as_bytes());
    edit(&mut section);
    elf::library_with(&section)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: &str = r#"{"plugin":"echo","version":"1.0.0","protocols":[{"name":"echo"}]}"#;

    fn fault(edit: impl FnOnce(&mut Vec<u8>)) -> Fault {
        match Stamped::parse(&plugin_file(ECHO, edit)).unwrap_err() {
            Unfit::Wrong(fault) => fault,
            Unfit::Incomplete(fault) => panic!("incomplete: {}", fault.cause),
        }
    }

    #[test]
    fn a_good_file_tells_its_manifest_symbol_and_toolchain() {
        let stamped = Stamped::parse(&plugin_file(ECHO, |_| {})).unwrap();
        assert_eq!(stamped.manifest.plugin, "echo");
        assert_eq!(stamped.declaration, "hotsocket_plugin_decl_my-echo");
        assert_eq!(stamped.toolchain, "rustc 1.95.0");
        assert!(stamped.rust);
    }

    #[test]
    fn a_longer_stamp_of_a_later_minor_version_is_read() {
        let file = plugin_file(ECHO, |section| {
            let size = size_of::<Stamp>();
            section[16..20].copy_from_slice(&(size as u32 + 8).to_le_bytes());
            section.splice(size..size, [0xff; 8]);
        });
        assert_eq!(Stamped::parse(&file).unwrap().manifest.plugin, "echo");
    }

    #[test]
    fn another_abi_is_refused_with_both_versions() {
        let fault = fault(|section| section[20..24].copy_from_slice(&7_u32.to_le_bytes()));
        assert_eq!(fault.stage, Stage::Abi);
        assert_eq!(fault.cause, "built for ABI 7.1, this host has ABI 0.1");
        assert!(
            fault
                .mend
                .starts_with("rebuild the plugin with the hotsocket-plugin of ABI 0.1")
        );
    }

    #[test]
    fn another_state_of_abi_0_is_refused() {
        let fault = fault(|section| section[offset_of!(Stamp, layout_hash)] ^= 1);
        assert_eq!(fault.stage, Stage::Abi);
        assert!(fault.cause.contains("layout hash"), "{}", fault.cause);
    }

    #[test]
    fn a_plugin_that_aborts_on_panic_is_refused() {
        let fault = fault(|section| section[offset_of!(Stamp, flags)] |= 2);
        assert_eq!(fault.stage, Stage::Abi);
        assert!(fault.mend.contains("panic"));
    }

    #[test]
    fn a_damaged_stamp_is_refused_and_never_panics() {
        let first = |edit: fn(&mut Vec<u8>)| fault(edit).stage;
        assert_eq!(first(|section| section.clear()), Stage::Stamp);
        assert_eq!(first(|section| section[0] = b'X'), Stage::Stamp);
        assert_eq!(first(|section| section[16] = 1), Stage::Stamp);
        assert_eq!(first(|section| section[19] = 0xff), Stage::Stamp);
        assert_eq!(first(|section| section.truncate(100)), Stage::Stamp);
        assert_eq!(first(|section| section[43] = 0xff), Stage::Stamp);
        assert_eq!(
            first(|section| section[offset_of!(Stamp, declaration)] = 0),
            Stage::Stamp
        );
        assert_eq!(
            first(|section| section[offset_of!(Stamp, declaration)] = b' '),
            Stage::Stamp
        );
    }

    #[test]
    fn a_stamp_cut_anywhere_is_refused_and_never_panics() {
        let length = size_of::<Stamp>() + ECHO.len();
        for keep in 0..length {
            assert_eq!(fault(|section| section.truncate(keep)).stage, Stage::Stamp);
        }
    }
}

//! Who may have a name. A plugin is its manifest name, not its file, and a protocol is served by one plugin: of two
//! that want the same the one that serves stays.

use std::path::Path;

use super::generation::Generation;
use super::manifest::{Manifest, Provided};
use super::refusal::{Fault, Stage};

/// How firmly a plugin that serves holds its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Its file is there.
    Firm,
    /// Its file is not there, which may be for a moment only: a file with the same plugin name may take over.
    Absent,
    /// Its file was removed: all its names are free.
    Gone,
}

/// A plugin that serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    pub(crate) generation: &'a Generation,
    pub(crate) manifest: &'a Manifest,
    pub(crate) hold: Hold,
}

/// Whether `file` may serve what its `manifest` names, beside or in place of this holder. In its place it must
/// not lack what `is_used`.
pub(crate) fn judge(
    file: &Path,
    manifest: &Manifest,
    holder: Holder<'_>,
    is_used: &dyn Fn(Provided<'_>) -> bool,
) -> Result<(), Fault> {
    let held_by = &holder.generation.file;
    if holder.hold == Hold::Gone {
        return Ok(());
    }
    if held_by == file {
        return judge_loss(manifest, holder, is_used);
    }
    if holder.generation.plugin != manifest.plugin {
        return match shared(manifest, holder.manifest) {
            Some(what) => Err(taken(&what.to_string(), file, held_by)),
            None => Ok(()),
        };
    }
    if holder.hold == Hold::Firm {
        let what = format!("the plugin name {}", manifest.plugin);
        return Err(taken(&what, file, held_by));
    }
    judge_loss(manifest, holder, is_used)
}

/// Something that both provide.
pub(crate) fn shared<'a>(one: &'a Manifest, other: &Manifest) -> Option<Provided<'a>> {
    one.provided().find(|what| other.provides(*what))
}

fn judge_loss(
    manifest: &Manifest,
    before: Holder<'_>,
    is_used: &dyn Fn(Provided<'_>) -> bool,
) -> Result<(), Fault> {
    let mut provided = before.manifest.provided();
    let Some(lost) = provided.find(|what| !manifest.provides(*what) && is_used(*what)) else {
        return Ok(());
    };
    Err(Fault::new(
        Stage::Names,
        format!(
            "version {} lacks {lost}, which generation {} (version {}) serves",
            manifest.version, before.generation.number, before.generation.version
        ),
        format!(
            "keep it, or run `hotsocket plugin reload {} --force`",
            manifest.plugin
        ),
    ))
}

fn taken(what: &str, file: &Path, held_by: &Path) -> Fault {
    Fault::new(
        Stage::Names,
        format!(
            "{what} of {} is already served from {}",
            file.display(),
            held_by.display()
        ),
        "remove one of the two files, or rename what is in one of them",
    )
}

//! Why a plugin file is not served: one value for everything that can go wrong with a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::manifest::Manifest;

/// Where on its way a plugin file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the file.
    Read,
    /// Who owns the file and its directory, and who may write to them.
    Permissions,
    /// Waiting until nobody writes to the file any more.
    Settle,
    /// Is it a complete shared library for this machine?
    Elf,
    /// The section that a plugin carries.
    Stamp,
    /// The binary contract it was built for.
    Abi,
    /// What the plugin says of itself.
    Manifest,
    /// Names that are no names, or that are taken.
    Names,
    /// What a process can keep mapped.
    Budget,
    /// The private copy that is opened.
    Copy,
    /// Opening it.
    Open,
    /// The tables it hands over.
    Declaration,
    /// The layout of its blocks.
    Layout,
    /// Its first call.
    Start,
    /// Making its instances.
    Instance,
    /// Handing it to the service threads.
    Install,
}

impl Stage {
    /// The name in logs and lists. It does not change.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Permissions => "permissions",
            Self::Settle => "settle",
            Self::Elf => "elf",
            Self::Stamp => "stamp",
            Self::Abi => "abi",
            Self::Manifest => "manifest",
            Self::Names => "names",
            Self::Budget => "budget",
            Self::Copy => "copy",
            Self::Open => "open",
            Self::Declaration => "declaration",
            Self::Layout => "layout",
            Self::Start => "start",
            Self::Instance => "instance",
            Self::Install => "install",
        }
    }

    /// Whether the bytes of the file alone decide here, so that the same bytes would be refused again.
    pub(crate) const fn is_of_the_bytes(self) -> bool {
        matches!(
            self,
            Self::Elf
                | Self::Stamp
                | Self::Abi
                | Self::Manifest
                | Self::Open
                | Self::Declaration
                | Self::Layout
                | Self::Start
                | Self::Instance
                | Self::Install
        )
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is wrong, before it is known with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it was found.
    pub stage: Stage,
    /// What is wrong: what was found, and what was expected.
    pub cause: String,
    /// What to do about it.
    pub mend: String,
}

impl Fault {
    /// A fault.
    pub fn new(stage: Stage, cause: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            stage,
            cause: cause.into(),
            mend: mend.into(),
        }
    }

    /// The same as the refusal of `file`.
    #[must_use]
    pub fn of(self, file: &Path) -> Refusal {
        Refusal {
            file: file.to_owned(),
            stage: self.stage,
            cause: self.cause,
            mend: self.mend,
            manifest: None,
        }
    }
}

/// A plugin file that is not served, and why. The version that served before it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The file, as it is named in the plugin directory.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// Where it was refused.
    pub stage: Stage,
    /// What is wrong: what was found, and what was expected.
    pub cause: String,
    /// What to do about it.
    pub mend: String,
    /// What the plugin says of itself, once that was read.
    #[serde(skip)]
    pub manifest: Option<Arc<Manifest>>,
}

impl Refusal {
    /// A refusal of `file`.
    pub fn new(
        file: &Path,
        stage: Stage,
        cause: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Fault::new(stage, cause, mend).of(file)
    }

    /// The same, told of this plugin.
    #[must_use]
    pub fn of_plugin(mut self, manifest: Arc<Manifest>) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Writes the one line that an operator reads.
    pub fn log(&self) {
        let manifest = self.manifest.as_deref();
        tracing::error!(
            target: "hotsocket::plugin",
            plugin = manifest.map(|manifest| &*manifest.plugin),
            version = manifest.map(|manifest| &*manifest.version),
            file = %self.file.display(),
            stage = self.stage.name(),
            cause = self.cause,
            mend = self.mend,
            "plugin file refused"
        );
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}; {}",
            self.file.display(),
            self.stage,
            self.cause,
            self.mend
        )
    }
}

impl std::error::Error for Refusal {}

/// Serializes a path also when it is no UTF-8, as file names may be.
pub(crate) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Why bytes are no plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The beginning of what may become a plugin: somebody may still be writing it.
    Incomplete(Fault),
    /// More bytes would not help.
    Wrong(Fault),
}

impl Unfit {
    /// What is wrong.
    #[must_use]
    pub fn into_fault(self) -> Fault {
        match self {
            Self::Incomplete(fault) | Self::Wrong(fault) => fault,
        }
    }
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        Self::Wrong(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_of_file_stage_cause_and_mend() {
        let refusal = Refusal::new(
            Path::new("/plugins/echo.so"),
            Stage::Elf,
            "the file is empty",
            "copy it again",
        );
        assert_eq!(
            refusal.to_string(),
            "/plugins/echo.so: elf: the file is empty; copy it again"
        );
    }
}

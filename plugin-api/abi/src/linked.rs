//! A plugin that is linked into the program of its host: the same tables, reached without a file.

use crate::Declaration;

/// A plugin that is linked into a program.
#[derive(Clone, Copy, Debug)]
pub struct StaticPlugin {
    manifest: &'static str,
    declaration: &'static Declaration,
}

impl StaticPlugin {
    /// The plugin of that manifest and declaration; called by `export_plugin!` of `hotsocket-plugin`.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(manifest: &'static [u8], declaration: &'static Declaration) -> Self {
        let manifest = match str::from_utf8(manifest) {
            Ok(manifest) => manifest,
            Err(_) => "",
        };
        Self {
            manifest,
            declaration,
        }
    }

    /// The manifest, JSON: what a plugin file carries in its stamp.
    #[must_use]
    pub const fn manifest(&self) -> &'static str {
        self.manifest
    }

    /// The tables that a host calls.
    #[must_use]
    pub const fn declaration(&self) -> &'static Declaration {
        self.declaration
    }
}

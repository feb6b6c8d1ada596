//! Opening the copy of a plugin file. A library is never closed.

use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::path::Path;

use hotsocket_abi::{Declaration, DeclarationFn};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::refusal::{Fault, Stage};
use super::stamp::Stamped;
use super::tables::{Opened, check_size, declaration_fault, read_tables};

impl Opened {
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

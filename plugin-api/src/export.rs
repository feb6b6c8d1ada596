//! The macro that makes a plugin file, and what it expands to.

use std::{marker::PhantomData, ptr};

use crate::{
    Delivery, Instance, Protocol,
    abi::{Declaration, FLAG_RUST, Layouts, ProtocolEntry, Stamp, StampedManifest},
    protocol::PerSession,
    shim::{PLUGIN, Shims},
};

pub use crate::manifest::Manifest;

/// Makes this crate a plugin: `export_plugin!(Echo)`, or `export_plugin!(Echo, Chat)` for several protocols in one
/// file. Takes any type that implements [`Instance`](crate::Instance), or [`Protocol`](crate::Protocol) and `Default`.
///
/// The plugin is named after its package, without a leading `hotsocket-`, and has the package's version. The macro is
/// used once in a crate, which is a `cdylib`. It also defines `pub fn plugin()`, by which a program can link
/// the plugin instead of loading it from a file: make the crate an `rlib` as well for that.
///
/// A name that is no token does not compile, nor do two protocols of one name, nor `panic = "abort"`:
///
/// ```compile_fail,E0080
/// # use hotsocket_plugin::prelude::*;
/// # #[derive(Default)]
/// # struct Chat;
/// impl Protocol for Chat {
///     const NAME: &'static str = "chat room";
/// }
///
/// export_plugin!(Chat);
/// ```
///
/// ```compile_fail,E0080
/// # use hotsocket_plugin::prelude::*;
/// # #[derive(Default)]
/// # struct Chat;
/// # impl Protocol for Chat {
/// #     const NAME: &'static str = "chat";
/// # }
/// export_plugin!(Chat, Chat);
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($($protocol:ty),+ $(,)?) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a plugin built with panic = \"abort\" would end the host with its first panic: \
             leave `panic` at \"unwind\" in the profile"
        );

        /// This plugin, for a program that links it instead of loading it from a file.
        #[must_use]
        pub fn plugin() -> $crate::StaticPlugin {
            #[allow(unused_imports)]
            use $crate::export::ExportPerSession as _;

            const PROTOCOLS: &[$crate::export::Export] =
                &[$($crate::export::Exported::<$protocol>::EXPORT),+];
            const MANIFEST: $crate::export::Manifest = $crate::export::Manifest::new(
                ::core::env!("CARGO_PKG_NAME"),
                ::core::env!("CARGO_PKG_VERSION"),
                PROTOCOLS,
            );
            const SYMBOL: &::core::primitive::str =
                ::core::concat!("hotsocket_plugin_decl_", ::core::env!("CARGO_PKG_NAME"));

            #[used]
            #[unsafe(link_section = ".hotsocket")]
            static STAMP: $crate::abi::StampedManifest<{ MANIFEST.len() }> =
                $crate::export::stamp(SYMBOL, &MANIFEST);
            static ENTRIES: [$crate::abi::ProtocolEntry; PROTOCOLS.len()] =
                $crate::export::entries(PROTOCOLS);
            static DECLARATION: $crate::abi::Declaration = $crate::export::declaration(&ENTRIES);

            #[unsafe(export_name = ::core::concat!(
                "hotsocket_plugin_decl_",
                ::core::env!("CARGO_PKG_NAME")
            ))]
            extern "C" fn declaration() -> *const $crate::abi::Declaration {
                &raw const DECLARATION
            }

            $crate::StaticPlugin::new(&STAMP.manifest, &DECLARATION)
        }
    };
}

/// A plugin that is linked into a program.
#[derive(Clone, Copy, Debug)]
pub struct StaticPlugin {
    manifest: &'static str,
    declaration: &'static Declaration,
}

impl StaticPlugin {
    /// The plugin of that manifest and declaration; called by [`export_plugin!`](crate::export_plugin).
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

/// What the macro needs to know of one type.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    pub(crate) name: &'static str,
    pub(crate) id: u32,
    pub(crate) delivery: Delivery,
    pub(crate) pongs: bool,
    entry: ProtocolEntry,
}

impl Export {
    const fn of<I: Instance>() -> Self {
        Self {
            name: I::Session::NAME,
            id: I::Session::ID,
            delivery: I::Session::DELIVERY,
            pongs: I::Session::PONGS,
            entry: Shims::<I>::ENTRY,
        }
    }
}

/// Chooses what is exported for `T`: the inherent constant, which is there for an instance, goes before that of the
/// trait [`ExportPerSession`].
#[derive(Debug)]
pub struct Exported<T>(PhantomData<T>);

impl<I: Instance> Exported<I> {
    /// The instance that the author wrote.
    pub const EXPORT: Export = Export::of::<I>();
}

/// See [`Exported`].
pub trait ExportPerSession {
    /// A protocol without shared state.
    const EXPORT: Export;
}

impl<P: Protocol + Default> ExportPerSession for Exported<P> {
    const EXPORT: Export = Export::of::<PerSession<P>>();
}

/// The section `.hotsocket` of a plugin file.
#[must_use]
pub const fn stamp<const N: usize>(symbol: &str, manifest: &Manifest) -> StampedManifest<N> {
    StampedManifest {
        stamp: Stamp::new(FLAG_RUST, env!("HOTSOCKET_TOOLCHAIN"), symbol, N),
        manifest: manifest.json(),
    }
}

/// The tables of the protocols.
#[must_use]
pub const fn entries<const N: usize>(exports: &[Export]) -> [ProtocolEntry; N] {
    let mut entries = [exports[0].entry; N];
    let mut i = 1;
    while i < N {
        entries[i] = exports[i].entry;
        i += 1;
    }
    entries
}

/// What the declaration function returns.
#[must_use]
pub const fn declaration(entries: &'static [ProtocolEntry]) -> Declaration {
    Declaration {
        size: size_of::<Declaration>(),
        layouts: LAYOUTS,
        plugin: &PLUGIN,
        protocols: entries.as_ptr(),
        protocol_count: entries.len(),
        extensions: ptr::null(),
        extension_count: 0,
    }
}

#[cfg(feature = "layout")]
const LAYOUTS: *const Layouts = &raw const crate::abi::LAYOUTS;
#[cfg(not(feature = "layout"))]
const LAYOUTS: *const Layouts = ptr::null();

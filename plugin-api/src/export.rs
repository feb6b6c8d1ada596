//! The macro that makes a plugin file, and what it expands to.

use std::{marker::PhantomData, ptr};

use crate::{
    BodyDelivery, Delivery, Extension, Extensions, HttpHandler, HttpInstance, Instance, Policy,
    Protocol, ServesHttp,
    abi::{
        Declaration, ExtensionEntry, FLAG_RUST, HttpBlock, Layouts, PolicyEntry, ProtocolEntry,
        Stamp, StampedManifest,
    },
    http::PerExchange,
    protocol::PerSession,
    shim::{
        PLUGIN, Shims,
        extension::ExtensionShims,
        http::{Alone, Beside},
        policy::PolicyShims,
    },
};

pub use crate::manifest::Manifest;

/// Makes this crate a plugin: `export_plugin!(Echo)`, or `export_plugin!(Echo, Chat)` for several protocols in one
/// file. Takes any type that implements [`Instance`](crate::Instance), or [`Protocol`](crate::Protocol) and `Default`.
/// An instance that implements [`ServesHttp`](crate::ServesHttp) answers HTTP as well.
///
/// What is no protocol follows by its kind, each part behind a semicolon, and any of them may be left out:
/// `export_plugin!(Echo, Chat; http: Hello; extensions: Deflate)`, `export_plugin!(http: Hello)`.
///
/// * `http:` takes types that implement [`HttpInstance`](crate::HttpInstance), or [`HttpHandler`](crate::HttpHandler)
///   and `Default`.
/// * `extensions:` takes types that implement [`Extension`](crate::Extension).
/// * `policies:` takes types that implement [`Policy`](crate::Policy).
///
/// The plugin is named after its package, without a leading `hotsocket-`, and has the package's version. The macro is
/// used once in a crate, which is a `cdylib`. It also defines `pub fn plugin()`, by which a program can link
/// the plugin instead of loading it from a file: make the crate an `rlib` as well for that.
///
/// A name that is no token does not compile, nor do two extensions or policies of one name, two protocols or HTTP handlers of
/// one name, nor `panic = "abort"`:
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
///
/// ```compile_fail,E0080
/// # use hotsocket_plugin::prelude::*;
/// # #[derive(Default)]
/// # struct Chat;
/// impl Protocol for Chat {
///     const NAME: &'static str = "chat";
///     const EXTENSIONS: Extensions = Extensions::Only(&["permessage deflate"]);
/// }
///
/// export_plugin!(Chat);
/// ```
///
/// ```compile_fail,E0080
/// # use hotsocket_plugin::prelude::*;
/// # #[derive(Default)]
/// # struct Chat;
/// impl Protocol for Chat {
///     const NAME: &'static str = "chat";
///     const KEEP_HEADERS: &'static [&'static str] = &["User-Agent:"];
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
/// #[derive(Default)]
/// struct Page;
/// impl HttpHandler for Page {
///     const NAME: &'static str = "chat";
/// }
///
/// export_plugin!(Chat; http: Page);
/// ```
///
/// ```compile_fail,E0080
/// # use hotsocket_plugin::prelude::*;
/// #[derive(Default)]
/// struct Nameless;
/// impl HttpHandler for Nameless {}
///
/// export_plugin!(http: Nameless);
/// ```
#[macro_export]
macro_rules! export_plugin {
    (policies: $($policy:ty),+ $(,)?) => {
        $crate::export_plugin!(@tables [], [], [], [$($policy),+]);
    };
    (extensions: $($extension:ty),+ $(; policies: $($policy:ty),+)? $(,)?) => {
        $crate::export_plugin!(@tables [], [], [$($extension),+], [$($($policy),+)?]);
    };
    (
        http: $($handler:ty),+
        $(; extensions: $($extension:ty),+)?
        $(; policies: $($policy:ty),+)? $(,)?
    ) => {
        $crate::export_plugin!(
            @tables [], [$($handler),+], [$($($extension),+)?], [$($($policy),+)?]
        );
    };
    (
        $($protocol:ty),+
        $(; http: $($handler:ty),+)?
        $(; extensions: $($extension:ty),+)?
        $(; policies: $($policy:ty),+)? $(,)?
    ) => {
        $crate::export_plugin!(
            @tables [$($protocol),+], [$($($handler),+)?], [$($($extension),+)?], [$($($policy),+)?]
        );
    };
    (
        @tables [$($protocol:ty),*], [$($handler:ty),*], [$($extension:ty),*], [$($policy:ty),*]
    ) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a plugin built with panic = \"abort\" would end the host with its first panic: \
             leave `panic` at \"unwind\" in the profile"
        );

        /// This plugin, for a program that links it instead of loading it from a file.
        #[must_use]
        pub fn plugin() -> $crate::StaticPlugin {
            #[allow(unused_imports)]
            use $crate::export::{
                ExportPerExchange as _, ExportPerSession as _, ExportWithoutHttp as _,
            };

            const PROTOCOLS: &[$crate::export::Export] = &[
                $($crate::export::Exported::<$protocol>::EXPORT
                    .with($crate::export::Exported::<$protocol>::HTTP),)*
                $($crate::export::ExportedHttp::<$handler>::EXPORT,)*
            ];
            const EXTENSIONS: &[$crate::export::ExportedExtension] =
                &[$($crate::export::ExportedExtension::of::<$extension>()),*];
            const POLICIES: &[$crate::export::ExportedPolicy] =
                &[$($crate::export::ExportedPolicy::of::<$policy>()),*];
            const MANIFEST: $crate::export::Manifest = $crate::export::Manifest::new(
                ::core::env!("CARGO_PKG_NAME"),
                ::core::env!("CARGO_PKG_VERSION"),
                PROTOCOLS,
                EXTENSIONS,
                POLICIES,
            );
            const SYMBOL: &::core::primitive::str =
                ::core::concat!("hotsocket_plugin_decl_", ::core::env!("CARGO_PKG_NAME"));

            #[used]
            #[unsafe(link_section = ".hotsocket")]
            static STAMP: $crate::abi::StampedManifest<{ MANIFEST.len() }> =
                $crate::export::stamp(SYMBOL, &MANIFEST);
            static ENTRIES: [$crate::abi::ProtocolEntry; PROTOCOLS.len()] =
                $crate::export::entries(PROTOCOLS);
            static EXTENSION_ENTRIES: [$crate::abi::ExtensionEntry; EXTENSIONS.len()] =
                $crate::export::extension_entries(EXTENSIONS);
            static POLICY_ENTRIES: [$crate::abi::PolicyEntry; POLICIES.len()] =
                $crate::export::policy_entries(POLICIES);
            static DECLARATION: $crate::abi::Declaration =
                $crate::export::declaration(&ENTRIES, &EXTENSION_ENTRIES, &POLICY_ENTRIES);

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

/// What the macro needs to know of one protocol, or of one HTTP handler.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    pub(crate) name: &'static str,
    pub(crate) id: u32,
    pub(crate) delivery: Delivery,
    pub(crate) pongs: bool,
    pub(crate) extensions: Extensions,
    pub(crate) keep_headers: &'static [&'static str],
    /// How long the value of a session is, without what it points to.
    pub(crate) session_bytes: usize,
    /// Whether it has sessions.
    pub(crate) websocket: bool,
    /// Whether it answers HTTP, and how bodies reach it.
    pub(crate) http: Option<BodyDelivery>,
    entry: ProtocolEntry,
}

impl Export {
    const fn of<I: Instance>(entry: ProtocolEntry) -> Self {
        Self {
            name: I::Session::NAME,
            id: I::Session::ID,
            delivery: I::Session::DELIVERY,
            pongs: I::Session::PONGS,
            extensions: I::Session::EXTENSIONS,
            keep_headers: I::Session::KEEP_HEADERS,
            session_bytes: size_of::<I::Session>(),
            websocket: true,
            http: None,
            entry,
        }
    }

    const fn of_http<I: HttpInstance>() -> Self {
        Self {
            name: I::Exchange::NAME,
            id: I::Exchange::ID,
            delivery: Delivery::Messages,
            pongs: false,
            extensions: Extensions::All,
            keep_headers: &[],
            session_bytes: 0,
            websocket: false,
            http: Some(I::Exchange::BODY),
            entry: Alone::<I>::ENTRY,
        }
    }

    /// The protocol with what it answers to HTTP, if anything.
    #[must_use]
    pub const fn with(mut self, http: Option<Http>) -> Self {
        if let Some(http) = http {
            self.http = Some(http.body);
            self.entry.http = http.block;
        }
        self
    }
}

/// What a protocol answers to HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    body: BodyDelivery,
    block: &'static HttpBlock,
}

/// Chooses what is exported for `T`: the inherent constants, which are there for an instance and for one that answers
/// HTTP, go before those of the traits [`ExportPerSession`] and [`ExportWithoutHttp`].
#[derive(Debug)]
pub struct Exported<T>(PhantomData<T>);

impl<I: Instance> Exported<I> {
    /// The instance that the author wrote.
    pub const EXPORT: Export = Export::of::<I>(Shims::<I>::ENTRY);
}

/// See [`Exported`].
pub trait ExportPerSession {
    /// A protocol without shared state.
    const EXPORT: Export;
}

impl<P: Protocol + Default> ExportPerSession for Exported<P> {
    const EXPORT: Export = Export::of::<PerSession<P>>(Shims::<PerSession<P>>::ENTRY_PER_SESSION);
}

impl<I: ServesHttp> Exported<I> {
    /// What the instance answers.
    pub const HTTP: Option<Http> = Some(Http {
        body: <I as ServesHttp>::Exchange::BODY,
        block: Beside::<I>::HTTP,
    });
}

/// See [`Exported`].
pub trait ExportWithoutHttp {
    /// Nothing.
    const HTTP: Option<Http> = None;
}

impl<T> ExportWithoutHttp for Exported<T> {}

/// Chooses what is exported for an HTTP handler `T`, as [`Exported`].
#[derive(Debug)]
pub struct ExportedHttp<T>(PhantomData<T>);

impl<I: HttpInstance> ExportedHttp<I> {
    /// The instance that the author wrote.
    pub const EXPORT: Export = Export::of_http::<I>();
}

/// See [`ExportedHttp`].
pub trait ExportPerExchange {
    /// A handler without shared state.
    const EXPORT: Export;
}

impl<H: HttpHandler + Default> ExportPerExchange for ExportedHttp<H> {
    const EXPORT: Export = Export::of_http::<PerExchange<H>>();
}

/// What the macro needs to know of one extension.
#[derive(Clone, Copy, Debug)]
pub struct ExportedExtension {
    pub(crate) name: &'static str,
    entry: ExtensionEntry,
}

impl ExportedExtension {
    /// The extension that the author wrote.
    #[must_use]
    pub const fn of<E: Extension>() -> Self {
        Self {
            name: E::NAME,
            entry: ExtensionShims::<E>::ENTRY,
        }
    }
}

/// What the macro needs to know of one policy.
#[derive(Clone, Copy, Debug)]
pub struct ExportedPolicy {
    pub(crate) name: &'static str,
    entry: PolicyEntry,
}

impl ExportedPolicy {
    /// The policy that the author wrote.
    #[must_use]
    pub const fn of<P: Policy>() -> Self {
        Self {
            name: P::NAME,
            entry: PolicyShims::<P>::ENTRY,
        }
    }
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
    const NOTHING: ProtocolEntry = ProtocolEntry {
        size: size_of::<ProtocolEntry>(),
        instance: ptr::null(),
        session: ptr::null(),
        handshake: ptr::null(),
        http: ptr::null(),
        client: ptr::null(),
    };
    let mut entries = [NOTHING; N];
    let mut i = 0;
    while i < N {
        entries[i] = exports[i].entry;
        i += 1;
    }
    entries
}

/// The tables of the extensions.
#[must_use]
pub const fn extension_entries<const N: usize>(
    exports: &[ExportedExtension],
) -> [ExtensionEntry; N] {
    const NOTHING: ExtensionEntry = ExtensionEntry {
        size: size_of::<ExtensionEntry>(),
        instance: ptr::null(),
        extension: ptr::null(),
    };
    let mut entries = [NOTHING; N];
    let mut i = 0;
    while i < N {
        entries[i] = exports[i].entry;
        i += 1;
    }
    entries
}

/// The tables of the policies.
#[must_use]
pub const fn policy_entries<const N: usize>(exports: &[ExportedPolicy]) -> [PolicyEntry; N] {
    const NOTHING: PolicyEntry = PolicyEntry {
        size: size_of::<PolicyEntry>(),
        instance: ptr::null(),
        policy: ptr::null(),
    };
    let mut entries = [NOTHING; N];
    let mut i = 0;
    while i < N {
        entries[i] = exports[i].entry;
        i += 1;
    }
    entries
}

/// What the declaration function returns.
#[must_use]
pub const fn declaration(
    protocols: &'static [ProtocolEntry],
    extensions: &'static [ExtensionEntry],
    policies: &'static [PolicyEntry],
) -> Declaration {
    Declaration {
        size: size_of::<Declaration>(),
        layouts: LAYOUTS,
        plugin: &PLUGIN,
        protocols: pointer(protocols),
        protocol_count: protocols.len(),
        extensions: pointer(extensions),
        extension_count: extensions.len(),
        policies: pointer(policies),
        policy_count: policies.len(),
    }
}

/// Null when there are none.
const fn pointer<T>(entries: &'static [T]) -> *const T {
    if entries.is_empty() {
        return ptr::null();
    }
    entries.as_ptr()
}

#[cfg(feature = "layout")]
const LAYOUTS: *const Layouts = &raw const crate::abi::LAYOUTS;
#[cfg(not(feature = "layout"))]
const LAYOUTS: *const Layouts = ptr::null();

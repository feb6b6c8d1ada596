//! Tables that are made up.

use std::fs;

use hotsocket_abi::{Host, LAYOUTS, STATUS_OK, Status};

use super::*;
use crate::plugin::stamp::{Stamped, plugin_file};

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
    extensions: std::ptr::null(),
    extension_count: 0,
    policies: std::ptr::null(),
    policy_count: 0,
};

/// A plugin that was never opened: for tests that only look at its manifest.
pub(crate) fn opened(manifest: Manifest) -> Opened {
    Opened {
        manifest: Arc::new(manifest),
        declaration: &NOTHING,
        plugin: PLUGIN,
        protocols: Arc::new([]),
        extensions: Arc::new([]),
        policies: Arc::new([]),
        linked: false,
    }
}

/// A declaration whose blocks are these words, which leak as a static would.
fn declare(instance: Vec<usize>, session: Vec<usize>, count: usize) -> &'static Declaration {
    let entry = ProtocolEntry {
        size: size_of::<ProtocolEntry>(),
        instance: instance.leak().as_ptr().cast(),
        session: session.leak().as_ptr().cast(),
        handshake: std::ptr::null(),
        http: std::ptr::null(),
        client: std::ptr::null(),
    };
    Box::leak(Box::new(Declaration {
        size: size_of::<Declaration>(),
        layouts: &raw const LAYOUTS,
        plugin: &raw const PLUGIN,
        protocols: Box::leak(Box::new(entry)),
        protocol_count: count,
        extensions: std::ptr::null(),
        extension_count: 0,
        policies: std::ptr::null(),
        policy_count: 0,
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

#[test]
fn sessions_and_http_are_there_as_the_manifest_says() {
    let cause = |session: bool, http: bool, said: &str| {
        let block = |is_there: bool, words: Vec<usize>| match is_there {
            true => words.leak().as_ptr(),
            false => std::ptr::null(),
        };
        let mut declaration = Declaration { ..NOTHING };
        declaration.layouts = &raw const LAYOUTS;
        declaration.protocol_count = 1;
        declaration.protocols = Box::leak(Box::new(ProtocolEntry {
            size: size_of::<ProtocolEntry>(),
            instance: self::block::<InstanceBlock>().leak().as_ptr().cast(),
            session: block(session, self::block::<SessionBlock>()).cast(),
            handshake: std::ptr::null(),
            http: block(http, self::block::<HttpBlock>()).cast(),
            client: std::ptr::null(),
        }));
        let text = format!(r#"{{"plugin":"p","version":"1","protocols":[{{"name":"a"{said}}}]}}"#);
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let read = read_tables(Box::leak(Box::new(declaration)), manifest, false);
        read.map_or_else(|fault| fault.cause, |_| "none".into())
    };
    let both = r#","http":true"#;
    let http = r#","http":true,"websocket":false"#;
    assert_eq!(cause(true, false, ""), "none");
    assert_eq!(cause(true, true, both), "none");
    assert_eq!(cause(false, true, http), "none");
    assert_eq!(
        cause(false, true, both),
        "the manifest says that the protocol a has sessions, its tables that it has not"
    );
    assert_eq!(
        cause(true, true, ""),
        "the manifest says that the protocol a has not HTTP, its tables that it has"
    );
    assert_eq!(
        cause(true, true, http),
        "the manifest says that the protocol a has not sessions, its tables that it has"
    );
    assert_eq!(
        cause(false, false, http),
        "the manifest says that the protocol a has HTTP, its tables that it has not"
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

#[test]
fn extensions_are_read_as_the_manifest_names_them() {
    const DEFLATE: &str =
        r#"{"plugin":"deflate","version":"1.0.0","extensions":[{"name":"permessage-deflate"}]}"#;
    let blocks = |extension: Vec<usize>| {
        let entry = ExtensionEntry {
            size: size_of::<ExtensionEntry>(),
            instance: block::<InstanceBlock>().leak().as_ptr().cast(),
            extension: extension.leak().as_ptr().cast(),
        };
        &*Box::leak(Box::new(Declaration {
            protocols: std::ptr::null(),
            protocol_count: 0,
            extensions: Box::leak(Box::new(entry)),
            extension_count: 1,
            ..NOTHING
        }))
    };
    let whole = blocks(block::<ExtensionBlock>());
    let opened = Opened::from_linked(whole, DEFLATE).unwrap();
    assert_eq!((opened.protocols.len(), opened.extensions.len()), (0, 1));

    let mut hole = block::<ExtensionBlock>();
    hole[6] = 0;
    let fault = Opened::from_linked(blocks(hole), DEFLATE).unwrap_err();
    assert_eq!(fault.cause, "ExtensionBlock has no function flush");
    let fault = Opened::from_linked(whole, ECHO).unwrap_err();
    assert_eq!(
        fault.cause,
        "the declaration has 0 protocols, the manifest 1"
    );
}

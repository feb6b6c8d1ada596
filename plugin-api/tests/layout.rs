//! Sizes and offsets of the blocks, pinned: a change of the contract shows up here. On 64 bits.
#![cfg(target_pointer_width = "64")]

use std::mem::{offset_of, size_of};

use hotsocket_plugin::abi::{
    Agreement, Asker, Bytes, Client, ClientBlock, ClientCalls, Close, ConnectRequest, Declaration,
    Exchange, ExchangeCalls, ExchangeEnd, ExtensionBlock, ExtensionCall, ExtensionCalls,
    ExtensionEntry, Field, FramePiece, Given, Handshake, HandshakeBlock, HandshakeCalls, Host,
    HostCalls, HttpBlock, HttpRequest, InstanceBlock, Judged, LAYOUT_NAMES, Layouts, PluginBlock,
    PolicyBlock, PolicyCalls, PolicyEntry, ProtocolEntry, RequestEnd, Response, ResponseBlock,
    ResponseCalls, Session, SessionBlock, SessionCalls, Stamp, StampedManifest,
};

/// Checks that the fields follow each other in this order, eight bytes apart, and that nothing comes after them.
macro_rules! assert_words {
    ($block:ty: $($field:ident)+) => {
        let mut offset = 0;
        $(
            assert_eq!(offset_of!($block, $field), offset, stringify!($block::$field));
            offset += 8;
        )+
        assert_eq!(size_of::<$block>(), offset, stringify!($block));
    };
}

#[test]
fn tables_are_where_they_were() {
    assert_words!(Declaration: size layouts plugin protocols protocol_count extensions extension_count
        policies policy_count);
    assert_words!(PolicyEntry: size instance policy);
    assert_words!(ExtensionEntry: size instance extension);
    assert_words!(ProtocolEntry: size instance session handshake http client);
    assert_words!(Layouts: size header blocks count);
    assert_words!(PluginBlock: size start);
    assert_words!(InstanceBlock: size create retire destroy thread_create thread_destroy);
    assert_words!(SessionBlock: size open message writable timer notify pong close destroy);
    assert_words!(Host: context calls);
    assert_words!(Session: context calls thread);
    assert_words!(SessionCalls: size send close hang_up queued_bytes ask_writable pause resume
        set_deadline set_timer cancel_timer fact_number fact_bytes field tag take_learnt take_given fail);
    assert_words!(HostCalls: size log log_level count now_ms post post_exchange post_all for_each fact_bytes fail
        linked_data connect give_up request post_request);
    assert_words!(HandshakeBlock: size extension request forget);
    assert_words!(Handshake: context calls thread);
    assert_words!(HandshakeCalls: size fact_number fact_bytes field field_at tag offered choose add_field
        refuse fail);
    assert_words!(HttpBlock: size open body writable timer notify sent end destroy);
    assert_words!(Exchange: context calls thread);
    assert_words!(ExchangeCalls: size fact_number fact_bytes field field_at tag add_field respond start send
        finish respond_file close_after abort queued_bytes ask_writable pause resume set_timer
        cancel_timer fail);
    assert_words!(ClientBlock: size answered redirected failed);
    assert_words!(Client: context calls thread);
    assert_words!(ClientCalls: size fact_number fact_bytes field field_at given take_given refuse again
        retarget give_up fail);
    assert_words!(ResponseBlock: size redirected head content writable ended);
    assert_words!(Response: context calls host);
    assert_words!(ResponseCalls: size fact_number fact_bytes field field_at send finish ask_writable pause
        resume give_up fail);
    assert_words!(Asker: value block);
    assert_words!(PolicyBlock: size created accept connection certificate request handshake destroyed);
    assert_words!(Judged: context calls thread);
    assert_words!(PolicyCalls: size fact_number fact_bytes field field_at tag set_tag set_option
        add_field refuse fail);
    assert_words!(ExtensionBlock: size offer accept confirm inbound outbound flush destroy);
    assert_words!(ExtensionCall: context calls thread);
    assert_words!(ExtensionCalls: size put parameters fact_number fact_bytes fail);
}

#[test]
fn values_are_where_they_were() {
    assert_eq!(size_of::<Bytes<'_>>(), 16);
    assert_eq!(offset_of!(Bytes<'_>, data), 0);
    assert_eq!(offset_of!(Bytes<'_>, len), 8);
    assert_eq!(size_of::<FramePiece<'_>>(), 24);
    assert_eq!(offset_of!(FramePiece<'_>, opcode), 0);
    assert_eq!(offset_of!(FramePiece<'_>, flags), 4);
    assert_eq!(offset_of!(FramePiece<'_>, payload), 8);
    assert_eq!(size_of::<Field<'_>>(), 32);
    assert_eq!(size_of::<Given>(), 16);
    assert_eq!(size_of::<ConnectRequest<'_>>(), 192);
    assert_eq!(size_of::<HttpRequest<'_>>(), 72);
    assert_eq!(offset_of!(HttpRequest<'_>, method), 16);
    assert_eq!(offset_of!(HttpRequest<'_>, body_length), 48);
    assert_eq!(offset_of!(HttpRequest<'_>, body_kind), 64);
    assert_eq!(size_of::<RequestEnd<'_>>(), 56);
    assert_eq!(offset_of!(RequestEnd<'_>, trailer), 24);
    assert_eq!(offset_of!(RequestEnd<'_>, stage), 40);
    assert_eq!(offset_of!(ConnectRequest<'_>, url), 8);
    assert_eq!(offset_of!(ConnectRequest<'_>, subprotocols), 56);
    assert_eq!(offset_of!(ConnectRequest<'_>, fields), 72);
    assert_eq!(offset_of!(ConnectRequest<'_>, tls), 88);
    assert_eq!(offset_of!(ConnectRequest<'_>, pin), 96);
    assert_eq!(offset_of!(ConnectRequest<'_>, flags), 144);
    assert_eq!(offset_of!(ConnectRequest<'_>, within_ms), 152);
    assert_eq!(offset_of!(ConnectRequest<'_>, retry_most_ms), 184);
    assert_eq!(size_of::<Agreement>(), 24);
    assert_eq!(offset_of!(Agreement, state), 0);
    assert_eq!(offset_of!(Agreement, rsv), 8);
    assert_eq!(offset_of!(Agreement, opcodes), 12);
    assert_eq!(offset_of!(Agreement, independence), 16);
    assert_eq!(size_of::<ExchangeEnd<'_>>(), 32);
    assert_eq!(offset_of!(ExchangeEnd<'_>, by), 0);
    assert_eq!(offset_of!(ExchangeEnd<'_>, status), 4);
    assert_eq!(offset_of!(ExchangeEnd<'_>, sent), 8);
    assert_eq!(offset_of!(ExchangeEnd<'_>, reason), 16);
    assert_eq!(size_of::<Close<'_>>(), 32);
    assert_eq!(offset_of!(Close<'_>, by), 0);
    assert_eq!(offset_of!(Close<'_>, code), 4);
    assert_eq!(offset_of!(Close<'_>, clean), 8);
    assert_eq!(offset_of!(Close<'_>, reason), 16);
}

#[test]
fn the_stamp_is_where_it_was() {
    assert_eq!(offset_of!(Stamp, magic), 0);
    assert_eq!(offset_of!(Stamp, size), 16);
    assert_eq!(offset_of!(Stamp, abi_major), 20);
    assert_eq!(offset_of!(Stamp, abi_minor), 24);
    assert_eq!(offset_of!(Stamp, flags), 28);
    assert_eq!(offset_of!(Stamp, layout_hash), 32);
    assert_eq!(offset_of!(Stamp, manifest_len), 40);
    assert_eq!(offset_of!(Stamp, toolchain), 48);
    assert_eq!(offset_of!(Stamp, declaration), 112);
    assert_eq!(size_of::<Stamp>(), 240);
    assert_eq!(offset_of!(StampedManifest<1>, manifest), size_of::<Stamp>());
}

#[test]
fn each_block_tells_its_size_and_its_layout() {
    let declaration = linked_left::plugin().declaration();
    assert_eq!(declaration.size, size_of::<Declaration>());
    assert_eq!(declaration.protocol_count, 1);
    assert_eq!(declaration.extension_count, 0);
    assert!(declaration.extensions.is_null());
    // SAFETY: the pointers of a declaration lead to static tables.
    unsafe {
        let entry = *declaration.protocols;
        assert_eq!(entry.size, size_of::<ProtocolEntry>());
        assert_eq!((*declaration.plugin).size, size_of::<PluginBlock>());
        assert_eq!((*entry.instance).size, size_of::<InstanceBlock>());
        assert_eq!((*entry.session).size, size_of::<SessionBlock>());
        assert_eq!((*declaration.layouts).size, size_of::<Layouts>());
        assert_eq!((*declaration.layouts).count, LAYOUT_NAMES.len());
    }
}

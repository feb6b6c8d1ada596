//! What is shaken, and what must hold whatever the input is. Each body is run by a fuzzer (`targets/`) and, on the
//! kept corpus, by an ordinary test (`tests/corpus.rs`).

#![allow(dead_code, unused_imports)] // each target uses one of them

mod client;
mod deflate_offer;
mod http;
mod http_connection;
mod inflate;
mod websocket;

use hotsocket::{
    limits::Limits,
    plugin::stamp::Stamped,
    wire::{
        answer_head::{AnswerHead, AnswerParsed},
        client_fields::ClientFields,
        client_handshake::ClientHandshake,
        fields::Fields,
        frame_header::{Decoded, FrameHeader},
        handshake,
        header_list::{self, is_token},
        request_head::{HeadParsed, RequestHead},
    },
};

pub(crate) use client::{answer_head, client_exchange, opening, url};
pub(crate) use deflate_offer::deflate_offer;
pub(crate) use http::{chunked_body, ranges, request_head};
pub(crate) use http_connection::http_connection;
pub(crate) use inflate::inflate;
pub(crate) use websocket::websocket;

/// A header that is read is written again as it came, and needs no more bytes than it said.
pub(crate) fn frame_header(input: &[u8]) {
    match FrameHeader::decode(input) {
        Decoded::Done { header, len } => {
            let (written, written_len) = header.encode();
            assert_eq!(&written[..written_len], &input[..len]);
            for cut in 0..len {
                assert!(
                    matches!(FrameHeader::decode(&input[..cut]), Decoded::Need(more) if cut + more <= len)
                );
            }
        }
        Decoded::Need(more) => assert!(more > 0 && input.len() + more <= 14),
        Decoded::Wrong(failure) => assert_eq!(failure.code, 1002),
    }
}

/// A head is read whole or not at all; every refusal has a status of its own; an accepted handshake makes an answer
/// that our own client accepts.
pub(crate) fn handshake(input: &[u8]) {
    let limits = Limits::default();
    let head = match RequestHead::parse(input, &limits) {
        HeadParsed::Partial => return,
        HeadParsed::Wrong(error) => {
            assert!((400..=505).contains(&error.status()));
            return;
        }
        HeadParsed::Done(head) => head,
    };
    assert!(head.len <= input.len() && head.len as u64 <= limits.request_head_bytes);
    assert!(!head.path().is_empty() && !head.path().contains('?'));
    assert!(head.target.contains(head.query().unwrap_or_default()));
    let cut = RequestHead::parse(&input[..head.len - 1], &limits);
    assert!(
        !matches!(cut, HeadParsed::Done(_)),
        "a head without its end was taken for whole"
    );
    match handshake::judge_request(&head) {
        Ok(upgrade) => {
            assert!(
                upgrade
                    .subprotocols
                    .iter()
                    .all(|name| is_token(name.as_bytes()))
            );
            let mut answer = Vec::new();
            let chosen = upgrade.subprotocols.first().copied();
            handshake::put_switching_protocols(
                &mut answer,
                upgrade.accept.as_bytes(),
                chosen,
                "",
                &Fields::new(),
            );
            assert!(answer.ends_with(b"\r\n\r\n") && answer.starts_with(b"HTTP/1.1 101 "));
        }
        Err(refusal) => assert!(matches!(refusal.status(), 400 | 405 | 426)),
    }
}

/// A list of extensions that is read has tokens for names; what a server sends back never confuses the client.
pub(crate) fn extension_offer(input: &[u8]) {
    let mut offers = Vec::new();
    if header_list::extensions(input, &mut offers).is_ok() {
        for offer in &offers {
            assert!(is_token(offer.name.as_bytes()));
            for parameter in &offer.parameters {
                assert!(is_token(parameter.name.as_bytes()));
                let value = parameter.value.as_ref();
                assert!(value.is_none_or(|value| is_token(value.as_bytes())));
            }
        }
    }
    for element in header_list::tokens(input).flatten() {
        assert!(is_token(element.as_bytes()));
    }
    let fields = ClientFields::new();
    let subprotocols = ["a".to_owned()];
    let client = ClientHandshake {
        host: "127.0.0.1",
        target: "/",
        nonce: [7; 16],
        origin: None,
        subprotocols: &subprotocols,
        extensions: "",
        fields: &fields,
    };
    if let AnswerParsed::Done(head) = AnswerHead::parse(input, &Limits::default())
        && let Ok(accepted) = client.judge(&head)
    {
        assert!(accepted.extensions.is_empty());
    }
}

/// Whatever a file holds, it is judged and not obeyed.
pub(crate) fn plugin_stamp(input: &[u8]) {
    if let Ok(stamped) = Stamped::parse(input) {
        assert!(!stamped.declaration.is_empty());
    }
}

//! A whole WebSocket, in either role and way of delivery, with its input cut at arbitrary places.

use std::sync::Arc;

use hotsocket::{
    connection::{
        buffers::BufferPool,
        inbound::{Delivery, Event, InboundRules},
        outbound::Masking,
        websocket::{State, WebSocket},
    },
    wire::{MessageKind, Role},
};

const MESSAGE_BYTES: u64 = 4096;

/// What was heard, with pieces joined to messages.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    messages: Vec<(bool, Vec<u8>)>,
    /// The message that has begun.
    open: Option<(bool, Vec<u8>)>,
    controls: Vec<(u8, Vec<u8>)>,
    /// The code of a Close frame or failure.
    end: Option<(bool, u16)>,
    answer: Vec<u8>,
}

/// The same bytes are heard the same however they are cut; text is UTF-8; bounds hold; memory is given back.
pub(crate) fn websocket(input: &[u8]) {
    let [flags, cut, stream @ ..] = input else {
        return;
    };
    let role = if flags & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let rules = InboundRules {
        role,
        message_bytes: MESSAGE_BYTES,
        delivery: if flags & 2 == 0 {
            Delivery::Messages
        } else {
            Delivery::Pieces {
                rx_chunk: u32::from(flags >> 2) + 1,
            }
        },
    };
    let whole = hear(&rules, stream, stream.len().max(1));
    let split = hear(&rules, stream, usize::from(*cut) + 1);
    assert_eq!(whole.messages, split.messages);
    assert_eq!(whole.controls, split.controls);
    assert_eq!(whole.end, split.end);
    assert_eq!(whole.answer, split.answer);
    if whole.end.is_none() {
        assert_eq!(whole.open.is_some(), split.open.is_some());
    }
}

fn hear(rules: &InboundRules, stream: &[u8], cut: usize) -> Heard {
    let total = Arc::default();
    let mut buffers = BufferPool::new(Arc::clone(&total), 1 << 20);
    let mut websocket = WebSocket::default();
    let mut heard = Heard::default();
    let mut unread = Vec::new();
    for arrived in stream.chunks(cut) {
        unread.extend_from_slice(arrived);
        let consumed = feed(rules, &mut websocket, &mut buffers, &mut unread, &mut heard);
        unread.drain(..consumed);
        assert!(
            unread.len() <= 139,
            "more than a control frame is left unread"
        );
    }
    websocket.release(&mut buffers);
    assert_eq!(buffers.budget().used(), 0, "memory was not given back");
    heard
}

/// Hears all there is; how much of it was consumed.
fn feed(
    rules: &InboundRules,
    websocket: &mut WebSocket,
    buffers: &mut BufferPool,
    input: &mut [u8],
    heard: &mut Heard,
) -> usize {
    let mut at = 0;
    loop {
        let mut answer = Vec::new();
        let mut key = || [1, 2, 3, 4];
        let mask = match rules.role {
            Role::Server => Masking::None,
            Role::Client => Masking::Keys(&mut key),
        };
        let turn = websocket.next(rules, buffers, &mut answer, mask, &mut input[at..]);
        at += turn.consumed;
        let done = note(rules, &turn.event, heard);
        let state = turn.sending.state();
        heard.answer.extend_from_slice(&answer);
        assert_eq!(
            heard.end.is_some(),
            matches!(state, State::Closed | State::Failed)
        );
        if done {
            return at;
        }
    }
}

/// Notes an event; true when nothing more is to be heard.
fn note(rules: &InboundRules, event: &Event<'_>, heard: &mut Heard) -> bool {
    assert!(
        heard.end.is_none() || matches!(event, Event::Need),
        "something after the end"
    );
    match *event {
        Event::Need => return true,
        Event::Message { kind, payload } => {
            assert!(payload.len() as u64 <= MESSAGE_BYTES);
            assert!(kind == MessageKind::Binary || std::str::from_utf8(payload).is_ok());
            heard
                .messages
                .push((kind == MessageKind::Text, payload.to_vec()));
        }
        Event::Piece {
            kind,
            first,
            last,
            payload,
            ..
        } => {
            if let Delivery::Pieces { rx_chunk } = rules.delivery {
                assert!(payload.len() <= rx_chunk as usize);
            }
            assert_eq!(first, heard.open.is_none());
            let is_text = kind == MessageKind::Text;
            let open = heard.open.get_or_insert_with(|| (is_text, Vec::new()));
            assert_eq!(open.0, is_text);
            open.1.extend_from_slice(payload);
            if last && let Some(message) = heard.open.take() {
                assert!(!message.0 || std::str::from_utf8(&message.1).is_ok());
                heard.messages.push(message);
            }
        }
        Event::Ping(payload) => heard.controls.push((9, payload.to_vec())),
        Event::Pong(payload) => heard.controls.push((10, payload.to_vec())),
        Event::Close { code, .. } => heard.end = Some((true, code.unwrap_or(1005))),
        Event::Failed(failure) => heard.end = Some((false, failure.code)),
    }
    false
}

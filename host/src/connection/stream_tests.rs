//! Any stream of frames, cut anywhere, is heard the same; and what one role sends the other receives.

use super::buffers::BufferPool;
use super::extended::Extended;
use super::inbound::{Delivery, Event, Inbound, InboundRules};
use super::outbound::Masking;
use super::websocket::{ClosedBy, WebSocket};
use crate::wire::close_code::Failure;
use crate::wire::extension::{Extension, ExtensionChain};
use crate::wire::extension_toys::{chain, marks, merges, renames, splits};
use crate::wire::{MessageKind, Role};

/// An [`Event`] that owns what it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Message(MessageKind, Vec<u8>),
    /// Kind, first, last, remaining, payload.
    Piece(MessageKind, bool, bool, u64, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(Failure),
}

pub(crate) fn message(kind: MessageKind, payload: &[u8]) -> Heard {
    Heard::Message(kind, payload.to_vec())
}

pub(crate) fn pool() -> BufferPool {
    BufferPool::new(std::sync::Arc::default(), u64::MAX)
}

impl Heard {
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        Some(match *event {
            Event::Need => return None,
            Event::Message { kind, payload } => message(kind, payload),
            Event::Piece {
                kind,
                first,
                last,
                remaining,
                payload,
            } => Self::Piece(kind, first, last, remaining, payload.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
            Event::Failed(failure) => Self::Failed(failure),
        })
    }
}

/// Lets input arrive piece by piece, as the driver does, and collects what is heard.
pub(crate) fn hear(
    inbound: &mut Inbound,
    rules: &InboundRules,
    mut extended: Option<&mut Extended>,
    buffers: &mut BufferPool,
    arrivals: &[&[u8]],
) -> Vec<Heard> {
    let mut all = Vec::new();
    let mut unread = Vec::new();
    for arrived in arrivals {
        unread.extend_from_slice(arrived);
        loop {
            let extended = extended.as_deref_mut();
            let (consumed, event) = inbound.next(rules, extended, buffers, &mut unread);
            let heard = Heard::of(&event);
            unread.drain(..consumed);
            let Some(heard) = heard else { break };
            all.push(heard);
        }
        assert!(
            unread.len() <= 139,
            "only a header or control frame is left"
        );
    }
    all
}

/// A generator of its own, so that a failure can be run again by the seed it prints.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A length that likes the borders of the three forms.
    fn length(&mut self) -> usize {
        match self.below(8) {
            0 => 0,
            1 => 125 + self.below(3),
            2 => 0xFFFE + self.below(4),
            3 => self.below(3_000),
            _ => self.below(60),
        }
    }

    fn payload(&mut self, kind: MessageKind, length: usize) -> Vec<u8> {
        match kind {
            MessageKind::Binary => (0..length).map(|_| self.below(256) as u8).collect(),
            MessageKind::Text => {
                let letters = ['a', ' ', 'é', '€', '𝄞'];
                let mut text = String::new();
                while text.len() < length {
                    text.push(letters[self.below(letters.len())]);
                }
                text.into_bytes()
            }
        }
    }

    fn key(&mut self) -> [u8; 4] {
        [0; 4].map(|_: u8| self.below(256) as u8)
    }
}

fn masking(sender: Role, keys: &mut dyn FnMut() -> [u8; 4]) -> Masking<'_> {
    match sender {
        Role::Server => Masking::None,
        Role::Client => Masking::Keys(keys),
    }
}

/// The frames of a conversation, and what is to be heard of them as whole messages.
struct Stream {
    bytes: Vec<u8>,
    expected: Vec<Heard>,
}

impl Stream {
    /// What a sender of this role says, through extensions if there are.
    fn random(random: &mut Random, sender: Role, chain: ExtensionChain) -> Self {
        let mut websocket = WebSocket::with_extensions(chain);
        let sending = websocket.sending();
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        let mut keys = Random::new(random.0);
        let mut key = || keys.key();
        for _ in 0..1 + random.below(6) {
            let kind = if random.chance(50) {
                MessageKind::Text
            } else {
                MessageKind::Binary
            };
            let length = random.length();
            let payload = random.payload(kind, length);
            let mut cuts: Vec<_> = (0..random.below(4))
                .map(|_| random.below(payload.len() + 1))
                .collect();
            cuts.sort_unstable();
            cuts.push(payload.len());
            let mut from = 0;
            for (index, cut) in cuts.iter().enumerate() {
                let (first, last) = (index == 0, index + 1 == cuts.len());
                let payload = &payload[from..*cut];
                from = *cut;
                let mask = masking(sender, &mut key);
                sending
                    .message(&mut bytes, mask, kind, first, last, payload)
                    .unwrap();
                if random.chance(20) {
                    sending.flush(&mut bytes, masking(sender, &mut key));
                    assert!(!sending.is_holding());
                }
                if !last && random.chance(40) {
                    let length = random.below(126);
                    let ping = random.payload(MessageKind::Binary, length);
                    if random.chance(50) {
                        sending
                            .ping(&mut bytes, masking(sender, &mut key), &ping)
                            .unwrap();
                        expected.push(Heard::Ping(ping));
                    } else {
                        sending
                            .pong(&mut bytes, masking(sender, &mut key), &ping)
                            .unwrap();
                        expected.push(Heard::Pong(ping));
                    }
                }
            }
            expected.push(Heard::Message(kind, payload));
        }
        if random.chance(50) {
            let mask = masking(sender, &mut key);
            sending
                .close(&mut bytes, mask, ClosedBy::Protocol, Some(1000), "done")
                .unwrap();
            expected.push(Heard::Close(Some(1000), "done".to_owned()));
        }
        sending.flush(&mut bytes, masking(sender, &mut key));
        Self { bytes, expected }
    }
}

fn receiver_of(sender: Role, delivery: Delivery) -> InboundRules {
    let role = match sender {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    InboundRules {
        role,
        message_bytes: 1 << 20,
        delivery,
    }
}

/// Cuts the bytes at random places, often close together.
fn random_cuts<'a>(random: &mut Random, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let most = if random.chance(50) { 4 } else { 5_000 };
        let (piece, rest) = bytes.split_at((1 + random.below(most)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Joins pieces to messages again, and checks what each one says of itself.
fn joined(heard: Vec<Heard>, most: Option<usize>) -> Vec<Heard> {
    let mut all = Vec::new();
    let mut open: Option<(MessageKind, Vec<u8>)> = None;
    for heard in heard {
        let Heard::Piece(kind, first, last, _, payload) = heard else {
            all.push(heard);
            continue;
        };
        assert!(most.is_none_or(|most| payload.len() <= most));
        assert_eq!(first, open.is_none());
        let (begun, joined) = open.get_or_insert((kind, Vec::new()));
        assert_eq!(*begun, kind);
        joined.extend(payload);
        if last && let Some((kind, joined)) = open.take() {
            all.push(Heard::Message(kind, joined));
        }
    }
    assert!(open.is_none());
    all
}

#[test]
fn a_stream_cut_in_two_anywhere_is_heard_the_same() {
    for seed in 1..=12 {
        eprintln!("seed {seed}");
        let mut random = Random::new(seed);
        let sender = if seed % 2 == 0 {
            Role::Server
        } else {
            Role::Client
        };
        let rules = receiver_of(sender, Delivery::Messages);
        let stream = Stream::random(&mut random, sender, ExtensionChain::default());
        let mut buffers = pool();
        let step = 1 + stream.bytes.len() / 1_000;
        for cut in (0..=stream.bytes.len()).step_by(step) {
            let (left, right) = stream.bytes.split_at(cut);
            let mut inbound = Inbound::default();
            let heard = hear(&mut inbound, &rules, None, &mut buffers, &[left, right]);
            assert!(heard == stream.expected, "seed {seed}, cut at {cut}");
        }
        assert_eq!(buffers.budget().used(), 0, "seed {seed}");
    }
}

#[test]
fn a_stream_cut_in_many_places_is_heard_the_same_whole_and_in_pieces() {
    for seed in 1..=300 {
        eprintln!("seed {seed}");
        let mut random = Random::new(seed);
        let sender = if random.chance(50) {
            Role::Server
        } else {
            Role::Client
        };
        let stream = Stream::random(&mut random, sender, ExtensionChain::default());
        let arrivals = random_cuts(&mut random, &stream.bytes);
        let rx_chunk = 1 + random.below(200);
        let pieces = Delivery::Pieces {
            rx_chunk: rx_chunk as u32,
        };
        for (delivery, most) in [(Delivery::Messages, None), (pieces, Some(rx_chunk))] {
            let rules = receiver_of(sender, delivery);
            let mut buffers = pool();
            let mut inbound = Inbound::default();
            let heard = hear(&mut inbound, &rules, None, &mut buffers, &arrivals);
            assert!(joined(heard, most) == stream.expected, "seed {seed}");
            assert_eq!(buffers.budget().used(), 0, "seed {seed}");
        }
    }
}

/// Some extensions in some order; the bits fit whatever comes together.
fn random_toys(random: &mut Random, seed: u64) -> Vec<Box<dyn Extension>> {
    let mut random = Random::new(seed ^ random.0);
    let size = 1 + random.below(300);
    let mut toys = vec![marks(2, 0x11), splits(1, size), merges(4), renames()];
    for _ in 0..random.below(4) {
        toys.remove(random.below(toys.len()));
    }
    for left in (1..toys.len()).rev() {
        toys.swap(left, random.below(left + 1));
    }
    toys
}

/// Messages that were held back are overtaken by control frames.
fn parted(heard: Vec<Heard>) -> (Vec<Heard>, Vec<Heard>) {
    let is_message = |heard: &Heard| matches!(heard, Heard::Message(..));
    heard.into_iter().partition(is_message)
}

#[test]
fn what_one_role_sends_through_extensions_the_other_receives() {
    for seed in 1..=200 {
        eprintln!("seed {seed}");
        let mut random = Random::new(seed);
        let sender = if random.chance(50) {
            Role::Server
        } else {
            Role::Client
        };
        let toys = Random(random.0);
        let stream = {
            let toys = random_toys(&mut Random(toys.0), seed);
            Stream::random(&mut random, sender, chain(toys))
        };
        let arrivals = random_cuts(&mut random, &stream.bytes);
        let whole = [stream.bytes.as_slice()];
        for (delivery, most) in [
            (Delivery::Messages, None),
            (Delivery::Pieces { rx_chunk: 50 }, Some(50)),
        ] {
            let rules = receiver_of(sender, delivery);
            let mut heard = [arrivals.as_slice(), &whole].map(|arrivals| {
                let toys = random_toys(&mut Random(toys.0), seed);
                let mut websocket = WebSocket::with_extensions(chain(toys));
                hear_websocket(&mut websocket, &rules, arrivals)
            });
            let [cut, whole] = heard
                .each_mut()
                .map(|heard| joined(std::mem::take(heard), most));
            assert!(cut == whole, "seed {seed}");
            assert!(
                parted(cut) == parted(stream.expected.clone()),
                "seed {seed}"
            );
        }
    }
}

/// The same with a whole WebSocket, which is to hold no memory behind it.
fn hear_websocket(
    websocket: &mut WebSocket,
    rules: &InboundRules,
    arrivals: &[&[u8]],
) -> Vec<Heard> {
    let (mut all, mut unread, mut out) = (Vec::new(), Vec::new(), Vec::new());
    let mut buffers = pool();
    let receiver = rules.role;
    for arrived in arrivals {
        unread.extend_from_slice(arrived);
        loop {
            let mut key = || [1, 2, 3, 4];
            let mask = masking(receiver, &mut key);
            let turn = websocket.next(rules, &mut buffers, &mut out, mask, &mut unread);
            let (consumed, heard) = (turn.consumed, Heard::of(&turn.event));
            unread.drain(..consumed);
            let Some(heard) = heard else { break };
            all.push(heard);
        }
    }
    assert_eq!(buffers.budget().used(), 0);
    all
}

#[test]
fn any_bytes_at_all_through_extensions_end_in_events() {
    for seed in 1..=400 {
        let mut random = Random::new(seed);
        let toys = Random(random.0);
        let stream = {
            let toys = random_toys(&mut Random(toys.0), seed);
            Stream::random(&mut random, Role::Client, chain(toys))
        };
        let mut bytes = stream.bytes;
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        let arrivals = random_cuts(&mut random, &bytes);
        for delivery in [Delivery::Messages, Delivery::Pieces { rx_chunk: 16 }] {
            let rules = receiver_of(Role::Client, delivery);
            let mut buffers = pool();
            let mut inbound = Inbound::default();
            let mut extended = Extended::new(chain(random_toys(&mut Random(toys.0), seed)));
            hear(
                &mut inbound,
                &rules,
                Some(&mut extended),
                &mut buffers,
                &arrivals,
            );
            inbound.release(&mut buffers);
            assert_eq!(buffers.budget().used(), 0, "seed {seed}");
        }
    }
}

#[test]
fn any_bytes_at_all_end_in_events_and_never_in_a_panic() {
    for seed in 1..=2_000 {
        let mut random = Random::new(seed);
        let stream = Stream::random(&mut random, Role::Client, ExtensionChain::default());
        let mut bytes = stream.bytes;
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        let arrivals = random_cuts(&mut random, &bytes);
        for delivery in [Delivery::Messages, Delivery::Pieces { rx_chunk: 16 }] {
            let rules = receiver_of(Role::Client, delivery);
            let mut buffers = pool();
            let mut inbound = Inbound::default();
            hear(&mut inbound, &rules, None, &mut buffers, &arrivals);
            inbound.release(&mut buffers);
            assert_eq!(buffers.budget().used(), 0, "seed {seed}");
        }
    }
}

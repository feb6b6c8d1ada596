//! Sessions that we have opened, from the handshake to the end.

use tungstenite::{Message, protocol::CloseFrame};

use super::*;
use crate::wire::extension_toys;

#[test]
fn what_is_dialled_opens_and_speaks_both_ways_with_masks_of_its_own() {
    let (mut desk, server) = (Desk::new(), Server::new());
    let id = desk.dial(1, at(server.address));
    let (mut peer, head) = server.asked(&mut desk);
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    peer.send(ACCEPTED);
    desk.told(1, "opened");
    for text in ["one", "two", "three"] {
        desk.say(id, text);
    }
    desk.until("frames", |_| {
        peer.read();
        masked(&peer).len() == 3
    });
    let frames = masked(&peer);
    let texts: Vec<_> = frames
        .iter()
        .map(|(first, _, text)| (*first, &**text))
        .collect();
    assert_eq!(
        texts,
        [(0x81, &b"one"[..]), (0x81, b"two"), (0x81, b"three")]
    );
    assert!(frames[0].1 != frames[1].1 || frames[1].1 != frames[2].1);
    peer.send(b"\x81\x02hi\x89\x01p");
    desk.told(1, "hi");
    desk.until("pong", |_| {
        peer.read();
        masked(&peer).len() == 4
    });
    let (first, _, payload) = masked(&peer).remove(3);
    assert_eq!((first, &*payload), (0x8a, &b"p"[..]));
}

#[test]
fn frames_that_come_with_the_answer_are_heard_in_whatever_pieces() {
    let (mut desk, server) = (Desk::new(), Server::new());
    let mut bytes = ACCEPTED.to_vec();
    bytes.extend_from_slice(b"\x81\x05first\x81\x06second");
    desk.dial(1, at(server.address));
    let (mut peer, _) = server.asked(&mut desk);
    peer.send(&bytes);
    desk.told(1, "second");
    assert_eq!(
        desk.event_loop.service.told(1),
        ["answered 101", "opened", "first", "second"]
    );
    desk.dial(2, at(server.address));
    let (mut peer, _) = server.asked(&mut desk);
    for byte in bytes {
        peer.send(&[byte]);
        turn(&mut desk.event_loop, 0);
    }
    desk.told(2, "second");
    assert_eq!(
        desk.event_loop.service.told(2),
        ["answered 101", "opened", "first", "second"]
    );
}

#[test]
fn a_server_that_ends_right_behind_its_answer_is_heard_to_the_end() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, at(server.address));
    let (mut peer, _) = server.asked(&mut desk);
    let mut bytes = ACCEPTED.to_vec();
    bytes.extend_from_slice(b"\x81\x04last");
    peer.send(&bytes);
    drop(peer);
    desk.told(1, "closed 1006");
    assert_eq!(
        desk.event_loop.service.told(1),
        ["answered 101", "opened", "last", "closed 1006"]
    );
    desk.is_left_empty();
}

#[test]
fn our_own_server_answers_over_the_same_loop_whatever_the_size() {
    let mut desk = Desk::new();
    let id = desk.dial(1, at(desk.address));
    desk.told(1, "opened");
    for len in [21, 125, 126, 65_535, 65_536, 300_000] {
        desk.say(id, &"x".repeat(len));
        desk.told(1, &format!("{len} bytes"));
    }
    desk.event_loop.io.with(id, |_, port| port.ping(b"there?"));
    desk.told(1, "pong there?");
    desk.event_loop
        .io
        .with(id, |_, port| port.close(ClosedBy::Protocol, 3001, "enough"));
    desk.told(1, "closed 3001");
    desk.is_left_empty();
}

#[test]
fn a_client_that_has_closed_waits_for_the_server_to_end_the_transport() {
    let (mut desk, server) = (
        Desk::limited(|limits| limits.close_ms = 60_000),
        Server::new(),
    );
    let id = desk.dial(1, at(server.address));
    let mut peer = server.open(&mut desk);
    desk.told(1, "opened");
    desk.event_loop
        .io
        .with(id, |_, port| port.close(ClosedBy::Protocol, 1000, ""));
    peer.send(b"\x88\x02\x03\xe8");
    desk.told(1, "closed 1000");
    peer.read();
    assert!(!peer.ended, "the server ends it");
    assert_eq!(desk.event_loop.io.connections(), 1);
    drop(peer);
    desk.is_left_empty();
}

#[test]
fn a_socket_that_was_dialled_sends_small_messages_at_once_and_is_kept_alive() {
    let (mut desk, server) = (Desk::new(), Server::new());
    let id = desk.dial(1, at(server.address));
    let _peer = server.open(&mut desk);
    desk.told(1, "opened");
    let descriptor = desk.event_loop.socket(id).unwrap();
    let socket = socket2::SockRef::from(&descriptor);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 60);
}

#[test]
fn a_frame_with_a_mask_of_a_server_fails_the_connection() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, at(server.address));
    let mut peer = server.open(&mut desk);
    peer.send_frame(1, b"masked");
    desk.told(1, "closed 1002");
    desk.until("Close frame", |_| {
        peer.read();
        masked(&peer).first().is_some_and(|frame| frame.0 == 0x88)
    });
}

#[test]
fn tungstenite_as_the_server_understands_us_and_is_understood() {
    let mut desk = Desk::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = desk.dial(1, at(listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let mut websocket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut heard = Vec::new();
        loop {
            match websocket.read() {
                Ok(Message::Close(frame)) => heard.push(format!("{frame:?}")),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    heard.push(message.len().to_string());
                    websocket.send(message).unwrap();
                }
                Ok(_) => {}
                Err(_) => return heard,
            }
        }
    });
    desk.told(1, "opened");
    for len in [21, 126, 70_000, 1_000_000] {
        desk.say(id, &"y".repeat(len));
        desk.told(1, &format!("{len} bytes"));
    }
    // In fragments.
    desk.event_loop.io.with(id, |_, port| {
        let kind = MessageKind::Text;
        port.send(kind, true, false, &[b'a'; 15]);
        port.ping(b"within");
        port.send(kind, false, false, b"");
        port.send(kind, false, true, &[b'b'; 15])
    });
    desk.told(1, "30 bytes");
    desk.event_loop
        .io
        .with(id, |_, port| port.close(ClosedBy::Protocol, 1000, "bye"));
    desk.told(1, "closed 1000");
    desk.is_left_empty();
    let mut heard = server.join().unwrap();
    let frame = CloseFrame {
        code: 1000.into(),
        reason: "bye".into(),
    };
    assert_eq!(heard.pop(), Some(format!("{:?}", Some(frame))));
    assert_eq!(heard, ["21", "126", "70000", "1000000", "30"]);
}

#[test]
fn extensions_see_what_a_client_sends_before_it_is_masked() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.event_loop.service.chain = extension_toys::chain(vec![extension_toys::marks(4, 1)]);
    let id = desk.dial(1, at(server.address));
    let mut peer = server.open(&mut desk);
    desk.told(1, "opened");
    desk.say(id, "abc");
    desk.until("frame", |_| {
        peer.read();
        !masked(&peer).is_empty()
    });
    let (first, _, payload) = masked(&peer).remove(0);
    assert_eq!(first, 0xc1);
    assert!(payload.ends_with(b"`cb"), "{payload:?}");
    // The same back, as a server sends it.
    let mut echo = vec![first, payload.len() as u8];
    echo.extend_from_slice(&payload);
    peer.send(&echo);
    desk.told(1, "abc");
}

#[test]
fn what_was_framed_for_many_is_masked_anew_for_each_client() {
    let (mut desk, server) = (Desk::new(), Server::new());
    let ids = [1, 2].map(|number| desk.dial(number, at(server.address)));
    let mut peers = [(); 2].map(|()| server.open(&mut desk));
    desk.told(1, "opened");
    desk.told(2, "opened");
    let frames: crate::connection::write_queue::SharedBytes =
        Arc::new(b"\x81\x03all\x82\x01!".to_vec());
    let mut made = Vec::new();
    for id in ids {
        let delivered = desk.event_loop.io.deliver(id, &frames, |_| 0..8);
        assert_eq!(delivered, crate::net::io::Delivery::Extended);
        desk.event_loop.io.with(id, |_, port| {
            assert!(port.send_frames_once((*frames).as_ref(), &mut made));
        });
    }
    desk.until("frames", |_| {
        peers.iter_mut().all(|peer| {
            peer.read();
            masked(peer).len() == 2
        })
    });
    let all: Vec<_> = peers.iter().flat_map(masked).collect();
    let clear: Vec<_> = all
        .iter()
        .map(|(first, _, text)| (*first, &**text))
        .collect();
    assert_eq!(clear[..2], [(0x81, &b"all"[..]), (0x82, b"!")]);
    assert_eq!(clear[2..], clear[..2]);
    assert!(all.iter().any(|(_, key, _)| *key != all[0].1));
}

#[test]
fn a_name_is_looked_up_off_the_loop() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, to(&format!("ws://localhost:{}/", server.address.port())));
    server.open(&mut desk);
    desk.told(1, "opened");
}

#[test]
fn a_unix_socket_carries_a_session_too() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("server");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut desk = Desk::new();
    let mut dial = to("ws://somebody/");
    dial.target = Target::Unix(path);
    desk.dial(1, dial);
    let server = std::thread::spawn(move || {
        let mut websocket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        websocket.send(Message::text("hi")).unwrap();
        let _ = websocket.close(None);
        while websocket.read().is_ok() {}
    });
    desk.told(1, "hi");
    desk.told(1, "closed 1005");
    server.join().unwrap();
    desk.is_left_empty();
}

#[test]
fn through_a_proxy_the_server_is_asked_in_the_tunnel() {
    let (mut desk, proxy) = (Desk::new(), Server::new());
    let mut dial = to("ws://far.example:81/x");
    dial.opening.proxy = Some(Proxy::parse(&format!("u:p@{}", proxy.address)).unwrap());
    desk.dial(1, dial);
    let (mut peer, asked) = proxy.asked(&mut desk);
    assert!(
        asked.starts_with("CONNECT far.example:81 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("Proxy-Authorization: Basic dTpw\r\n"),
        "{asked}"
    );
    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
    let asked = head(&mut peer, &mut desk);
    assert!(
        asked.starts_with("GET /x HTTP/1.1\r\nHost: far.example:81\r\n"),
        "{asked}"
    );
    peer.send(ACCEPTED);
    desk.told(1, "opened");
}

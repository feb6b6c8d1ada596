use hotsocket_plugin::{
    CloseCode, ConnectStage,
    testing::{Handshake, Outgoing, TestAnswer, TestHost},
};

fn host(options: &str) -> TestHost {
    let host = TestHost::new(super::plugin());
    host.configure("bridge", options).expect("good options");
    host
}

const OPTIONS: &str = r#"{"url": "ws://server.example/a", "pass_headers": ["Authorization"]}"#;

#[test]
fn what_the_client_says_waits_for_the_server_and_keeps_its_kind() {
    let host = host(OPTIONS);
    let handshake = Handshake::at("/bridge")
        .offering(&["one", "two"])
        .with_field("Authorization", "Bearer x")
        .with_field("Cookie", "secret");
    let client = host.open_as("bridge", handshake);
    assert_eq!(client.subprotocol(), Some("one"));
    client.receive("early");
    let connect = host.connects().pop().expect("it connects");
    assert_eq!(
        (connect.url(), connect.subprotocols()),
        ("ws://server.example/a", &["one".to_owned()][..])
    );
    assert_eq!(
        connect.fields(),
        [("Authorization".to_owned(), b"Bearer x".to_vec())]
    );
    let server = connect
        .accept_with(TestAnswer::new(101).choosing("one"))
        .expect("taken");
    assert_eq!(server.sent(), [Outgoing::text("early")]);
    client.receive(b"\x00\xff");
    server.receive("back");
    assert_eq!(server.sent(), [Outgoing::binary(b"\x00\xff")]);
    assert_eq!(client.sent(), [Outgoing::text("back")]);
    server.receive_close(CloseCode(4000), "enough");
    let ending = client.ending().expect("closed too");
    assert_eq!((ending.code, &*ending.reason), (CloseCode(4000), "enough"));
}

#[test]
fn who_does_not_read_holds_back_who_sends() {
    let host = host(OPTIONS);
    let client = host.open("bridge");
    let connect = host.connects().pop().expect("it connects");
    let server = connect.accept().expect("taken");
    client.set_full(true);
    server.receive("one");
    server.receive("two");
    assert!(server.is_paused());
    assert_eq!(client.sent(), []);
    client.set_full(false);
    assert!(!server.is_paused());
    assert_eq!(
        client.sent(),
        [Outgoing::text("one"), Outgoing::text("two")]
    );
}

#[test]
fn a_server_that_is_not_there_or_too_busy_is_told_by_the_close_code() {
    let host = host(OPTIONS);
    for (status, code) in [(None, 1014), (Some(403), 1014), (Some(503), 1013)] {
        let client = host.open("bridge");
        let connect = host.connects().pop().expect("it connects");
        let _ = match status {
            None => connect.fail(ConnectStage::Connect, "nobody"),
            Some(status) => connect.refuse(TestAnswer::new(status)),
        };
        assert_eq!(client.ending().map(|ending| ending.code.0), Some(code));
    }
}

#[test]
fn a_client_that_leaves_early_has_the_connection_given_up() {
    let host = host(OPTIONS);
    let client = host.open("bridge");
    let connect = host.connects().pop().expect("it connects");
    client.receive_close(CloseCode(1000), "");
    assert_eq!(host.given_up(), [connect.number()]);
}

#[test]
fn options_without_a_url_are_refused() {
    let host = TestHost::new(super::plugin());
    for options in ["{}", r#"{"url": "http://h"}"#] {
        let refused = host.configure("bridge", options).expect_err("no url");
        assert!(refused.contains("`url`"), "{refused}");
    }
}

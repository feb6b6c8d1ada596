//! Extensions that we offer.

use serde_json::json;

use super::{Caller, liar::Liar, url};
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::{Server, Setup};

fn caller() -> Caller {
    let setup = Setup::new().plugin(&plugin("caller"));
    Caller::of(setup.plugin(&permessage_deflate()))
}

#[test]
fn seed_8_4_an_extension_is_offered_confirmed_and_used_as_client() {
    let upstream = Server::with([&echo(), &permessage_deflate()]);
    let mut caller = caller();
    let long = "again and ".repeat(5_000);
    caller.connect(&json!({"url": url(&upstream, "/echo"), "say": [long]}));
    assert!(caller.told().starts_with("open Client"));
    caller.expect(&format!("text {long}"));

    let liar = Liar::new();
    caller.connect(&json!({"url": liar.url("/"), "say": [long]}));
    let mut asked = liar.accept();
    let offer = asked.field("Sec-WebSocket-Extensions").expect("an offer");
    assert!(offer.starts_with("permessage-deflate"), "{offer}");
    asked.open(
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n",
    );
    assert!(caller.told().starts_with("open Client"));
    let mut head = [0];
    std::io::Read::read_exact(&mut asked.stream, &mut head).expect("a frame");
    assert_eq!(head[0], 0xc1, "compressed text");
}

#[test]
fn seed_8_4_an_answer_that_an_extension_cannot_take_fails_the_connection() {
    let liar = Liar::new();
    let mut caller = caller();
    for answer in ["permessage-deflate; what=7", "unknown"] {
        caller.connect(&json!({"url": liar.url("/")}));
        liar.accept()
            .open(&format!("Sec-WebSocket-Extensions: {answer}\r\n"));
        let told = caller.told();
        assert!(
            told.starts_with("error Handshake Some(101) 1 false"),
            "{told}"
        );
    }
    caller.expect_no_orders();
}

#[test]
fn seed_8_10_a_protocol_may_hide_an_extension_from_a_server() {
    let liar = Liar::new();
    let mut caller = caller();
    caller.connect(&json!({"url": liar.url("/?plain")}));
    let asked = liar.accept();
    assert_eq!(asked.field("Sec-WebSocket-Extensions"), None);
    caller.connect(&json!({"url": liar.url("/?other")}));
    assert!(liar.accept().field("Sec-WebSocket-Extensions").is_some());
}

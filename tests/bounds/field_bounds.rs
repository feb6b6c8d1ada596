//! Fields of a request that have bounds of their own.

use serde_json::json;

use crate::support::{Config, Server, Setup};

fn server(bounds: serde_json::Value) -> Server {
    let config = Config::new().key("limits", json!({ "per_field_bytes": bounds }));
    Setup::new().config(&config).start()
}

#[test]
fn seed_2_15_a_field_above_its_own_bound_is_answered_431_and_the_log_names_it() {
    let server = server(json!({"Cookie": 8, "X-Token": 4}));
    let good = [
        ("cookie", "12345678"),
        ("x-token", "1234"),
        ("Other", "long enough"),
    ];
    let mut peer = server.connect();
    assert_eq!(peer.request("GET", "/", &good).status, 200);
    for (fields, name, bytes) in [
        (&[("COOKIE", "123456789")][..], "Cookie", 8),
        (&[("Cookie", "1234"), ("cookie", "56789")], "Cookie", 8),
        (&[("Cookie", "1"), ("x-token", "12345")], "X-Token", 4),
    ] {
        let mark = server.log().mark();
        let mut peer = server.connect();
        let answer = peer.request("GET", "/", fields);
        assert_eq!(answer.status, 431, "{answer:?}");
        let said = format!(
            "request field `{name}` too large: see limits.per_field_bytes, which is {bytes} for it"
        );
        assert_eq!(answer.body.trim_end(), said);
        assert_eq!(answer.field("connection"), Some("close"));
        peer.expect_end();
        let line = server.await_log(mark, |line| line.mentions("request refused"));
        assert_eq!(line.text("error"), said);
        assert!(line.text("peer").starts_with("127.0.0.1:"), "{line:?}");
    }
}

#[test]
fn seed_2_15_an_opening_handshake_is_held_to_the_bounds_too() {
    let server = server(json!({"Origin": 20}));
    let long = "https://a-long-name.example.org";
    let answer = server.connect().handshake("/echo", &[("Origin", long)]);
    assert_eq!(answer.status, 431, "{answer:?}");
}

#[test]
fn what_is_no_name_of_a_field_is_refused_with_its_place() {
    for (name, said) in [
        ("Cookie:", "`Cookie:` is no name of a field"),
        ("", "`` is no name of a field"),
    ] {
        let config = json!({"limits": {"per_field_bytes": {name: 1}}});
        let output = Setup::new().config_text(&config.to_string()).run();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(said), "{told}");
    }
    let twice = r#"{"limits": {"per_field_bytes": {"Cookie": 1, "cookie": 2}}}"#;
    let output = Setup::new().config_text(twice).run();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("the field `cookie` has a bound already"),
        "{told}"
    );
}

//! Connections through a proxy.

use serde_json::json;

use super::{
    Caller,
    liar::{Asked, Liar},
};
use crate::support::plugins::plugin;
use crate::support::{Config, Setup};

fn tunnel(liar: &Liar, caller: &mut Caller, to: &str) -> Asked {
    let mut asked = liar.accept();
    let begin = format!("CONNECT {to} HTTP/1.1\r\n");
    assert!(asked.head.starts_with(&begin), "{}", asked.head);
    asked.say("HTTP/1.1 200 OK\r\n\r\n");
    asked.next_head();
    asked.open("");
    assert!(caller.told().starts_with("open Client"));
    asked
}

#[test]
fn seed_7_13_a_proxy_is_asked_for_a_tunnel_by_request_by_environment_and_by_config() {
    let liar = Liar::new();
    let address = liar.address().to_string();
    let setup = || Setup::new().plugin(&plugin("caller"));

    let mut caller = Caller::of(setup());
    caller.connect(&json!({"url": "ws://server.example/", "proxy": address}));
    let _open = tunnel(&liar, &mut caller, "server.example:80");

    let environment = setup().environment("http_proxy", &*address);
    let mut caller = Caller::of(environment.environment("no_proxy", "direct.invalid"));
    caller.connect(&json!({"url": "ws://server.example:81/"}));
    let _open = tunnel(&liar, &mut caller, "server.example:81");
    for order in [
        json!({"url": "ws://direct.invalid/"}),
        json!({"url": "ws://other.invalid/", "no_proxy": true}),
    ] {
        caller.connect(&order);
        assert!(caller.told().starts_with("error Resolve"));
    }

    let proxy = json!({"proxy": address, "no_proxy": "direct.invalid, 10.0.0.0/8"});
    let config = Config::new().key("client", proxy);
    let other = setup()
        .config(&config)
        .environment("http_proxy", "other.invalid:1");
    let mut caller = Caller::of(other);
    caller.connect(&json!({"url": "ws://server.example/"}));
    let _open = tunnel(&liar, &mut caller, "server.example:80");
    caller.connect(&json!({"url": "ws://direct.invalid/"}));
    assert!(caller.told().starts_with("error Resolve"));
}

#[test]
fn a_proxy_that_refuses_is_told_apart_from_a_server() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    let proxy = liar.address().to_string();
    caller.connect(&json!({"url": "ws://server.example/", "proxy": proxy}));
    liar.accept()
        .answer("407 Proxy Authentication Required", "", "who?");
    let told = caller.told();
    assert!(
        told.starts_with("error Proxy Some(407) 1 false [] [who?]"),
        "{told}"
    );
}

#[test]
fn a_config_that_names_no_proxy_is_refused_with_its_place() {
    for (text, said) in [
        (
            "{\n  \"client\": {\"proxy\": \"socks5://p:1\"}\n}",
            "socks5",
        ),
        ("{\n  \"client\": {\"prox\": \"p:1\"}\n}", "proxy"),
        ("{\n  \"client\": {\"no_proxy\": \"a, c:x\"}\n}", "c:x"),
    ] {
        let output = Setup::new().config_text(text).run();
        assert_ne!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(":2:") && told.contains(said), "{told}");
    }
}

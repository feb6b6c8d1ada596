//! The example `server-sent-events` in the real server.

use std::fs;

use serde_json::json;

use crate::http::peer::HttpPeer;
use crate::support::plugins::{plugin, replaced};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Server, Setup};

fn server() -> Server {
    let config = Config::new().mount("/events", json!({"protocol": "server-sent-events"}));
    let setup = Setup::new().plugin(&plugin("server_sent_events"));
    setup.config(&config).start()
}

fn post(length: usize) -> String {
    format!("POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

fn tell(server: &Server, text: &str) -> String {
    let mut peer = HttpPeer::connect(server.address());
    peer.send(post(text.len()) + text);
    peer.answer().text().to_owned()
}

fn listen(server: &Server) -> HttpPeer {
    let mut peer = HttpPeer::connect(server.address());
    peer.send("GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
    let head = peer.head();
    assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
    assert_eq!(peer.chunk(), b":\n\n");
    peer
}

#[test]
fn what_is_posted_reaches_all_who_listen_as_it_comes() {
    let server = server();
    let mut listeners = [(); 3].map(|()| listen(&server));
    for text in ["one", "two"] {
        assert_eq!(tell(&server, text), "3 listen\n");
        for listener in &mut listeners {
            assert_eq!(listener.chunk(), format!("data: {text}\n\n").as_bytes());
        }
    }
    drop(listeners);
    eventually("nobody listens", DEADLINE, || {
        tell(&server, "three") == "0 listen\n"
    });
}

#[test]
fn a_stream_goes_on_with_the_old_plugin_when_it_is_replaced() {
    let server = server();
    let mut old = listen(&server);
    // Begun with the old plugin, and so heard by those who listen to it.
    let mut teller = HttpPeer::connect(server.address());
    teller.send(post(4) + "fro");
    eventually("both exchanges are under way", DEADLINE, || {
        let output = server.command(["plugin", "list", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        list[0]["sessions"] == 2
    });

    let bytes = fs::read(plugin("server_sent_events")).expect("a built plugin");
    let bytes = replaced(&bytes, b"POST tells", b"POST TELLS");
    let newer = server.directory().join("newer.so");
    fs::write(&newer, bytes).expect("a fresh file");
    server.drop_in(&newer, "libserver_sent_events.so");
    eventually("the new version answers", DEADLINE, || {
        let answer = HttpPeer::connect(server.address()).ask("PUT", "/events", "");
        answer.text().contains("POST TELLS")
    });

    let mut new = listen(&server);
    assert_eq!(tell(&server, "new"), "1 listen\n");
    assert_eq!(new.chunk(), b"data: new\n\n");
    teller.send("m");
    assert_eq!(teller.answer().text(), "1 listen\n");
    assert_eq!(old.chunk(), b"data: from\n\n");
}

//! HTTP handlers through the real tables: what their hooks are told, and what they can ask for.

mod handlers;

use std::{sync::mpsc, thread, time::Duration};

use handlers::{Curious, ENDS, Hello, Nothing, Orders, Plain, Room};
use hotsocket_plugin::{
    prelude::*,
    testing::{ExchangeEnding, TestExchange, TestHost, TestRequest},
};
use serde_json::{Value, json};

export_plugin!(Plain, Room; http: Hello, Orders, Curious; extensions: Nothing);

/// A host whose obedient handler writes into what is returned.
fn obedient() -> (
    TestHost,
    mpsc::Receiver<String>,
    mpsc::Receiver<ExchangeHandle>,
) {
    let (diary, notes) = mpsc::channel();
    let (handles, opened) = mpsc::channel();
    ENDS.set(Some((diary, handles)));
    let host = TestHost::new(plugin());
    host.configure("obedient", "{}").expect("it takes {}");
    (host, notes, opened)
}

fn order(host: &TestHost, order: &str) -> TestExchange {
    host.request("obedient", TestRequest::get(&format!("/obedient/{order}")))
}

fn read(notes: &mpsc::Receiver<String>) -> Vec<String> {
    notes.try_iter().collect()
}

const EMPTY_BODY: &str = r#"body "" first true last true"#;

#[test]
fn the_manifest_says_who_answers_http_and_who_does_nothing_else() {
    let manifest: Value = serde_json::from_str(plugin().manifest()).expect("it is JSON");
    let entry = |name: &str, id: u32| json!({"name": name, "id": id, "delivery": "messages", "rx_chunk": 0, "pongs": false});
    let with = |mut entry: Value, more: Value| {
        for (key, value) in more.as_object().expect("an object") {
            entry[key] = value.clone();
        }
        entry
    };
    let alone = json!({"websocket": false, "http": true});
    assert_eq!(
        manifest["protocols"],
        json!([
            with(entry("plain", 0), json!({"session_bytes": 0})),
            with(
                entry("room", 9),
                json!({"session_bytes": 0, "http": true, "body_bytes": 100})
            ),
            with(entry("hello", 0), alone.clone()),
            with(entry("obedient", 7), alone),
            with(
                entry("curious", 0),
                json!({"websocket": false, "http": true, "body_bytes": 8})
            ),
        ])
    );
    assert_eq!(manifest["extensions"], json!([{"name": "x-nothing"}]));
    assert_eq!(plugin().declaration().protocol_count, 5);
}

#[test]
fn the_tables_of_an_entry_are_those_that_the_manifest_names() {
    let declaration = plugin().declaration();
    let tables: Vec<_> = (0..declaration.protocol_count)
        .map(|index| {
            // SAFETY: the declaration has that many entries.
            let entry = unsafe { *declaration.protocols.add(index) };
            (!entry.session.is_null(), !entry.http.is_null())
        })
        .collect();
    assert_eq!(
        tables,
        [
            (true, false),
            (true, true),
            (false, true),
            (false, true),
            (false, true)
        ]
    );
}

#[test]
fn an_answer_goes_out_whole() {
    let host = TestHost::new(plugin());
    let exchange = host.request("hello", TestRequest::get("/hello"));
    assert_eq!(exchange.status(), Some(200));
    assert_eq!(
        exchange.fields(),
        [(
            "Content-Type".to_owned(),
            "text/plain; charset=utf-8".to_owned()
        )]
    );
    assert_eq!(
        exchange.field("content-type").as_deref(),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        (exchange.text().as_str(), exchange.announced()),
        ("hello", Some(5))
    );
    assert!(exchange.is_finished() && !exchange.is_cut_off() && !exchange.is_closed_after());
    assert_eq!(
        exchange.ending(),
        Some(ExchangeEnding {
            by: EndedBy::Answer,
            status: Some(200),
            sent: 5,
            reason: String::new(),
        })
    );
}

#[test]
fn a_handler_reads_what_the_request_says() {
    let host = TestHost::new(plugin());
    let request = TestRequest::post("/shop/list%20?a=1%262&b=%C3%A9+x&a", "abc")
        .mounted_at("/shop")
        .field("Cookie", "x=1")
        .field("cookie", "y=2");
    let exchange = host.request("curious", request);
    let known: Value = serde_json::from_slice(&exchange.content()).expect("it is JSON");
    assert_eq!(
        known,
        json!({
            "method": "POST",
            "target": "/shop/list%20?a=1%262&b=%C3%A9+x&a",
            "mountpoint": "/shop",
            "below": "/list%20",
            "pairs": [["a", "1&2"], ["b", "é x"], ["a", ""]],
            "cookies": ["x=1", "y=2"],
            "length": 3,
            "body": "abc",
        })
    );
}

#[test]
fn a_body_comes_whole_up_to_its_bound_if_the_handler_says_so() {
    let host = TestHost::new(plugin());
    let exchange = host.request("curious", TestRequest::post("/", "").streamed());
    exchange.receive("1234");
    assert_eq!(exchange.status(), None);
    exchange.receive_last("5678", &[]);
    assert!(
        exchange
            .text()
            .contains(r#""length":null,"body":"12345678""#)
    );

    let exchange = host.request("curious", TestRequest::post("/", "123456789"));
    assert_eq!(exchange.status(), Some(413));
    assert_eq!(exchange.ending().map(|end| end.by), Some(EndedBy::Host));
}

#[test]
fn a_body_comes_in_pieces_and_none_comes_while_the_exchange_is_paused() {
    let (host, notes, handles) = obedient();
    let request = TestRequest::post("/obedient/echo", "").streamed();
    let echo = host.request("obedient", request);
    echo.receive("ab");
    assert_eq!((echo.text().as_str(), echo.is_finished()), ("ab", false));
    echo.receive_last("c", &[]);
    assert_eq!((echo.text().as_str(), echo.is_finished()), ("abc", true));
    assert_eq!(echo.announced(), None);
    assert_eq!(
        read(&notes),
        [
            r#"body "ab" first true last false"#,
            r#"body "c" first false last true"#,
            "end by Answer Some(200) 3",
        ]
    );

    let paused = order(&host, "pause");
    assert!(paused.is_paused());
    assert_eq!(read(&notes), [""; 0]);
    let handle = handles.try_iter().last().expect("it was opened");
    handle.resume().expect("it is under way");
    host.turn();
    assert_eq!(read(&notes), [EMPTY_BODY]);
    handle.pause().expect("it is under way");
    host.turn();
    assert!(paused.is_paused());
}

#[test]
fn trailer_fields_are_there_behind_the_last_piece() {
    let (host, _notes, _handles) = obedient();
    let request = TestRequest::post("/obedient/trailers", "").streamed();
    let exchange = host.request("obedient", request);
    exchange.receive("x");
    exchange.receive_last("", &[("X-Sum", "1"), ("X-More", "2")]);
    assert_eq!(exchange.failures(), [""; 0]);
    assert_eq!(exchange.status(), Some(204));
}

#[test]
fn a_streamed_answer_waits_for_room_and_is_told_when_there_is() {
    let (host, notes, handles) = obedient();
    let exchange = order(&host, "stream-later");
    exchange.set_full(true);
    let handle = handles.try_recv().expect("it was opened");
    handle.notify(b"now").expect("it is under way");
    host.turn();
    assert_eq!(
        (exchange.status(), exchange.text().as_str()),
        (Some(200), "")
    );
    assert_eq!(read(&notes), [EMPTY_BODY]);
    exchange.set_full(false);
    assert_eq!(exchange.text(), "piece 3\npiece 2\npiece 1\n");
    assert_eq!(exchange.failures(), [""; 0]);
    assert_eq!(read(&notes), ["writable", "end by Answer Some(200) 24"]);
}

#[test]
fn an_exchange_can_be_made_to_ask_for_room_from_outside() {
    let (host, notes, handles) = obedient();
    let exchange = order(&host, "wait");
    exchange.set_full(true);
    let handle = handles.try_recv().expect("it was opened");
    handle.ask_writable().expect("it is under way");
    host.turn();
    assert_eq!(read(&notes), [EMPTY_BODY]);
    exchange.set_full(false);
    assert_eq!(read(&notes), ["writable"]);
}

#[test]
fn trailer_fields_follow_content_of_unknown_length() {
    let (host, _notes, _handles) = obedient();
    let exchange = order(&host, "stream");
    assert_eq!(exchange.text(), "piece 3\npiece 2\npiece 1\n");
    assert_eq!(exchange.announced(), None);
    assert_eq!(exchange.trailers(), [("X-Sum".to_owned(), "3".to_owned())]);
    assert_eq!(exchange.field("X-Early"), None);
    assert!(exchange.is_finished());
    assert_eq!(exchange.failures(), [""; 0]);
}

#[test]
fn content_keeps_to_the_length_that_was_announced() {
    let (host, _notes, _handles) = obedient();
    let exact = order(&host, "measured");
    assert_eq!(
        (exact.text().as_str(), exact.announced()),
        ("1234", Some(4))
    );
    assert_eq!(exact.failures(), [""; 0]);
    let short = order(&host, "too-short");
    assert!(short.is_cut_off() && !short.is_finished());
    assert_eq!(short.ending().map(|end| end.by), Some(EndedBy::Handler));
}

#[test]
fn an_exchange_has_one_answer() {
    let (host, _notes, _handles) = obedient();
    let exchange = order(&host, "twice");
    assert_eq!(exchange.text(), "first");
    assert_eq!(
        (exchange.field("X-Second"), exchange.trailers()),
        (None, vec![])
    );
    assert_eq!(exchange.failures(), [""; 0]);
}

#[test]
fn an_answer_that_cannot_be_sent_is_500_for_the_peer_and_a_line_in_the_log() {
    let (host, notes, _handles) = obedient();
    let request = TestRequest::get("/obedient/split?to=/%0D%0ASet-Cookie:%20a=b");
    let exchange = host.request("obedient", request);
    assert_eq!((exchange.status(), exchange.fields()), (Some(500), vec![]));
    assert_eq!(
        exchange.failures(),
        ["the answer cannot be sent: the field \"Location\" has a control character in its value"]
    );
    for (path, why) in [
        ("relative-file", "the path a.txt is relative"),
        ("long-fields", "its fields are longer than the host takes"),
        (
            "started-with-content",
            "an answer that is started has no content yet",
        ),
    ] {
        let exchange = order(&host, path);
        assert_eq!(
            (exchange.status(), exchange.fields()),
            (Some(500), vec![]),
            "{path}"
        );
        assert_eq!(
            exchange.failures(),
            [format!("the answer cannot be sent: {why}")]
        );
    }
    // `open` failed: there is no value that could hear of it.
    assert_eq!(read(&notes), [""; 0]);

    let mended = order(&host, "split-mended");
    assert_eq!((mended.status(), mended.failures()), (Some(204), vec![]));
}

#[test]
fn a_file_is_sent_by_the_host_and_the_handler_hears_of_it() {
    let (host, notes, _handles) = obedient();
    for (outcome, status, by) in [
        (FileSent::Sent, 200, EndedBy::Answer),
        (FileSent::NotFound, 404, EndedBy::Answer),
        (FileSent::Failed, 200, EndedBy::Host),
    ] {
        let exchange = order(&host, "file");
        assert_eq!(exchange.file().as_deref(), Some("/srv/a.txt".as_ref()));
        assert_eq!(
            exchange.field("Cache-Control").as_deref(),
            Some("max-age=60")
        );
        assert_eq!(exchange.ending(), None);
        exchange.file_sent(outcome);
        assert_eq!(exchange.ending().map(|end| end.by), Some(by));
        assert_eq!(exchange.failures(), [""; 0]);
        assert_eq!(
            read(&notes),
            [
                EMPTY_BODY.to_owned(),
                format!("file {outcome:?}"),
                format!("end by {by:?} Some({status}) 0"),
            ]
        );
    }
}

#[test]
fn timers_are_due_on_the_hosts_clock() {
    let (host, notes, _handles) = obedient();
    let exchange = order(&host, "timers");
    host.advance(Duration::from_millis(9));
    assert_eq!(exchange.status(), None);
    host.advance(Duration::from_millis(20));
    assert_eq!(exchange.text(), "in time");
    assert_eq!(
        read(&notes),
        [EMPTY_BODY, "timer 1", "end by Answer Some(200) 7"]
    );
}

#[test]
fn another_thread_reaches_an_exchange_until_it_has_ended() {
    let (host, _notes, handles) = obedient();
    let exchange = order(&host, "wait");
    let handle = handles.try_recv().expect("it was opened");
    let worker = thread::spawn(move || handle.notify(b"news"));
    assert_eq!(worker.join().expect("it does not panic"), Ok(()));
    host.turn();
    assert_eq!(exchange.text(), "news");
    assert_eq!(handle.notify(b"more"), Err(PostError::Stale));

    let exchange = order(&host, "wait");
    let handle = handles.try_recv().expect("it was opened");
    handle.abort().expect("it is under way");
    host.turn();
    assert!(exchange.is_cut_off());
    assert_eq!(exchange.ending().map(|end| end.by), Some(EndedBy::Handler));
}

#[test]
fn a_handler_ends_the_connection_at_once_or_after_its_answer() {
    let (host, notes, _handles) = obedient();
    let aborted = order(&host, "abort");
    assert!(aborted.is_cut_off());
    assert_eq!(aborted.ending().map(|end| end.by), Some(EndedBy::Handler));
    let last = order(&host, "last");
    assert!(last.is_closed_after() && !last.is_cut_off());
    assert_eq!(last.ending().map(|end| end.by), Some(EndedBy::Answer));
    let _ = read(&notes);

    let left = order(&host, "wait");
    left.leave();
    assert_eq!(read(&notes), [EMPTY_BODY, "end by Peer None 0"]);
    drop(left);
    drop(order(&host, "wait"));
    assert_eq!(read(&notes), [EMPTY_BODY, "end by Peer None 0"]);
}

#[test]
fn instances_have_options_states_per_thread_and_an_end() {
    let (host, notes, _handles) = obedient();
    assert_eq!(order(&host, "thread").text(), "1");
    assert_eq!(order(&host, "thread").text(), "2");
    let refused = order(&host, "refuse");
    assert_eq!(
        (refused.status(), refused.failures()),
        (Some(500), vec!["not today".to_owned()])
    );
    let _ = read(&notes);

    let refused = host.configure("obedient", r#"{"closed": true}"#);
    assert_eq!(refused, Err("the book is closed".to_owned()));
    let refused = host
        .configure("obedient", r#"{"colour": 1}"#)
        .expect_err("unknown");
    assert!(
        refused.starts_with("option `colour`: unknown field"),
        "{refused}"
    );
    let refused = host
        .configure("hello", r#"{"colour": 1}"#)
        .expect_err("it has none");
    assert!(refused.starts_with("option `colour`"), "{refused}");
    assert_eq!(read(&notes), [""; 0]);
    host.configure("obedient", "{}").expect("it takes {}");
    assert_eq!(read(&notes), ["retired"]);
    assert_eq!(order(&host, "thread").text(), "1");
}

#[test]
fn a_protocol_answers_http_from_the_instance_of_its_sessions() {
    let host = TestHost::new(plugin());
    let look = || host.request("room", TestRequest::get("/room")).text();
    let guest = host.open("room");
    assert_eq!(look(), "9: 1 of 1");
    let _other = host.open("room");
    drop(guest);
    assert_eq!(look(), "9: 1 of 2");
}

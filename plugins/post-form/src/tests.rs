//! The handler, through the tables that a host uses.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hotsocket_plugin::testing::{TestExchange, TestHost, TestRequest};

/// Lets the writer, which has a thread of its own, do its part.
fn wait(host: &TestHost, what: &str, is_done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_done() {
        assert!(Instant::now() < deadline, "{what} has not happened");
        thread::sleep(Duration::from_millis(1));
        host.turn();
    }
}

fn answered(host: &TestHost, exchange: &TestExchange) -> u16 {
    wait(host, "an answer", || exchange.is_finished());
    exchange.status().expect("it is answered")
}

fn host(directory: &Path, more: &str) -> TestHost {
    let host = TestHost::new(super::plugin());
    let options = format!("{{\"directory\": {directory:?}{more}}}");
    host.configure("post-form", &options).expect("it is right");
    host
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}

fn post(content_type: &str, body: impl Into<Vec<u8>>) -> TestRequest {
    TestRequest::post("/form", body).field("Content-Type", content_type)
}

const MULTIPART: &str = "multipart/form-data; boundary=\"xx\"";

fn file(name: &str, content: &str) -> String {
    format!(
        "--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n{content}\r\n"
    )
}

#[test]
fn a_form_without_files_is_told_back_as_json() {
    let host = TestHost::new(super::plugin());
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    let exchange = host.request("post-form", post(content_type, "a=1+2&b=%C3%A9"));
    assert_eq!(answered(&host, &exchange), 200);
    assert_eq!(
        exchange.field("Content-Type").as_deref(),
        Some("application/json")
    );
    assert_eq!(
        exchange.text(),
        r#"{"fields":[{"name":"a","value":"1 2"},{"name":"b","value":"é"}],"files":[]}"#
    );
}

#[test]
fn files_are_kept_under_safe_names_and_overwrite_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("a.txt"), "mine").expect("written");
    let host = host(directory.path(), "");
    let body = format!(
        "{}{}--xx--\r\n",
        file("../../a.txt", "one"),
        file("..", "two")
    );
    let exchange = host.request("post-form", post(MULTIPART, body));
    assert_eq!(answered(&host, &exchange), 200, "{}", exchange.text());
    assert_eq!(names(directory.path()), ["a-1.txt", "a.txt", "file"]);
    let text = |name: &str| fs::read_to_string(directory.path().join(name)).expect("text");
    assert_eq!(
        [text("a.txt"), text("a-1.txt"), text("file")],
        ["mine", "one", "two"]
    );
    assert!(
        exchange
            .text()
            .contains(r#""name":"../../a.txt","stored":"a-1.txt","bytes":3"#)
    );
}

#[test]
fn a_large_upload_comes_piece_by_piece_and_waits_for_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let host = host(directory.path(), "");
    let exchange = host.request("post-form", post(MULTIPART, "").streamed());
    exchange.receive("--xx\r\nContent-Disposition: form-data; name=f; filename=large\r\n\r\n");
    // Nobody takes what is put down in one turn, so the body pauses.
    let piece = vec![b'x'; super::upload::MOST_WAITING_BYTES];
    for _ in 0..8 {
        exchange.receive(&piece);
        wait(&host, "room", || !exchange.is_paused());
    }
    exchange.receive_last("\r\n--xx--", &[]);
    assert_eq!(answered(&host, &exchange), 200, "{}", exchange.text());
    let large = fs::metadata(directory.path().join("large")).expect("it is there");
    assert_eq!(large.len(), 8 * piece.len() as u64);
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let host = host(directory.path(), "");
    let exchange = host.request("post-form", post(MULTIPART, "").streamed());
    exchange.receive(file("a", "whole") + &file("b", "and another")[..70]);
    wait(&host, "a file", || !names(directory.path()).is_empty());
    exchange.leave();
    wait(&host, "its removal", || names(directory.path()).is_empty());
    assert_eq!(exchange.failures(), [""; 0]);
}

#[test]
fn what_is_too_much_or_no_form_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let host = host(
        directory.path(),
        r#", "most_file_bytes": 4, "most_fields": 1"#,
    );
    let urlencoded = "application/x-www-form-urlencoded";
    for (content_type, body, status) in [
        (
            MULTIPART,
            file("a", "1234") + &file("b", "12345") + "--xx--",
            413,
        ),
        (MULTIPART, file("a", "1234"), 400),
        ("multipart/form-data", String::new(), 400),
        ("multipart/form-data; boundary=\"\"", String::new(), 400),
        ("multipart/mixed; boundary=xx", String::new(), 415),
        ("text/plain", String::new(), 415),
        (urlencoded, "a&b".to_owned(), 413),
    ] {
        let exchange = host.request("post-form", post(content_type, body));
        assert_eq!(
            answered(&host, &exchange),
            status,
            "{content_type}: {}",
            exchange.text()
        );
        assert_eq!(names(directory.path()), [""; 0]);
    }
    let exchange = host.request("post-form", TestRequest::post("/form", "a=1"));
    assert_eq!(answered(&host, &exchange), 415);
}

#[test]
fn the_answer_to_too_much_does_not_wait_for_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let host = host(directory.path(), r#", "most_file_bytes": 4"#);
    let exchange = host.request("post-form", post(MULTIPART, "").streamed());
    exchange.receive(file("a", "12345678901234567890"));
    assert_eq!(answered(&host, &exchange), 413);
    wait(&host, "its removal", || names(directory.path()).is_empty());
}

#[test]
fn other_methods_are_told_which_one_is_right() {
    let host = TestHost::new(super::plugin());
    for method in ["GET", "PUT", "DELETE"] {
        let exchange = host.request("post-form", TestRequest::new(method, "/form"));
        assert_eq!(exchange.status(), Some(405));
        assert_eq!(exchange.field("Allow").as_deref(), Some("POST"));
    }
}

#[test]
fn a_browser_is_sent_on_if_the_options_say_so() {
    let host = TestHost::new(super::plugin());
    host.configure("post-form", r#"{"redirect": "/thanks.html"}"#)
        .expect("it is right");
    let request = post("application/x-www-form-urlencoded", "a=1");
    let exchange = host.request("post-form", request);
    assert_eq!(answered(&host, &exchange), 303);
    assert_eq!(exchange.field("Location").as_deref(), Some("/thanks.html"));
}

#[test]
fn a_disk_error_is_the_operators_to_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let host = host(directory.path(), "");
    let path = directory.path().display().to_string();
    directory.close().expect("it is removed");
    let request = post(MULTIPART, file("a", "content") + "--xx--");
    let exchange = host.request("post-form", request);
    assert_eq!(answered(&host, &exchange), 500);
    assert_eq!(exchange.text(), "the form could not be kept\n");
    let logged = host.logged();
    let line = logged.first().expect("a line");
    assert!(
        line.starts_with(&format!("ERROR cannot make a file in {path}: ")),
        "{line}"
    );
}

#[test]
fn wrong_options_are_refused_in_words() {
    let host = TestHost::new(super::plugin());
    let refused = |options: &str| host.configure("post-form", options).expect_err("wrong");
    let missing = refused(r#"{"directory": "/nothing-here"}"#);
    assert!(
        missing.starts_with("option `directory`: /nothing-here: "),
        "{missing}"
    );
    let no_directory = refused(r#"{"directory": "/dev/null"}"#);
    assert!(
        no_directory.contains("it is no directory"),
        "{no_directory}"
    );
    // Nobody can make a file there.
    let closed = refused(r#"{"directory": "/proc"}"#);
    assert!(
        closed.starts_with("option `directory`: /proc: no file can be made there: "),
        "{closed}"
    );
    let no_address = refused(r#"{"redirect": "/a\r\nSet-Cookie: b"}"#);
    assert!(
        no_address.starts_with("option `redirect`: "),
        "{no_address}"
    );
}

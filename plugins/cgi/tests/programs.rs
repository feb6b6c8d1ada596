//! The handler with real programs.

mod support;

use std::{fs, path::Path};

use hotsocket_plugin::testing::{TestHost, TestRequest};
use support::{SCRIPTS, answered, at, get, host, processes, wait};

/// Whether a process does nothing any more. One that lost its parent may wait to be reaped by somebody else.
fn is_gone(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(')').next().unwrap_or_default().trim_start();
    state.is_empty() || state.starts_with(['Z', 'X'])
}

#[test]
fn a_program_is_told_its_request_and_nothing_else() {
    let host = host(r#", "environment": {"GREETING": "hello", "PATH": "/usr/bin:/bin"}"#);
    let request = TestRequest::get("/cgi-bin/environment/more%20of/it?a=%20b")
        .field("Accept", "text/plain")
        .field("accept", "text/html")
        .field("Authorization", "Basic secret")
        .field("Proxy", "http://evil.example/");
    let exchange = host.request("cgi", at(request));
    assert_eq!(answered(&host, &exchange), 200, "{}", exchange.text());
    assert_eq!(
        exchange.field("Content-Type").as_deref(),
        Some("text/plain")
    );
    let text = exchange.text();
    let lines: Vec<_> = text.lines().collect();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SERVER_NAME=localhost",
        "REQUEST_METHOD=GET",
        "REQUEST_URI=/cgi-bin/environment/more%20of/it?a=%20b",
        "SCRIPT_NAME=/cgi-bin/environment",
        "PATH_INFO=/more of/it",
        "QUERY_STRING=a=%20b",
        "HTTP_ACCEPT=text/plain, text/html",
        "GREETING=hello",
        "PATH=/usr/bin:/bin",
        &format!("SCRIPT_FILENAME={SCRIPTS}/environment"),
        &format!("directory={SCRIPTS}"),
    ] {
        assert!(lines.contains(&line), "{line} is missing in:\n{text}");
    }
    // What this process itself was started with stays here.
    for name in [
        "HTTP_PROXY",
        "HTTP_AUTHORIZATION",
        "CARGO_MANIFEST_DIR",
        "HOME",
        "CONTENT_LENGTH",
    ] {
        let is_there = lines
            .iter()
            .any(|line| line.starts_with(&format!("{name}=")));
        assert!(!is_there, "{name} is in:\n{text}");
    }
}

#[test]
fn a_program_has_three_descriptors_and_default_signals() {
    let host = host("");
    let exchange = get(&host, "descriptors");
    assert_eq!(answered(&host, &exchange), 200);
    assert_eq!(exchange.text(), "0\n1\n2\n3\n");
    let exchange = get(&host, "signals");
    assert_eq!(answered(&host, &exchange), 200);
    let text = exchange.text();
    let value = |name: &str| status_value(&text, name);
    assert_eq!(value("SigBlk:"), "0000000000000000");
    let ignored = signals(&value("SigIgn:"));
    // Two signals belong to the C library, which ignores them there; and who began this program may have ignored some for
    // it and all that it starts, as `nohup` does. SIGPIPE is ignored here by the standard library, and by nobody there.
    let own = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let inherited = signals(&status_value(&own, "SigIgn:")) & !(1 << (libc::SIGPIPE - 1));
    assert_eq!(ignored & !(0b11 << 31) & !inherited, 0, "{ignored:x}");
    assert_eq!(value("NSpgid:"), value("Pid:"));
}

/// A value of a `/proc/PID/status`.
fn status_value(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect("it is there").trim().to_owned()
}

fn signals(mask: &str) -> u64 {
    u64::from_str_radix(mask, 16).expect("a number")
}

#[test]
fn a_mebibyte_goes_both_ways_at_once() {
    let host = host("");
    let body: Vec<u8> = (0..1 << 20)
        .map(|at: u32| at.to_le_bytes()[(at % 3) as usize])
        .collect();
    let exchange = host.request("cgi", at(TestRequest::post("/cgi-bin/echo", "").streamed()));
    // Everything is there before the program has taken any of it, and nobody takes its output for a while.
    exchange.set_full(true);
    for piece in body.chunks(16 * 1024) {
        exchange.receive(piece);
    }
    assert!(exchange.is_paused());
    exchange.receive_last("", &[]);
    wait(&host, "a head", || exchange.status().is_some());
    exchange.set_full(false);
    assert_eq!(answered(&host, &exchange), 200);
    assert!(
        exchange.content() == body,
        "{} bytes",
        exchange.content().len()
    );
}

#[test]
fn the_length_of_a_body_is_told_if_it_is_known() {
    let host = host("");
    let request = TestRequest::post("/cgi-bin/environment", "12345").field("Content-Type", "a/b");
    let exchange = host.request("cgi", at(request));
    assert_eq!(answered(&host, &exchange), 200);
    assert!(exchange.text().contains("CONTENT_LENGTH=5\n"));
    assert!(exchange.text().contains("CONTENT_TYPE=a/b\n"));
}

#[test]
fn a_program_chooses_status_fields_and_location() {
    let host = host("");
    let exchange = get(&host, "not-found");
    assert_eq!(answered(&host, &exchange), 404);
    assert_eq!(
        exchange.fields(),
        [("Content-Type", "text/plain"), ("X-Script", "yes")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(exchange.text(), "not here\n");
    let exchange = get(&host, "away");
    assert_eq!(answered(&host, &exchange), 302);
    assert_eq!(
        exchange.field("Location").as_deref(),
        Some("http://example.org/")
    );
}

#[test]
fn output_is_sent_as_it_is_written_and_input_given_as_it_comes() {
    let host = host("");
    let exchange = host.request("cgi", at(TestRequest::post("/cgi-bin/talk", "").streamed()));
    wait(&host, "a first line", || exchange.content() == b"one\n");
    assert!(!exchange.is_finished());
    exchange.receive("hello\n");
    wait(&host, "a second line", || {
        exchange.content() == b"one\ntwo: hello\n"
    });
    assert_eq!(answered(&host, &exchange), 200);
}

#[test]
fn a_program_goes_on_when_its_instance_is_retired() {
    let host = host("");
    let exchange = host.request("cgi", at(TestRequest::post("/cgi-bin/talk", "").streamed()));
    wait(&host, "a first line", || exchange.content() == b"one\n");
    host.configure("cgi", "{}").expect("it is right");
    exchange.receive_last("hello\n", &[]);
    assert_eq!(answered(&host, &exchange), 200);
    assert_eq!(exchange.text(), "one\ntwo: hello\n");
}

#[test]
fn a_program_waits_for_a_slow_peer_and_ends_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let pids = directory.path().join("pids");
    let host = host(&format!(", \"environment\": {{\"PIDS\": {pids:?}}}"));
    let exchange = get(&host, "endless");
    exchange.set_full(true);
    let [pid] = processes(&host, &pids)[..] else {
        panic!("it is one process");
    };
    // What it has written stays the same for a while, and is what the pipe and two buffers hold.
    let written = || {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        line.and_then(|count| count.parse().ok()).unwrap_or(0_u64)
    };
    let (mut last, mut same) = (0, 0);
    wait(&host, "its rest", || {
        let now = written();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        now > 1000 && same > 100
    });
    assert!(last < 1 << 20, "{last} bytes");
    let before = exchange.content().len();
    exchange.set_full(false);
    wait(&host, "more output", || exchange.content().len() > before);
    exchange.leave();
    wait(&host, "its end", || is_gone(pid));
}

#[test]
fn the_time_of_a_program_is_up_for_all_that_it_has_started() {
    let directory = tempfile::tempdir().expect("a directory");
    for (script, begun) in [("family", false), ("stubborn", true)] {
        let pids = directory.path().join(script);
        let options = format!(", \"timeout_ms\": 300, \"environment\": {{\"PIDS\": {pids:?}}}");
        let host = host(&options);
        let exchange = get(&host, script);
        let processes = processes(&host, &pids);
        assert_eq!(processes.len(), 2);
        if begun {
            wait(&host, "a cut", || exchange.is_cut_off());
            assert_eq!(exchange.text(), "begun");
        } else {
            assert_eq!(answered(&host, &exchange), 504);
        }
        wait(&host, "the end of all", || {
            processes.iter().all(|pid| is_gone(*pid))
        });
        let logged = host.logged().join("\n");
        assert!(
            logged.contains("has not ended within `timeout_ms`"),
            "{logged}"
        );
    }
}

#[test]
fn a_peer_that_leaves_ends_the_program_and_its_children() {
    let directory = tempfile::tempdir().expect("a directory");
    let pids = directory.path().join("pids");
    let host = host(&format!(", \"environment\": {{\"PIDS\": {pids:?}}}"));
    let exchange = get(&host, "family");
    let processes = processes(&host, &pids);
    assert!(!processes.iter().any(|pid| is_gone(*pid)));
    exchange.leave();
    wait(&host, "the end of both", || {
        processes.iter().all(|pid| is_gone(*pid))
    });
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let pids = directory.path().join("pids");
    let host = host(&format!(", \"environment\": {{\"PIDS\": {pids:?}}}"));
    let exchange = get(&host, "background");
    assert_eq!(answered(&host, &exchange), 200);
    assert_eq!(exchange.text(), "answered");
    let processes = processes(&host, &pids);
    wait(&host, "its end", || {
        processes.iter().all(|pid| is_gone(*pid))
    });
}

#[test]
fn lines_of_standard_error_and_a_bad_end_are_in_the_log() {
    let host = host("");
    let exchange = get(&host, "complain");
    assert_eq!(answered(&host, &exchange), 200);
    let mut logged = Vec::new();
    wait(&host, "the last line", || {
        logged.extend(host.logged());
        logged.iter().any(|line| line.ends_with("exit status: 3"))
    });
    let begin = format!("WARN {SCRIPTS}/complain (");
    for end in ["): first line", "): second \u{fffd}[31mline"] {
        let is_there = logged
            .iter()
            .any(|line| line.starts_with(&begin) && line.ends_with(end));
        assert!(is_there, "{logged:?}");
    }
}

#[test]
fn a_bad_answer_is_a_bad_gateway() {
    let host = host("");
    for (script, why) in [
        (
            "nonsense",
            "the line \"this is no field\" of its head is no field",
        ),
        ("silent", "its output ends before its head does"),
        (
            "large-head",
            "no empty line ends its head within 16384 bytes",
        ),
    ] {
        let exchange = get(&host, script);
        assert_eq!(answered(&host, &exchange), 502, "{script}");
        let logged = host.logged().join("\n");
        assert!(logged.contains(why), "{script}: {logged}");
    }
    // Here the head is right, and the peer has it already.
    let exchange = get(&host, "too-short");
    wait(&host, "a cut", || exchange.is_cut_off());
    assert_eq!(exchange.announced(), Some(10));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let host = host("");
    for (script, status) in [
        ("", 404),
        ("missing", 404),
        ("..%2fprograms.rs", 404),
        ("echo%00", 400),
        ("no-program", 403),
        ("no-interpreter", 500),
    ] {
        let exchange = get(&host, script);
        assert_eq!(answered(&host, &exchange), status, "{script}");
    }
    let host = TestHost::new(cgi::plugin());
    assert_eq!(answered(&host, &get(&host, "echo")), 500);
    let logged = host.logged().join("\n");
    assert!(
        logged.contains("give the option `program` or `directory`"),
        "{logged}"
    );
}

#[test]
fn a_program_need_not_read_its_input() {
    let host = host("");
    let body = vec![b'x'; 1 << 20];
    let exchange = host.request("cgi", at(TestRequest::post("/cgi-bin/ignores-input", body)));
    assert_eq!(answered(&host, &exchange), 200);
    assert_eq!(exchange.text(), "enough");
}

#[test]
fn one_program_too_many_is_told_to_come_back() {
    let host = host(r#", "most_processes": 1"#);
    let first = host.request("cgi", at(TestRequest::post("/cgi-bin/echo", "").streamed()));
    let second = get(&host, "echo");
    assert_eq!(second.status(), Some(503));
    assert_eq!(second.field("Retry-After").as_deref(), Some("1"));
    first.receive_last("", &[]);
    assert_eq!(answered(&host, &first), 200);
    // The place is free when the process is, a little behind its answer.
    wait(&host, "a free place", || {
        get(&host, "not-found").status() != Some(503)
    });
}

#[test]
fn one_program_can_answer_all_paths() {
    let host = TestHost::new(cgi::plugin());
    let program = Path::new(SCRIPTS).join("environment");
    let options = format!("{{\"program\": {program:?}}}");
    host.configure("cgi", &options).expect("it is right");
    let exchange = get(&host, "a/b");
    assert_eq!(answered(&host, &exchange), 200);
    assert!(
        exchange.text().contains("\nSCRIPT_NAME=/cgi-bin\n"),
        "{}",
        exchange.text()
    );
    assert!(
        exchange.text().contains("\nPATH_INFO=/a/b\n"),
        "{}",
        exchange.text()
    );
}

#[test]
fn wrong_options_are_refused_in_words() {
    let host = TestHost::new(cgi::plugin());
    let refused = |options: &str| host.configure("cgi", options).expect_err("wrong");
    let variable = refused(r#"{"program": "/bin/sh", "environment": {"A=B": "c"}}"#);
    assert!(
        variable.starts_with("option `environment`: \"A=B\""),
        "{variable}"
    );
    assert!(refused(r#"{"timeout_ms": 0}"#).starts_with("option `timeout_ms`: "));
    assert!(refused(r#"{"program": "/nothing-here"}"#).starts_with("option `program`: "));
}

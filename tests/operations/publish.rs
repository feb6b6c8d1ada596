//! `publish`: what somebody outside has for the sessions of a protocol.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write};
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::frame::{BINARY, TEXT};
use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::raw_peer::RawPeer;
use crate::support::server::hotsocket;
use crate::support::{Config, DEADLINE, DeflatePeer, Frame, Server, Setup};

/// A file that is read from its beginning.
fn holding(input: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input).expect("there is room");
    file.rewind().expect("it is a file");
    file
}

/// Publishes `input` with these flags.
fn publish(server: &Server, flags: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut command = hotsocket();
    command.arg("publish").args(flags).arg("--control");
    command.arg(server.directory().join("control.sock"));
    command.stdin(holding(input.as_ref()));
    command.output().expect("the command can be started")
}

/// The same to the protocol `broadcast`, which is told to go well: what it says.
fn published(server: &Server, flags: &[&str], input: impl AsRef<[u8]>) -> String {
    let flags = [&["--protocol", "broadcast"], flags].concat();
    let output = publish(server, &flags, input);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn refused(server: &Server, flags: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = publish(server, flags, input);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn server() -> Server {
    Server::with([&echo(), &plugin("broadcast")])
}

#[test]
fn seed_6_11_a_message_from_outside_reaches_every_session_of_its_protocol_and_nobody_else() {
    let server = Setup::new()
        .plugin(&echo())
        .plugin(&plugin("broadcast"))
        .threads(3)
        .start();
    let mut members: Vec<_> = (0..12).map(|_| server.open("/broadcast")).collect();
    let mut other = server.open("/echo");
    assert_eq!(
        published(&server, &[], "for t\u{e9}n\n"),
        "published to 12 sessions\n"
    );
    assert_eq!(
        published(&server, &["--binary"], b"\0\xff"),
        "published to 12 sessions\n"
    );
    for member in &mut members {
        assert_eq!(member.frame(), Frame::text("for t\u{e9}n\n"));
        assert_eq!(member.frame(), Frame::binary(b"\0\xff"));
    }
    assert_eq!(
        other.ask("nothing came before this"),
        "nothing came before this"
    );
    drop(members);
    let nobody = || published(&server, &[], "") == "published to 0 sessions\n";
    eventually("sessions that ended are not counted", DEADLINE, nobody);
}

#[test]
fn seed_6_11_sessions_of_replaced_and_withdrawn_plugins_are_reached_too() {
    let server = server();
    let mut old = server.open("/broadcast");
    let reloaded = server.command(["plugin", "reload", "broadcast"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    let mut new = server.open("/broadcast");
    assert_eq!(
        published(&server, &[], "to both"),
        "published to 2 sessions\n"
    );
    for member in [&mut old, &mut new] {
        assert_eq!(member.frame(), Frame::text("to both"));
    }
    std::fs::remove_file(server.plugin_file("libbroadcast.so")).expect("it is there");
    server.await_log(0, |line| line.mentions("withdrawn"));
    assert_eq!(
        published(&server, &[], "still"),
        "published to 2 sessions\n"
    );
    assert_eq!(old.frame(), Frame::text("still"));
}

#[test]
fn seed_6_11_extensions_see_what_comes_from_outside() {
    let server = Server::with([&plugin("broadcast"), &plugin("permessage_deflate")]);
    let open = || DeflatePeer::open(server.address(), "/broadcast", "permessage-deflate");
    let mut members = [open(), open()];
    let mut plain = server.open("/broadcast");
    let text = "again and again ".repeat(1000);
    assert_eq!(published(&server, &[], &text), "published to 3 sessions\n");
    for member in &mut members {
        let message = member.message();
        assert!(message.text == text.as_bytes(), "altered");
        assert_eq!((message.opcode, message.is_compressed), (TEXT, true));
        assert!(message.wire_bytes < 1000, "{}", message.wire_bytes);
    }
    assert!(plain.frame() == Frame::text(&text), "altered");
}

#[test]
fn seed_6_11_each_line_is_a_message_that_goes_out_as_it_comes() {
    let server = server();
    let mut member = server.open("/broadcast");
    let mut command = hotsocket();
    command.args(["publish", "--protocol", "broadcast", "--line", "--control"]);
    command.arg(server.directory().join("control.sock"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    let mut input = child.stdin.take().expect("piped");
    for line in ["one", "", "three"] {
        writeln!(input, "{line}").expect("it reads");
        assert_eq!(member.frame(), Frame::text(line));
    }
    write!(input, "without end").expect("it reads");
    drop(input);
    assert_eq!(member.frame(), Frame::text("without end"));
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "published 4 messages\n"
    );
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn seed_6_11_a_vhost_has_sessions_of_its_own() {
    let vhosts = json!({"chat": {"hosts": ["chat.example"], "protocols": {"broadcast": {}}}});
    let config = Config::new().key("vhosts", vhosts);
    let setup = Setup::new().plugin(&echo()).plugin(&plugin("broadcast"));
    let server = setup.config(&config).start();
    let mut there: RawPeer = server.connect();
    let answer = there.handshake("ws://chat.example/broadcast", &[]);
    assert_eq!(answer.status, 101, "{answer:?}");
    let mut here = server.open("/broadcast");
    assert_eq!(
        published(&server, &["--vhost", "chat"], "there"),
        "published to 1 session\n"
    );
    assert_eq!(published(&server, &[], "here"), "published to 1 session\n");
    assert_eq!(there.frame(), Frame::text("there"));
    assert_eq!(here.frame(), Frame::text("here"));

    let said = refused(&server, &["--protocol", "echo", "--vhost", "chat"], "x");
    assert!(
        said.contains("no protocol `echo` with sessions on vhost `chat`"),
        "{said}"
    );
    let said = refused(
        &server,
        &["--protocol", "broadcast", "--vhost", "chatt"],
        "x",
    );
    assert!(
        said.contains("no vhost `chatt`; did you mean `chat`?"),
        "{said}"
    );
}

#[test]
fn seed_6_11_who_does_not_keep_up_is_left_out_or_closed_as_it_is_asked_for() {
    for policy in ["drop", "close"] {
        let config = Config::new()
            .limit("high_mark_bytes", 256 << 10)
            .limit("low_mark_bytes", 64 << 10);
        let setup = Setup::new().plugin(&plugin("broadcast"));
        let server = setup.config(&config).start();
        let mut slow = server.open("/broadcast");
        const MESSAGES: usize = 400;
        let line = "x".repeat(64 << 10) + "\n";
        let said = published(
            &server,
            &["--line", "--slow", policy],
            line.repeat(MESSAGES),
        );
        assert_eq!(said, "published 400 messages\n");
        let mut got = 0;
        let close = loop {
            match slow.frame_within(Duration::from_secs(2)) {
                Some(frame) if frame.close_code().is_some() => break frame.close_code(),
                Some(_) => got += 1,
                None => break None,
            }
        };
        assert!(got < MESSAGES, "{policy}: it was never slow");
        assert_eq!(close, (policy == "close").then_some(1013), "{policy}");
        if policy == "drop" {
            published(&server, &[], "it has caught up");
            assert_eq!(slow.frame(), Frame::text("it has caught up"));
        }
    }
}

#[test]
fn seed_6_11_what_cannot_be_published_says_why_and_nobody_gets_any_of_it() {
    let config = Config::new().limit("publish_message_bytes", 100_000);
    let setup = Setup::new().plugin(&echo()).plugin(&plugin("broadcast"));
    let server = setup.plugin(&plugin("post_form")).config(&config).start();
    let mut member = server.open("/broadcast");
    let to = ["--protocol", "broadcast"];
    let said = refused(&server, &["--protocol", "brodcast"], "x");
    assert!(said.contains("no protocol `brodcast`"), "{said}");
    assert!(said.contains("did you mean `broadcast`?"), "{said}");
    let said = refused(
        &server,
        &["--protocol", "post-form"],
        "it answers HTTP alone",
    );
    assert!(
        said.contains("no protocol `post-form` with sessions"),
        "{said}"
    );
    let said = refused(&server, &to, b"text\xff");
    assert!(
        said.contains("from byte 4 on") && said.contains("use --binary"),
        "{said}"
    );
    let said = refused(&server, &[&to[..], &["--line"]].concat(), b"good\nb\xff\n");
    assert!(
        said.contains("line 2 is not UTF-8 from byte 1 on"),
        "{said}"
    );
    assert!(said.contains("1 message went out before"), "{said}");
    assert_eq!(member.frame(), Frame::text("good"));
    let said = refused(&server, &to, vec![b'x'; 100_001]);
    assert!(said.contains("100001 bytes, and at most 100000"), "{said}");
    assert!(said.contains("limits.publish_message_bytes"), "{said}");
    // So long that the host does not read it to its end.
    let said = refused(
        &server,
        &[&to[..], &["--binary"]].concat(),
        vec![0; 4 << 20],
    );
    assert!(said.contains("limits.publish_message_bytes"), "{said}");

    // Each takes six bytes in a request.
    published(&server, &[], vec![1; 100_000]);
    assert!(member.frame() == Frame::text(&"\u{1}".repeat(100_000)));
}

#[test]
fn seed_6_11_a_host_that_is_full_says_so_and_sends_it_to_nobody() {
    let config = Config::new().limit("commands_bytes", 1000);
    let setup = Setup::new().plugin(&plugin("broadcast")).config(&config);
    let server = setup.start();
    let mut member = server.open("/broadcast");
    let said = refused(&server, &["--protocol", "broadcast"], [b'x'; 2000]);
    assert!(
        said.contains("nobody was sent this message; try again"),
        "{said}"
    );
    published(&server, &[], "small");
    assert_eq!(member.frame(), Frame::text("small"));
}

#[test]
fn seed_6_11_a_json_line_publishes_without_the_command() {
    let server = server();
    let mut member = server.open("/broadcast");
    let ask = |rest: &str| -> Value {
        let line = format!(r#"{{"command":"publish","protocol":"broadcast"{rest}}}"#);
        let socket = server.directory().join("control.sock");
        let mut client = UnixStream::connect(socket).expect("the host listens");
        writeln!(client, "{line}").expect("it reads");
        let mut answer = String::new();
        let read = BufReader::new(client).read_line(&mut answer);
        read.expect("it answers");
        serde_json::from_str(&answer).expect("a JSON line")
    };
    let one = json!({"ok": true, "published": {"sessions": 1}});
    assert_eq!(ask(r#","text":"a \"line\"""#), one);
    assert_eq!(ask(r#","base64":"AP8=","slow":"drop""#), one);
    assert_eq!(member.frame(), Frame::text("a \"line\""));
    assert_eq!(member.frame(), Frame::new(BINARY, [0, 255]));
    for wrong in [
        "",
        r#","text":"a","base64":"AP8=""#,
        r#","base64":"AP8""#,
        r#","text":"a","slow":"wait""#,
        r#","text":"a","host":"default""#,
    ] {
        let answer = ask(wrong);
        assert_eq!(answer["ok"], false, "{wrong}: {answer}");
        assert_ne!(answer["mend"], "", "{wrong}: {answer}");
    }
    published(&server, &[], "nothing of that was sent");
    assert_eq!(member.frame(), Frame::text("nothing of that was sent"));
}

#[test]
fn seed_5_12_a_notification_comes_to_each_session_with_its_data_and_the_plugin_decides() {
    let server = Server::with([&echo(), &plugin("probe")]);
    let mut members: Vec<_> = (0..4).map(|_| server.open("/probe")).collect();
    members[0].text("notify-all from-a-session");
    for member in &mut members {
        assert_eq!(member.frame(), Frame::text("notified from-a-session"));
    }
    let output = publish(
        &server,
        &["--protocol", "probe", "--notify"],
        "from outside",
    );
    assert!(output.status.success(), "{output:?}");
    for member in &mut members {
        assert_eq!(member.frame(), Frame::text("notified from outside"));
    }
}

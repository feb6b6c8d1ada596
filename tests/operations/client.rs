//! `hotsocket client`: what it sends, what it writes, and how it ends.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Stdio};

use crate::client::liar::Liar;
use crate::support::frame::{PING, TEXT};
use crate::support::lines::Lines;
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::server::hotsocket;
use crate::support::{DEADLINE, Frame, Server};

/// A client that runs.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines,
    errors: Lines,
}

/// What is left of it.
struct Ended {
    status: Option<i32>,
    output: Vec<String>,
    errors: String,
}

impl Talk {
    fn start(arguments: &[&str]) -> Self {
        let mut child = spawn(arguments);
        Self {
            input: child.stdin.take(),
            output: Lines::follow(child.stdout.take().expect("piped")),
            errors: Lines::follow(child.stderr.take().expect("piped")),
            child,
        }
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("open");
        input.write_all(bytes.as_ref()).expect("it reads");
    }

    /// Waits for a line of the output.
    fn hear(&self, wanted: &str) {
        let found = |line: &str| (line == wanted).then_some(());
        let heard = self.output.wait_after(0, DEADLINE, found);
        assert!(heard.is_some(), "{wanted}: {:?}", self.output.since(0));
    }

    fn end_input(&mut self) {
        drop(self.input.take());
    }

    /// Waits until it ends by itself; its input stays open unless that was ended.
    fn end(mut self) -> Ended {
        let output = self.output.wait_end(DEADLINE);
        let errors = self.errors.wait_end(DEADLINE).join("\n");
        let status = self.child.wait().expect("our own child").code();
        Ended {
            status,
            output,
            errors,
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    fn assert(&self, status: i32, said: &str) {
        let is_fine = self.status == Some(status) && self.errors.contains(said);
        assert!(
            is_fine,
            "{status} and `{said}`: {:?} {}",
            self.status, self.errors
        );
    }
}

fn spawn(arguments: &[&str]) -> Child {
    let mut command = hotsocket();
    for name in ["http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let command = command.arg("client").args(arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().expect("it starts")
}

fn url(server: &Server, target: &str) -> String {
    format!("ws://{}{target}", server.address())
}

#[test]
fn lines_go_out_as_messages_and_messages_come_out_as_lines() {
    let server = Server::with([&echo()]);
    let mut talk = Talk::start(&[&url(&server, "/echo")]);
    for line in ["one", "zwölf, and more", ""] {
        talk.say(format!("{line}\n"));
        talk.hear(line);
    }
    talk.end_input();
    let ended = talk.end();
    ended.assert(0, "closed by us with 1000");
    assert_eq!(ended.output, ["one", "zwölf, and more", ""]);
    assert!(ended.errors.starts_with("connected to ws://"));
}

#[test]
fn what_the_server_answers_behind_the_end_of_the_input_is_written_too() {
    let server = Server::with([&echo()]);
    let mut talk = Talk::start(&["-q", &url(&server, "/echo")]);
    let lines: Vec<_> = (0..5_000).map(|number| number.to_string()).collect();
    talk.say(lines.join("\n"));
    talk.end_input();
    let ended = talk.end();
    assert_eq!((ended.status, &ended.errors[..]), (Some(0), ""));
    assert_eq!(ended.output, lines);
}

#[test]
fn bytes_go_out_and_come_out_as_they_are() {
    let liar = Liar::new();
    let mut talk = Talk::start(&["--binary", &liar.url("/")]);
    let mut asked = liar.accept();
    asked.open("");
    talk.say(b"a\n\xff");
    assert_eq!(asked.frame(), (2, b"a\n\xff".to_vec()));
    asked.send(&Frame::binary(*b"x\ny"));
    asked.send(&Frame::text("z\n"));
    talk.hear("x");
    talk.hear("yz");
    asked.send(&Frame::close(1000, ""));
    talk.end().assert(0, "closed by the server with 1000");
}

#[test]
fn with_one_message_it_writes_one_and_closes_whatever_the_input_does() {
    let server = Server::with([&echo(), &plugin("probe")]);
    for ends in [true, false] {
        let mut talk = Talk::start(&["-1", &url(&server, "/echo")]);
        talk.say("a\nb\nc\n");
        if ends {
            talk.end_input();
        }
        let ended = talk.end();
        ended.assert(0, "closed by us with 1000");
        assert_eq!(ended.output, ["a"]);
    }
    let mut talk = Talk::start(&["-1", &url(&server, "/probe")]);
    talk.say("close 1000 enough\n");
    talk.end().assert(3, "no message has come");
}

#[test]
fn with_no_close_it_stays_until_the_server_closes() {
    let liar = Liar::new();
    let mut talk = Talk::start(&["--no-close", &liar.url("/")]);
    let mut asked = liar.accept();
    asked.open("");
    talk.say("hello");
    talk.end_input();
    assert_eq!(asked.frame(), (TEXT, b"hello".to_vec()));
    asked.send(&Frame::text("later"));
    talk.hear("later");
    asked.send(&Frame::close(1000, "done"));
    talk.end().assert(0, "closed by the server with 1000: done");
}

#[test]
fn a_close_with_an_error_code_or_none_at_all_ends_with_3() {
    let server = Server::with([&plugin("probe")]);
    let mut talk = Talk::start(&["-q", &url(&server, "/probe")]);
    talk.say("close 1011 boom\n");
    let ended = talk.end();
    ended.assert(3, "error: closed by the server with 1011: boom");
    assert_eq!(ended.output, Vec::<String>::new());

    let mut talk = Talk::start(&[&url(&server, "/probe")]);
    talk.say("hang-up\n");
    talk.end().assert(3, "cut off by the server");
}

#[test]
fn a_server_that_cannot_be_reached_ends_it_with_1_and_names_stage_and_mend() {
    let server = Server::with([&echo()]);
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = closed.local_addr().expect("bound");
    drop(closed);
    for (url, stage, mend) in [
        (format!("ws://{nobody}/"), "connect", "its port"),
        (url(&server, "/no"), "status", "look at the path in the URL"),
        ("ws://no.invalid/".into(), "resolve", "look at the name"),
    ] {
        let ended = Talk::start(&[&url]).end();
        ended.assert(1, &format!("could not connect to {url} (stage {stage})"));
        ended.assert(1, mend);
        assert_eq!(ended.output, Vec::<String>::new());
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (arguments, said) in [
        (&["ftp://h"][..], "ftp://h"),
        (&[], "<URL>"),
        (&["ws://h", "-H", "Host"], "Name: value"),
        (&["ws://h", "-H", "Upgrade: x"], "Upgrade"),
        (&["ws://h", "--subprotocol", "a b"], "a b"),
        (&["ws://h", "--proxy", "socks5://p:1"], "socks5"),
        (&["wss://h", "--pin", "00"], "64 hex digits"),
        (&["wss://h", "--insecure", "--ca", "f"], "--ca"),
    ] {
        let ended = Talk::start(arguments).end();
        ended.assert(2, said);
        assert_eq!(ended.output, Vec::<String>::new());
    }
}

#[test]
fn a_line_that_is_not_utf_8_ends_with_1_and_is_told_by_its_number() {
    let server = Server::with([&echo()]);
    let mut talk = Talk::start(&[&url(&server, "/echo")]);
    talk.say(b"fine\n\xff\nnot sent\n");
    let ended = talk.end();
    ended.assert(1, "line 2 of standard input is not UTF-8");
}

#[test]
fn the_opening_handshake_says_what_was_typed_and_the_answer_is_told() {
    let liar = Liar::new();
    let address = liar.url("/a?b=c");
    let talk = Talk::start(&[
        &address,
        "-H",
        "X-One: 1",
        "--header",
        "Authorization: Bearer x:y",
        "--origin",
        "https://page.example",
        "--subprotocol",
        "first",
        "--subprotocol",
        "second",
    ]);
    let mut asked = liar.accept();
    assert!(asked.head.starts_with("GET /a?b=c "), "{}", asked.head);
    for (name, value) in [
        ("X-One", Some("1")),
        ("Authorization", Some("Bearer x:y")),
        ("Origin", Some("https://page.example")),
        ("Sec-WebSocket-Protocol", Some("first, second")),
        ("Sec-WebSocket-Extensions", None),
    ] {
        assert_eq!(asked.field(name), value, "{}", asked.head);
    }
    asked.open("Sec-WebSocket-Protocol: second\r\n");
    asked.send(&Frame::close(1000, "\u{1b}[31m"));
    let ended = talk.end();
    ended.assert(0, &format!("connected to {address}, subprotocol second"));
    assert!(!ended.errors.contains('\u{1b}'), "{}", ended.errors);
}

#[test]
fn compression_is_offered_when_it_is_asked_for_and_told_when_agreed_on() {
    let server = Server::with([&echo(), &permessage_deflate()]);
    let mut talk = Talk::start(&["--compression", &url(&server, "/echo")]);
    let long = "again and ".repeat(1_000);
    talk.say(format!("{long}\n"));
    talk.hear(&long);
    talk.end_input();
    talk.end().assert(0, ", extensions permessage-deflate");
}

#[test]
fn a_silent_server_is_pinged_when_that_was_asked_for() {
    let liar = Liar::new();
    let talk = Talk::start(&["--ping", "1", &liar.url("/")]);
    let mut asked = liar.accept();
    asked.open("");
    assert_eq!(asked.frame().0, PING);
    asked.send(&Frame::close(1000, ""));
    talk.end().assert(0, "");
}

#[test]
fn it_closes_when_nobody_reads_its_output() {
    let server = Server::with([&echo()]);
    let mut child = spawn(&[&url(&server, "/echo")]);
    drop(child.stdout.take());
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"a\n").expect("it reads");
    let errors = Lines::follow(child.stderr.take().expect("piped"));
    let errors = errors.wait_end(DEADLINE).join("\n");
    assert_eq!(child.wait().expect("ours").code(), Some(0), "{errors}");
}

#[cfg(feature = "tls")]
mod tls {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, PublicKeyData};
    use sha2::{Digest, Sha256};
    use tempfile::TempDir;

    use super::Talk;
    use crate::support::plugins::echo;
    use crate::support::{Server, Setup};

    /// A server whose certificate names another host, the file of it, and the pin of its key.
    fn start(directory: &Path) -> (Server, String, String) {
        let key = KeyPair::generate().expect("random numbers");
        let params = CertificateParams::new(vec!["other.example".into()]).expect("a name");
        let certificate = params.self_signed(&key).expect("our own key");
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).expect("our own directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
            path.display().to_string()
        };
        let file = write("cert.pem", certificate.pem());
        let key_file = write("key.pem", key.serialize_pem());
        let setup = Setup::new().plugin(&echo());
        let setup = setup.arguments(["--tls-cert", &file, "--tls-key", &key_file]);
        let pin = Sha256::digest(key.subject_public_key_info());
        let pin = pin.iter().map(|byte| format!("{byte:02x}")).collect();
        (setup.start(), file, pin)
    }

    #[test]
    fn a_server_is_known_by_its_name_or_its_key_or_not_at_all() {
        let directory = TempDir::new().expect("a temporary directory");
        let (server, ca, pin) = start(directory.path());
        let url = format!("wss://{}/echo", server.address());
        let run = |trust: &[&str]| {
            let mut talk = Talk::start(&[&[&url[..]], trust].concat());
            if trust.contains(&"--insecure") || trust.contains(&&pin[..]) {
                talk.say("a\n");
            }
            talk.end_input();
            talk.end()
        };
        for trust in [&["--insecure"][..], &["--pin", &pin]] {
            let ended = run(trust);
            ended.assert(0, "connected to wss://");
            assert_eq!(ended.output, ["a"]);
        }
        let wrong_name = run(&["--ca", &ca]);
        wrong_name.assert(1, "(stage tls)");
        wrong_name.assert(1, "other.example");
        wrong_name.assert(1, "--insecure accepts any certificate");
        run(&["--pin", &"0".repeat(64)]).assert(1, "(stage tls)");
        run(&[]).assert(1, "(stage tls)");
        run(&["--ca", "/no/such.pem"]).assert(1, "/no/such.pem");
    }
}

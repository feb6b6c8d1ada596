//! What a client is answered, by the test host.

use std::{fs, path::PathBuf, time::Instant};

use base64::{Engine, prelude::BASE64_STANDARD};
use hotsocket_plugin::testing::{Handshake, Refused, TestHost, TestPeer, TestRequest};
use tempfile::TempDir;

use super::*;

struct Guarded {
    directory: TempDir,
    host: TestHost,
}

fn line(name: &str, password: &str) -> String {
    let hash = bcrypt::hash_with_salt(password, 4, [7; 16]).expect("a valid cost");
    format!(
        "{name}:{}\n",
        hash.format_for_version(bcrypt::Version::TwoY)
    )
}

impl Guarded {
    fn new(options: &str) -> Self {
        let guarded = Self {
            directory: TempDir::new().expect("a temporary directory"),
            host: TestHost::new(plugin()),
        };
        guarded.write(&line("ada", "pass:word"));
        guarded.configure(options).expect("good options");
        guarded
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("htpasswd")
    }

    fn write(&self, text: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, text).expect("our own directory");
        fs::rename(new, self.file()).expect("our own directory");
    }

    fn configure(&self, options: &str) -> Result<(), String> {
        let file = self.file().display().to_string();
        let options = format!("{{\"file\": {file:?}{options}}}");
        self.host.configure_policy("basic-auth", &options)
    }

    fn ask(&self, peer: TestPeer, request: TestRequest) -> Result<String, Refused> {
        let connection = self.host.connect_from("basic-auth", peer);
        let allowed = connection.request(request)?;
        Ok(allowed.tag("user").unwrap_or_default().to_owned())
    }
}

fn authorization(text: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

fn with(text: &str) -> TestRequest {
    TestRequest::get("/").field("Authorization", &authorization(text))
}

#[test]
fn the_right_password_lets_in_and_tells_who_it_is() {
    let guarded = Guarded::new("");
    for _ in 0..2 {
        let user = guarded.ask(TestPeer::default(), with("ada:pass:word"));
        assert_eq!(user, Ok("ada".to_owned()));
    }
    let opening = Handshake::at("/").with_field("authorization", authorization("ada:pass:word"));
    let connection = guarded.host.connect("basic-auth");
    let allowed = connection.handshake(opening).expect("it is right");
    assert_eq!(allowed.tag("user"), Some("ada"));
}

#[test]
fn anything_else_is_asked_for_name_and_password() {
    let guarded = Guarded::new(r#", "realm": "the lab""#);
    let right = authorization("ada:pass:word");
    for request in [
        TestRequest::get("/"),
        with("ada:pass"),
        with("bob:pass:word"),
        with("ada"),
        with("ada:pass:word\n"),
        with(""),
        TestRequest::get("/").field("Authorization", "Basic"),
        TestRequest::get("/").field("Authorization", "Basic !!!"),
        TestRequest::get("/").field("Authorization", &right.replace("Basic", "Bearer")),
        // Which of both is meant, nobody knows.
        with("ada:pass:word").field("Authorization", &right),
    ] {
        let shown = format!("{request:?}");
        let refused = guarded.ask(TestPeer::default(), request).expect_err(&shown);
        assert_eq!(refused.status, 401, "{shown}");
        let challenge = refused.field("WWW-Authenticate");
        assert_eq!(
            challenge,
            Some("Basic realm=\"the lab\", charset=\"UTF-8\"")
        );
    }
    let lower = TestRequest::get("/").field("Authorization", &right.replace("Basic", "bASIC"));
    assert!(guarded.ask(TestPeer::default(), lower).is_ok());
}

#[test]
fn a_password_that_others_can_read_is_not_asked_for() {
    let guarded = Guarded::new("");
    let far = || TestPeer::at(([192, 0, 2, 1], 5));
    let refused = guarded.ask(far(), with("ada:pass:word")).unwrap_err();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.field("WWW-Authenticate"), None);
    assert!(refused.text().contains("use https"), "{refused:?}");
    for peer in [
        far().encrypted(),
        far().trusted_proxy(),
        TestPeer::unix(),
        TestPeer::at(("::1".parse::<std::net::IpAddr>().expect("an address"), 5)),
    ] {
        let shown = format!("{peer:?}");
        assert!(guarded.ask(peer, with("ada:pass:word")).is_ok(), "{shown}");
    }
    let careless = Guarded::new(r#", "allow_unencrypted": true"#);
    assert!(careless.ask(far(), with("ada:pass:word")).is_ok());
}

#[test]
fn what_was_found_right_is_not_compared_again_and_what_was_wrong_is() {
    let guarded = Guarded::new("");
    let connection = guarded.host.connect("basic-auth");
    assert!(connection.ask(with("ada:pass:word")).was_pending());
    guarded
        .ask(TestPeer::default(), with("ada:pass:word"))
        .expect("it is right");
    let mut known = connection.ask(with("ada:pass:word"));
    assert!(!known.is_pending(), "it is remembered");
    for _ in 0..2 {
        assert!(connection.ask(with("ada:wrong")).was_pending());
    }
    let forgetful = Guarded::new(r#", "remember_s": 0"#);
    let connection = forgetful.host.connect("basic-auth");
    for _ in 0..2 {
        assert!(connection.ask(with("ada:pass:word")).was_pending());
        connection
            .request(with("ada:pass:word"))
            .expect("it is right");
    }
}

#[test]
fn a_file_that_changes_is_read_again_and_one_that_is_broken_is_not_used() {
    let guarded = Guarded::new("");
    let ask = |text| guarded.ask(TestPeer::default(), with(text));
    ask("ada:pass:word").expect("it is right");
    guarded.write(&line("bob", "new"));
    await_that(|| ask("bob:new").is_ok());
    let gone = ask("ada:pass:word").unwrap_err();
    assert_eq!(gone.status, 401, "what was remembered is forgotten");
    guarded.write("bob:plain\n");
    await_that(|| {
        let logged = guarded.host.logged();
        logged.iter().any(|line| {
            line.starts_with("ERROR") && line.contains("line 1") && line.contains("plain")
        })
    });
    ask("bob:new").expect("what was read before holds");
}

/// The file is looked at by a thread that tells nobody.
fn await_that(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never is");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn more_than_may_wait_is_answered_503_and_those_who_wait_are_answered() {
    let guarded = Guarded::new(r#", "threads": 1, "waiting": 1"#);
    // Comparing takes long enough for the others to come meanwhile.
    let slow = bcrypt::hash_with_salt("x", 10, [7; 16]).expect("a valid cost");
    guarded.write(&format!("ada:{slow}\n"));
    guarded
        .configure(r#", "threads": 1, "waiting": 1"#)
        .expect("good options");
    let connection = guarded.host.connect("basic-auth");
    let asked: Vec<_> = (0..20).map(|_| connection.ask(with("ada:x"))).collect();
    let answers = asked.into_iter().map(|asked| asked.wait());
    let answers: Vec<_> = answers.map(|answer| answer.err()).collect();
    assert_eq!(answers[0], None);
    let busy: Vec<_> = answers.iter().flatten().collect();
    assert!(!busy.is_empty());
    for refused in busy {
        assert_eq!(refused.status, 503);
        assert_eq!(refused.field("Retry-After"), Some("1"));
    }
}

#[test]
fn options_that_cannot_be_used_are_refused_in_words() {
    let guarded = Guarded::new("");
    for (options, part) in [
        (r#", "realm": "a \"lab\"""#, "ASCII without quotes"),
        (r#", "realm": "a\nb""#, "control characters"),
        (r#", "threads": 0"#, "nonzero"),
        (r#", "threads": 65"#, "64 at most"),
        (r#", "waiting": 0"#, "nonzero"),
        (r#", "user": "ada""#, "unknown field `user`"),
    ] {
        let why = guarded.configure(options).expect_err(options);
        assert!(why.contains(part), "{options}: {why}");
    }
    guarded.write("ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n");
    let why = guarded.configure("").expect_err("SHA-1");
    assert!(why.contains("htpasswd, line 1: `ada`"), "{why}");
    fs::remove_file(guarded.file()).expect("our own file");
    let why = guarded.configure("").expect_err("no file");
    assert!(why.contains("cannot be read"), "{why}");
    let why = guarded.host.configure_policy("basic-auth", "{}");
    assert!(why.is_err_and(|why| why.contains("missing field `file`")));
}

//! What an operator sees: files that cannot be used, and files that change.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Signal, geteuid};
use serde_json::json;
use tungstenite::{Message, WebSocket};

use super::authority::{Secured, set_mode};
use super::{Authority, Secure, setup};
use crate::support::server::{hotsocket, output_of};
use crate::support::{Config, DEADLINE};

/// What a host says that does not start.
fn refusal(authority: &Authority) -> String {
    let output = setup(authority).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn seed_3_1_a_certificate_that_is_not_there_is_told_with_its_place() {
    let authority = Authority::new();
    fs::remove_file(authority.path("cert.pem")).expect("it is there");
    let said = refusal(&authority);
    let place = authority.path("cert.pem").display().to_string();
    assert!(said.contains("tls.cert") && said.contains(&place), "{said}");
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    let authority = Authority::new();
    authority.write("cert.pem", "no PEM at all");
    let said = refusal(&authority);
    assert!(said.contains("no certificate stands in it"), "{said}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new();
    let (_, other) = authority.sign(2);
    authority.write("key.pem", &other.serialize_pem());
    let said = refusal(&authority);
    assert!(
        said.contains("tls.key") && said.contains("not that of the first certificate"),
        "{said}"
    );
}

#[test]
fn seed_3_2_a_key_that_everybody_may_read_is_refused_and_one_for_the_group_is_not() {
    let authority = Authority::new();
    set_mode(&authority.path("key.pem"), 0o644);
    let said = refusal(&authority);
    assert!(said.contains("0644") && said.contains("chmod"), "{said}");
    set_mode(&authority.path("key.pem"), 0o640);
    setup(&authority).start();
}

#[test]
fn an_encrypted_key_is_refused_with_the_way_to_decrypt_it() {
    let authority = Authority::new();
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    authority.write("key.pem", text);
    let said = refusal(&authority);
    assert!(
        said.contains("encrypted") && said.contains("openssl pkey"),
        "{said}"
    );
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let authority = Authority::new();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().expect("random numbers");
    let certificate = params.self_signed(&key).expect("our own key");
    authority.write("cert.pem", &certificate.pem());
    authority.write("key.pem", &key.serialize_pem());
    let server = setup(&authority).start();
    server.await_log(0, |line| {
        line.mentions("\"warn\"") && line.mentions("expired")
    });
}

#[test]
fn check_tells_of_files_that_cannot_be_used() {
    let authority = Authority::new();
    set_mode(&authority.path("key.pem"), 0o604);
    let config = Config::new().key("tls", json!({"cert": "cert.pem", "key": "key.pem"}));
    let file = authority.write("c.json", &config.text());
    let mut command = hotsocket();
    command.arg("check").arg("--config").arg(file);
    command.arg("--plugins").arg(authority.path(""));
    let output = output_of(command);
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("tls.key") && said.contains("0604"), "{said}");
}

/// What a command says in which the key of the authority is for root only, and what it ends with. Without root it says
/// that the process may not become anybody.
fn told_as_nobody(authority: &Authority, command: &str) -> (String, Option<i32>) {
    let config = Config::new()
        .key("tls", json!({"cert": "cert.pem", "key": "key.pem"}))
        .key("run_as", json!({"user": "nobody"}))
        .key("listen", json!([]))
        .key("control", "/no/such/place/control.sock");
    let file = authority.write("c.json", &config.text());
    set_mode(&file, 0o644);
    set_mode(&authority.path(""), 0o755);
    set_mode(&authority.path("cert.pem"), 0o644);
    let mut program = hotsocket();
    program.arg(command).arg("--config").arg(file);
    program.arg("--plugins").arg(authority.path(""));
    let output = output_of(program);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, output.status.code())
}

#[test]
fn seed_1_13_check_and_start_tell_of_a_key_that_the_user_of_run_as_cannot_read_again() {
    let authority = Authority::new();
    let key = authority.path("key.pem").display().to_string();
    let cert = authority.path("cert.pem").display().to_string();
    // The start ends for want of a control socket, when the key has been read.
    for (command, ends_with) in [("check", 0), ("serve", 1)] {
        let (said, status) = told_as_nobody(&authority, command);
        if !geteuid().is_root() {
            assert!(said.contains("may not become user nobody"), "{said}");
            continue;
        }
        assert_eq!(status, Some(ends_with), "{said}");
        assert!(
            said.contains(&format!("user nobody (`run_as`) cannot read {key} again")),
            "{said}"
        );
        assert!(!said.contains(&format!("cannot read {cert}")), "{said}");
    }
    if geteuid().is_root() {
        // Who owns the key reads it again.
        let nobody = Some(65_534);
        chown(authority.path("key.pem"), nobody, nobody).expect("root may");
        let (said, status) = told_as_nobody(&authority, "check");
        assert_eq!(status, Some(0), "{said}");
        assert!(!said.contains("cannot read"), "{said}");
    }
}

#[test]
fn a_new_certificate_is_used_on_hup_and_sessions_go_on() {
    let secure = Secure::start();
    let address = secure.server.address();
    let mut session = secure.authority.open(address, "/echo");
    let renewed = secure.authority.renew(2);
    let mark = secure.server.log().mark();
    secure.server.signal(Signal::HUP);
    secure
        .server
        .await_log(mark, |line| line.mentions("the config is applied"));
    let other = secure.authority.open(address, "/echo");
    let shown = &other
        .get_ref()
        .conn
        .peer_certificates()
        .expect("a certificate")[0];
    assert!(shown.as_ref() == renewed, "the old one is shown");
    session
        .send(Message::text("still here"))
        .expect("the session is open");
    assert_eq!(
        session.read().expect("an echo"),
        Message::text("still here")
    );
}

#[test]
fn the_certificate_changes_50_times_while_50_sessions_talk_and_none_is_harmed() {
    let secure = Secure::start();
    let address = secure.server.address();
    let sessions: Vec<_> = (0..50)
        .map(|_| secure.authority.open(address, "/echo"))
        .collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let talks: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(|| talk(session, &is_over)))
            .collect();
        let over = Over(&is_over);
        for serial in 2..52 {
            let renewed = secure.authority.renew(serial);
            let mark = secure.server.log().mark();
            secure.server.signal(Signal::HUP);
            secure
                .server
                .await_log(mark, |line| line.mentions("the config is applied"));
            let other = secure.authority.open(address, "/echo");
            let shown = other.get_ref().conn.peer_certificates();
            assert!(shown.expect("a certificate")[0].as_ref() == renewed);
        }
        drop(over);
        for talk in talks {
            let echoes = talk.join().expect("no session is harmed");
            assert!(echoes > 0, "a session never spoke");
        }
    });
}

/// Sends numbered messages and takes each back, until all is over; says how many.
fn talk(mut session: WebSocket<Secured>, is_over: &AtomicBool) -> u64 {
    let mut nth = 0;
    while !is_over.load(Ordering::Acquire) {
        let message = Message::text(nth.to_string());
        session.send(message.clone()).expect("the session is open");
        assert_eq!(session.read().expect("an echo"), message);
        nth += 1;
    }
    nth
}

/// Ends the talks also when what runs beside them panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_broken_certificate_is_told_once_and_the_one_before_stays() {
    let secure = Secure::start();
    secure.authority.write("cert.pem", "broken");
    let mark = secure.server.log().mark();
    for _ in 0..2 {
        let mark = secure.server.log().mark();
        secure.server.signal(Signal::HUP);
        secure
            .server
            .await_log(mark, |line| line.mentions("the config is applied"));
    }
    let told = secure.server.logged(mark, |line| line.mentions("tls.cert"));
    assert_eq!(told.len(), 1, "{told:?}");
    let mut session = secure.authority.open(secure.server.address(), "/echo");
    session
        .send(Message::text("as before"))
        .expect("the session is open");
    assert_eq!(session.read().expect("an echo"), Message::text("as before"));
}

#[test]
fn a_certificate_that_changes_is_found_without_a_signal() {
    let secure = Secure::start();
    let mark = secure.server.log().mark();
    secure.authority.renew(2);
    let line = secure.server.log().wait_after(mark, DEADLINE, |line| {
        line.contains("the certificate has changed").then_some(())
    });
    assert!(line.is_some(), "nobody has looked");
}

#[test]
fn a_certificate_that_could_not_be_read_for_lack_of_descriptors_is_read_later() {
    let authority = Authority::new();
    let server = setup(&authority).threads(1).start();
    let secure = Secure { server, authority };
    // Its only service thread has all the files that it needs once it serves.
    let mut first = secure.authority.connect(secure.server.address());
    first.flush().expect("the handshake is done");
    let mark = secure.server.log().mark();
    // New files get the lowest free number, so there is none left for them.
    let before = secure.server.process().limit_files(1);
    let renewed = secure.authority.renew(2);
    secure
        .server
        .await_log(mark, |line| line.mentions("what was read before stays"));
    secure.server.process().limit_files(before);
    secure
        .server
        .await_log(mark, |line| line.mentions("the certificate has changed"));
    let mut connection = secure.authority.connect(secure.server.address());
    connection.flush().expect("the handshake is done");
    let shown = connection.conn.peer_certificates().expect("it shows one");
    assert_eq!(shown[0].as_ref(), renewed);
}

#[test]
fn seed_3_4_a_cipher_string_of_openssl_is_refused_and_names_of_rustls_are_kept_to() {
    let authority = Authority::new();
    let with = |suites: serde_json::Value| {
        let tls = json!({
            "cert": authority.path("cert.pem"), "key": authority.path("key.pem"), "suites": suites,
        });
        setup(&authority).config(&Config::new().key("tls", tls))
    };
    let output = with(json!("ECDHE-ECDSA-CHACHA20-POLY1305:!aNULL")).run();
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let meant = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    assert!(said.contains("OpenSSL") && said.contains(meant), "{said}");
    // A client prefers another one, and has this one too.
    let server = with(json!(["TLS13_CHACHA20_POLY1305_SHA256"])).start();
    let session = authority.open(server.address(), "/echo");
    let agreed = session.get_ref().conn.negotiated_cipher_suite();
    let agreed = agreed.expect("the handshake is done").suite();
    assert_eq!(agreed, rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

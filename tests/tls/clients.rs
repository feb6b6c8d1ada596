//! Clients that share no code with ours: curl and openssl. Where one is not installed its test says so and checks
//! nothing.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::Secure;
use crate::support::Config;

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let flag = if program == "openssl" {
        "version"
    } else {
        "--version"
    };
    let is_there = command
        .arg(flag)
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("{program} does not work here: not checked");
    }
    is_there
}

fn curl(secure: &Secure, scheme: &str, arguments: &[&str]) -> Output {
    let port = secure.server.address().port();
    Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "20",
            "--noproxy",
            "*",
        ])
        .arg("--cacert")
        .arg(secure.authority.path("ca.pem"))
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(arguments)
        .arg(format!("{scheme}://localhost:{port}/"))
        .output()
        .expect("curl runs")
}

/// Runs `openssl s_client` with these arguments and this input; what it says.
fn s_client(secure: &Secure, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-servername", "localhost", "-connect"])
        .arg(secure.server.address().to_string())
        .arg("-CAfile")
        .arg(secure.authority.path("ca.pem"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It may have gone already.
    stdin.write_all(input).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("openssl ends");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn curl_is_served_over_tls_and_asked_to_come_back_so() {
    if !is_there("curl") {
        return;
    }
    let secure = Secure::with(Config::new().key("security_headers", true));
    let output = curl(&secure, "https", &[]);
    let answer = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{output:?}");
    assert!(
        answer.contains("strict-transport-security: max-age=63072000\r\n"),
        "{answer}"
    );
}

#[test]
fn curl_that_forgets_the_s_is_told_so() {
    if !is_there("curl") {
        return;
    }
    let secure = Secure::start();
    let output = curl(&secure, "http", &[]);
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("https"),
        "{output:?}"
    );
}

#[test]
fn openssl_speaks_both_versions_and_none_that_is_older() {
    if !is_there("openssl") {
        return;
    }
    let secure = Secure::start();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for version in ["-tls1_2", "-tls1_3"] {
        let said = s_client(&secure, &[version, "-quiet", "-ign_eof"], request);
        assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
    }
    let said = s_client(&secure, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], b"");
    assert!(!said.contains("BEGIN CERTIFICATE"), "{said}");
}

#[test]
fn openssl_resumes_its_session() {
    if !is_there("openssl") {
        return;
    }
    let secure = Secure::start();
    let file = secure.authority.path("session").display().to_string();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    s_client(
        &secure,
        &["-tls1_2", "-ign_eof", "-sess_out", &file],
        request,
    );
    let said = s_client(
        &secure,
        &["-tls1_2", "-ign_eof", "-sess_in", &file],
        request,
    );
    assert!(said.contains("Reused, TLSv1.2"), "{said}");
}

#[test]
fn openssl_that_offers_another_protocol_only_is_refused_by_the_alert_for_it() {
    if !is_there("openssl") {
        return;
    }
    let secure = Secure::start();
    let said = s_client(&secure, &["-alpn", "h2"], b"");
    assert!(said.contains("no application protocol"), "{said}");
    let said = s_client(&secure, &["-alpn", "h2,http/1.1"], b"");
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
}

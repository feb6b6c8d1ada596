//! The handler `post-form` in the real server: bodies that are taken whole, up to limits, or leave nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::http::answer::Answer;
use crate::http::peer::HttpPeer;
use crate::support::plugins::{plugin, replaced};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Server, Setup};

const BOUNDARY: &str = "----of-this-test";

/// A server that takes forms at `/upload`.
struct Forms {
    server: Server,
    directory: PathBuf,
}

impl Forms {
    /// With these options beside the directory.
    fn start(options: Value) -> Self {
        let setup = Setup::new().plugin(&plugin("post_form"));
        let directory = setup.config_file().with_file_name("uploads");
        fs::create_dir(&directory).expect("a fresh directory");
        let mut all = json!({"directory": directory});
        for (name, value) in options.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let config = Config::new()
            .mount("/upload", json!({"protocol": "post-form"}))
            .options("post-form", all);
        Self {
            server: setup.config(&config).start(),
            directory,
        }
    }

    fn peer(&self) -> HttpPeer {
        HttpPeer::connect(self.server.address())
    }

    /// Posts a form with these files on a connection of its own.
    fn post(&self, files: &[(&str, &[u8])]) -> Answer {
        let body = form(files);
        let mut peer = self.peer();
        peer.send_while_open(head(body.len()));
        peer.send_while_open(body);
        peer.answer()
    }

    /// The names of all that lies in the directory.
    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.directory).expect("it is there");
        let mut names: Vec<_> = files
            .map(|file| file.expect("a file").file_name().display().to_string())
            .collect();
        names.sort();
        names
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join(name)).expect("it is there")
    }

    /// Awaits that a form is being written.
    fn await_draft(&self) {
        eventually("a file of a form that goes on", DEADLINE, || {
            self.names().iter().any(|name| name.starts_with(".upload-"))
        });
    }

    fn await_nothing(&self) {
        eventually("an empty directory", DEADLINE, || self.names().is_empty());
    }
}

fn head(length: usize) -> String {
    format!(
        "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
}

fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in files {
        body.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: text/plain\r\n\r\n"
            )
            .bytes(),
        );
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

#[test]
fn seed_4_10_files_of_a_form_are_kept_whole_under_names_of_their_own() {
    let forms = Forms::start(json!({}));
    let large = vec![b'x'; 3 << 20];
    let answer = forms.post(&[("a.txt", b"first"), ("../../large", &large)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told: Value = serde_json::from_slice(&answer.content).expect("JSON");
    assert_eq!(told["files"][1]["bytes"], 3 << 20);
    assert_eq!(forms.names(), ["a.txt", "large"]);
    assert_eq!(forms.content("a.txt"), b"first");
    assert!(forms.content("large") == large);
    let mode = fs::metadata(forms.directory.join("a.txt")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    // The same name again does not take the first one's place.
    assert_eq!(forms.post(&[("a.txt", b"second")]).status, 200);
    assert_eq!(forms.names(), ["a-1.txt", "a.txt", "large"]);
    assert_eq!(forms.content("a.txt"), b"first");
}

#[test]
fn seed_4_10_a_form_without_files_is_read_and_its_sender_sent_on() {
    let forms = Forms::start(json!({"redirect": "/thanks.html"}));
    let mut peer = forms.peer();
    peer.send(
        "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 7\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\na=1&b=2",
    );
    let answer = peer.answer();
    assert_eq!(
        (answer.status, answer.field("Location")),
        (303, Some("/thanks.html"))
    );
    assert!(forms.names().is_empty());
    let answer = peer.ask("GET", "/upload", "");
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("POST")));
}

#[test]
fn seed_4_10_a_form_above_a_limit_is_413_and_leaves_nothing() {
    let forms = Forms::start(json!({"most_file_bytes": 100_000, "most_files": 2}));
    let small: (&str, &[u8]) = ("small", b"small");
    let at_most = vec![b'x'; 100_000];
    let beyond = vec![b'x'; 100_001];
    for files in [
        vec![small, ("beyond", &beyond[..])],
        vec![small, small, small],
        vec![("far beyond", &vec![b'x'; 17 << 20][..])],
    ] {
        let answer = forms.post(&files);
        assert_eq!(answer.status, 413, "{}", answer.text());
        forms.await_nothing();
    }
    assert_eq!(forms.post(&[("at most", &at_most), small]).status, 200);
    assert_eq!(forms.names(), ["at most", "small"]);
}

#[test]
fn seed_4_10_seed_4_11_an_upload_that_breaks_off_leaves_nothing() {
    let forms = Forms::start(json!({}));
    let body = form(&[("whole", b"whole"), ("half", &[b'x'; 500_000])]);
    let mut peer = forms.peer();
    peer.send(head(body.len()));
    peer.send(&body[..300_000]);
    forms.await_draft();
    assert!(forms.names().iter().all(|name| name.starts_with('.')));
    drop(peer);
    forms.await_nothing();
    // Ended where no end of a form is: not a form, and nothing of it is kept.
    let mut peer = forms.peer();
    peer.send(head(300_000));
    peer.send(&body[..300_000]);
    assert_eq!(peer.answer().status, 400);
    forms.await_nothing();
}

#[test]
fn seed_4_10_an_upload_goes_on_when_its_plugin_is_replaced() {
    let forms = Forms::start(json!({}));
    let body = form(&[("long", &[b'x'; 500_000])]);
    let mut old = forms.peer();
    old.send(head(body.len()));
    old.send(&body[..300_000]);
    forms.await_draft();

    let bytes = fs::read(plugin("post_form")).expect("a built plugin");
    let (version_one, version_two) = ("a form is posted", "A FORM IS POSTED");
    let bytes = replaced(&bytes, version_one.as_bytes(), version_two.as_bytes());
    let newer = forms.server.directory().join("newer.so");
    fs::write(&newer, bytes).expect("a fresh file");
    forms.server.drop_in(&newer, "libpost_form.so");
    eventually("the new version answers", DEADLINE, || {
        let answer = forms.peer().ask("GET", "/upload", "");
        answer.text().contains(version_two)
    });

    old.send(&body[300_000..]);
    assert_eq!(old.answer().status, 200);
    assert_eq!(forms.content("long").len(), 500_000);
    assert!(old.ask("GET", "/upload", "").text().contains(version_two));
}

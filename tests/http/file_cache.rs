//! Small files that service threads remember: as they are, but for a moment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use super::answer::Answer;
use super::peer::HttpPeer;
use super::site::{A_TXT, Site};
use crate::support::plugins::plugin;
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Setup};

/// Longer than any test.
const AN_HOUR_MS: u64 = 3_600_000;

/// Puts content in the place of a file at once, as an editor does.
fn replace(file: &Path, content: &str) {
    let new = file.with_extension("new");
    fs::write(&new, content).expect("a fresh file");
    fs::rename(new, file).expect("our own file");
}

/// Asks until this is the content; until then it must be the one before.
fn await_content(peer: &mut HttpPeer, target: &str, before: &str, after: &str) {
    eventually("the new content", DEADLINE, || {
        let answer = peer.ask("GET", target, "");
        assert_eq!(answer.status, 200);
        assert!([before, after].contains(&answer.text()), "{answer:?}");
        answer.text() == after
    });
}

#[test]
fn a_file_that_is_changed_in_any_way_is_soon_answered_as_it_is() {
    let site = Site::new();
    let (file, mut peer) = (site.file("a.txt"), site.peer());
    assert_eq!(peer.ask("GET", "/a.txt", "").text(), A_TXT);
    replace(&file, "replaced");
    await_content(&mut peer, "/a.txt", A_TXT, "replaced");
    // In place: the same file, as long as before.
    fs::write(&file, "in place").expect("our own file");
    eventually("the new content", DEADLINE, || {
        peer.ask("GET", "/a.txt", "").text() == "in place"
    });
    let tag = peer.ask("HEAD", "/a.txt", "");
    let tag = tag.field("ETag").expect("a tag");
    assert_eq!(
        peer.ask("GET", "/a.txt", &format!("If-None-Match: {tag}\r\n"))
            .status,
        304
    );
    fs::write(&file, "and longer").expect("our own file");
    eventually("the condition is judged anew", DEADLINE, || {
        peer.ask("GET", "/a.txt", &format!("If-None-Match: {tag}\r\n"))
            .status
            == 200
    });
}

#[test]
fn a_file_that_is_gone_or_leads_out_is_soon_no_file() {
    let site = Site::new();
    let mut peer = site.peer();
    for (name, replace) in [
        ("gone.txt", (|_| {}) as fn(&Path)),
        ("link.txt", |file| {
            symlink("../hotsocket.json", file).expect("a fresh link")
        }),
        ("link.txt", |file| {
            symlink("a.txt", file).expect("a fresh link")
        }),
    ] {
        let (file, target) = (site.file(name), format!("/{name}"));
        fs::remove_file(&file).ok();
        eventually("it is not there", DEADLINE, || {
            peer.ask("GET", &target, "").status == 404
        });
        fs::write(&file, "inside").expect("a fresh file");
        assert_eq!(peer.ask("GET", &target, "").text(), "inside");
        fs::remove_file(&file).expect("our own file");
        replace(&file);
        eventually("it is no file", DEADLINE, || {
            let answer = peer.ask("GET", &target, "");
            let is_known = answer.status == 404 || answer.text() == "inside";
            assert!(is_known, "{answer:?}");
            answer.status == 404
        });
    }
}

#[test]
fn a_file_is_believed_as_long_as_the_limit_says_and_no_longer_than_its_mounts() {
    let limit = |ms| Config::new().limit("file_cache_ms", ms);
    let site = Site::with(limit(AN_HOUR_MS));
    let mut peer = site.peer();
    assert_eq!(peer.ask("GET", "/a.txt", "").text(), A_TXT);
    replace(&site.file("a.txt"), "new");
    assert_eq!(peer.ask("GET", "/a.txt", "").text(), A_TXT);
    // Another root at the same place, and then the first one again, looked at for each request.
    fs::create_dir(site.directory().join("other")).expect("a fresh directory");
    fs::write(site.directory().join("other/a.txt"), "other").expect("a fresh file");
    for (ms, root, expected) in [(AN_HOUR_MS, "other", "other"), (0, "www", "new")] {
        let config = limit(ms).mount("/", json!({"files": root}));
        replace(&site.config_file(), &config.text());
        site.signal(Signal::HUP);
        eventually("the other root", DEADLINE, || {
            peer.ask("GET", "/a.txt", "").text() == expected
        });
    }
    replace(&site.file("a.txt"), "newer");
    assert_eq!(peer.ask("GET", "/a.txt", "").text(), "newer");
}

#[test]
fn one_service_thread_keeps_no_more_than_the_limit_and_what_is_asked_for_often() {
    const FILES: usize = 60;
    let config = Config::new()
        .limit("file_cache_ms", AN_HOUR_MS)
        .limit("file_cache_bytes", 100_000);
    let site = Site::start(Setup::new().threads(1), config);
    let mut peer = site.peer();
    let name = |number: usize| format!("{number}.txt");
    let (old, new) = ("o".repeat(5000), "n".repeat(5000));
    for number in 0..FILES {
        fs::write(site.file(&name(number)), &old).expect("a fresh file");
        for asked in [number, 0] {
            assert_eq!(
                peer.ask("GET", &format!("/{}", name(asked)), "").text(),
                old
            );
        }
    }
    for number in 0..FILES {
        replace(&site.file(&name(number)), &new);
    }
    let mut is_kept = |number: &usize| {
        let answer = peer.ask("GET", &format!("/{}", name(*number)), "");
        answer.text() == old
    };
    let newest_first = [0].into_iter().chain((1..FILES).rev());
    let kept: Vec<usize> = newest_first.filter(|number| is_kept(number)).collect();
    assert!(kept.contains(&0), "{kept:?}");
    assert!((2..=20).contains(&kept.len()), "{kept:?}");
}

/// An answer without what is new in each: the date, and the boundary between ranges.
fn comparable(mut answer: Answer) -> Answer {
    let media_type = answer.field("Content-Type").unwrap_or_default().to_owned();
    if let Some((_, boundary)) = media_type.split_once("boundary=") {
        let blank = |text: &str| text.replace(boundary, "");
        answer.content = blank(answer.text()).into_bytes();
        for (_, value) in &mut answer.fields {
            *value = blank(value);
        }
    }
    answer.fields.retain(|(name, _)| name != "Date");
    answer
}

#[test]
fn heads_ranges_and_conditions_are_answered_from_memory_as_they_are_from_the_file() {
    let tree = tempfile::tempdir().expect("a directory");
    fs::write(tree.path().join("a.txt"), A_TXT).expect("a fresh file");
    fs::write(tree.path().join("a.txt.gz"), "zipped").expect("a fresh file");
    fs::write(tree.path().join("index.html"), "index").expect("a fresh file");
    let [looks, remembers] = [0, AN_HOUR_MS].map(|ms| {
        let config = Config::new()
            .limit("file_cache_ms", ms)
            .key("security_headers", true)
            .mount(
                "/tree",
                json!({"files": tree.path(), "fields": {"X-Team": "web"}}),
            );
        Site::with(config)
    });
    let (mut looks, mut remembers) = (looks.peer(), remembers.peer());
    let tag = looks.ask("GET", "/tree/a.txt", "");
    let tag = tag.field("ETag").expect("a tag");
    for target in [
        "/tree/a.txt",
        "/tree/",
        "/tree/a.txt.gz",
        "/tree/%61.txt",
        "/tree/none",
    ] {
        for fields in [
            "",
            "Accept-Encoding: gzip\r\n",
            "Accept-Encoding: identity;q=0\r\n",
            "Range: bytes=3-5\r\n",
            "Range: bytes=0-0, 3-4\r\n",
            "Range: bytes=99-\r\n",
            &format!("If-None-Match: {tag}\r\n"),
            &format!("If-Match: {tag}\r\n"),
            &format!("If-Range: {tag}\r\nRange: bytes=3-5\r\n"),
        ] {
            for method in ["GET", "HEAD", "GET", "POST"] {
                let expected = comparable(looks.ask(method, target, fields));
                let answer = comparable(remembers.ask(method, target, fields));
                assert_eq!(answer, expected, "{method} {target} {fields}");
            }
        }
    }
}

#[test]
fn policies_are_asked_before_a_file_that_is_remembered_is_answered() {
    let setup = Setup::new().plugin(&plugin("basic_auth"));
    let file = setup.plugin_directory().with_file_name("htpasswd");
    // As `htpasswd -nbBC 4` writes it for `ada` with `lovelace`.
    let ada = "ada:$2y$04$.uKB.uKB.uKB.uKB.uKB.umN4heNw52Eli1N0RAW9Nt..Wkk8LLrS\n";
    fs::write(&file, ada).expect("our own directory");
    let options = json!({"file": file, "realm": "the lab"});
    let policy = json!([{"policy": "basic-auth", "options": options}]);
    let config = Config::new().limit("file_cache_ms", AN_HOUR_MS);
    let site = Site::start(setup, config.key("policies", policy));
    let mut peer = site.peer();
    for _ in 0..2 {
        let right = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";
        assert_eq!(peer.ask("GET", "/a.txt", right).text(), A_TXT);
        assert_eq!(peer.ask("GET", "/a.txt", "").status, 401);
    }
}

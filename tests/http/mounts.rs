//! What is mounted where, and what the host says by itself.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::answer::Answer;
use super::peer::{HttpPeer, request};
use super::site::{A_TXT, INDEX, Site};
use crate::support::plugins::echo;
use crate::support::{Config, Frame, RawPeer, Server, Setup};

#[test]
fn seed_4_1_pages_scripts_an_icon_and_live_data_come_from_one_port() {
    let site = Site::start(Setup::new().plugin(&echo()), Config::new());
    fs::write(site.file("live.js"), "new WebSocket('/echo')").expect("a fresh file");
    fs::write(site.file("favicon.ico"), [0, 0, 1, 0]).expect("a fresh file");
    for (target, media_type, content) in [
        ("/", "text/html; charset=utf-8", INDEX.as_bytes()),
        (
            "/live.js",
            "text/javascript; charset=utf-8",
            b"new WebSocket('/echo')",
        ),
        (
            "/page.css",
            "text/css; charset=utf-8",
            b"body { color: black }\n",
        ),
        ("/favicon.ico", "image/x-icon", &[0, 0, 1, 0]),
    ] {
        let answer = site.ask("GET", target, "");
        assert_eq!(
            (answer.status, &answer.content[..]),
            (200, content),
            "{target}"
        );
        assert_eq!(answer.field("Content-Type"), Some(media_type), "{target}");
    }
    site.assert_echoes();
}

#[test]
fn seed_4_3_a_client_that_names_no_protocol_gets_the_default_one() {
    let config = Config::new().key("default_protocol", "echo");
    let site = Site::start(Setup::new().plugin(&echo()), config);
    for target in ["/", "/a.txt", "/nothing"] {
        let (mut peer, response) = RawPeer::open_with(site.address(), target, &[]);
        assert_eq!(response.field("sec-websocket-protocol"), None);
        peer.text("by default");
        assert_eq!(peer.frame(), Frame::text("by default"), "{target}");
    }
    // As a page at the same place: what is no upgrade gets the file.
    assert_eq!(site.ask("GET", "/", "").text(), INDEX);
}

fn with_error_page(status: &str) -> Site {
    let setup = Setup::new();
    let page = setup.config_file().with_file_name("error.html");
    fs::write(page, "<h1>ours</h1>").expect("a fresh file");
    Site::start(
        setup,
        Config::new().key("error_pages", json!({status: "error.html"})),
    )
}

fn assert_our_page(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.text()), (status, "<h1>ours</h1>"));
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
}

#[test]
fn seed_4_13_an_error_has_the_page_of_the_config_and_keeps_its_status() {
    let site = with_error_page("404");
    let mut peer = site.peer();
    assert_our_page(&peer.ask("GET", "/nothing", ""), 404);
    let head = peer.ask("HEAD", "/nothing", "");
    assert_eq!(
        (head.status, head.field("Content-Length")),
        (404, Some("13"))
    );
    let other = peer.ask("DELETE", "/a.txt", "");
    assert_eq!(other.status, 405);
    assert_ne!(other.text(), "<h1>ours</h1>");
    peer.expect_open();

    let site = with_error_page("405");
    let answer = site.ask("DELETE", "/a.txt", "");
    assert_our_page(&answer, 405);
    assert!(answer.field("Allow").is_some(), "{answer:?}");

    let site = with_error_page("400");
    let mut peer = site.peer();
    peer.send("bad\r\n\r\n");
    assert_our_page(&peer.answer(), 400);
}

#[test]
fn seed_4_13_without_a_page_an_error_is_a_short_text_with_its_status() {
    let site = Site::new();
    for (method, target, status) in [("GET", "/nothing", 404), ("DELETE", "/a.txt", 405)] {
        let answer = site.ask(method, target, "");
        assert_eq!(answer.status, status);
        assert!(
            !answer.content.is_empty() && answer.content.len() < 1024,
            "{answer:?}"
        );
        assert!(answer.field("Content-Type").is_some(), "{answer:?}");
    }
}

#[test]
fn a_redirect_keeps_what_follows_and_the_query() {
    let config = Config::new()
        .mount("/old", json!({"redirect": "/new"}))
        .mount(
            "/found",
            json!({"redirect": "https://example.org/there", "status": 302}),
        );
    let site = Site::with(config);
    let mut peer = site.peer();
    for (target, status, location) in [
        ("/old", 308, "/new"),
        ("/old/", 308, "/new/"),
        ("/old/a/b?c=d&e", 308, "/new/a/b?c=d&e"),
        ("/old?c", 308, "/new?c"),
        ("/old/%20x", 308, "/new/%20x"),
        ("/found/x?y", 302, "https://example.org/there/x?y"),
    ] {
        let answer = peer.ask("GET", target, "");
        let told = (answer.status, answer.field("Location"));
        assert_eq!(told, (status, Some(location)), "{target}");
    }
    assert_eq!(peer.ask("GET", "/older", "").status, 404);
    assert_eq!(peer.ask("GET", "/ol", "").status, 404);
    let answer = peer.ask("POST", "/old", "Content-Length: 0\r\n");
    assert_eq!(
        (answer.status, answer.field("Location")),
        (308, Some("/new"))
    );
}

#[test]
fn no_redirect_leads_to_another_host_unless_it_is_configured() {
    let site = Site::with(Config::new().mount("/old", json!({"redirect": "/"})));
    fs::create_dir(site.file("evil.example")).expect("a fresh directory");
    let mut peer = site.peer();
    for target in [
        "/old//evil.example/",
        "/old/%2fevil.example/",
        "/old/\\evil.example/",
        "/old/..//evil.example",
        "//evil.example",
        "//evil.example/..",
        "//evil.example/%2e%2e",
        "/%5cevil.example",
        "http://evil.example/dir",
        "/old/%0d%0aSet-Cookie:%20a",
    ] {
        let answer = peer.ask("GET", target, "");
        let Some(location) = answer.field("Location") else {
            continue;
        };
        let path = location.strip_prefix("http://test").unwrap_or(location);
        let second = path.as_bytes().get(1);
        let stays = path.starts_with('/') && !matches!(second, Some(b'/' | b'\\'));
        assert!(stays, "{target} leads to {location}");
        assert_eq!(answer.field("Set-Cookie"), None, "{target}");
    }
}

#[test]
fn a_status_mount_answers_by_itself() {
    let config = Config::new()
        .mount("/healthz", json!({"status": 200, "text": "ok"}))
        .mount("/gone", json!({"status": 410, "text": "no more"}));
    let site = Site::with(config);
    let mut peer = site.peer();
    let answer = peer.ask("GET", "/healthz", "");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        peer.ask("HEAD", "/healthz", "").field("Content-Length"),
        Some("2")
    );
    let answer = peer.ask("GET", "/gone", "");
    assert_eq!((answer.status, answer.text()), (410, "no more"));
    peer.expect_open();
}

#[test]
fn the_longest_mountpoint_wins_by_whole_segments() {
    let config = Config::new()
        .mount("/dir", json!({"status": 200, "text": "dir"}))
        .mount("/dir/deep", json!({"status": 200, "text": "deep"}));
    let site = Site::with(config);
    let mut peer = site.peer();
    for (target, text) in [
        ("/dir", "dir"),
        ("/dir/b.txt", "dir"),
        ("/dir/deeper", "dir"),
        ("/dir/deep", "deep"),
        ("/dir/deep/er?q", "deep"),
        ("/d%69r/deep", "deep"),
        ("/a.txt", A_TXT),
    ] {
        assert_eq!(peer.ask("GET", target, "").text(), text, "{target}");
    }
    assert_eq!(peer.ask("GET", "/dirt", "").status, 404);
    // To the one that it leads to, or to none.
    let answer = peer.ask("GET", "/dir/x/../deep", "");
    assert!(
        answer.text() == "deep" || answer.status / 100 == 4,
        "{answer:?}"
    );
    // Never the file behind the mount.
    for target in [
        "//dir/b.txt",
        "/./dir/b.txt",
        "/x/../dir/b.txt",
        "/%2e/dir/b.txt",
        "/dir%2fb.txt",
    ] {
        let answer = peer.ask("GET", target, "");
        assert_ne!(answer.text(), "b", "{target} goes around the mount");
    }
}

#[test]
fn no_path_leaves_the_root() {
    let site = Site::new();
    fs::write(site.directory().join("secret.txt"), "secret").expect("a fresh file");
    symlink(site.directory().join("secret.txt"), site.file("out.txt")).expect("a fresh link");
    symlink("../secret.txt", site.file("up.txt")).expect("a fresh link");
    symlink("..", site.file("updir")).expect("a fresh link");
    let ups = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "..%2f..",
        "%2e%2e%2f",
        "..%5c",
        "..%00",
        "%252e%252e",
    ];
    for up in ups {
        for start in ["", "/dir", "/dir/deep", "/."] {
            for target in [
                format!("{start}/{up}/secret.txt"),
                format!("{start}/{up}/{up}/secret.txt"),
                format!("{start}/{up}/{up}/www/{up}/secret.txt"),
            ] {
                let answer = site.ask("GET", &target, "");
                assert_eq!(answer.status / 100, 4, "{target}: {answer:?}");
            }
        }
    }
    for target in [
        "/out.txt",
        "/up.txt",
        "/updir/secret.txt",
        "/updir/",
        "//secret.txt",
        "/secret.txt",
    ] {
        let answer = site.ask("GET", target, "");
        assert_eq!(answer.status, 404, "{target}: {answer:?}");
    }
}

#[test]
fn seed_1_14_fields_of_a_mount_and_the_switches_show_in_answers() {
    let setup = Setup::new();
    let config = Config::new()
        .key("server_header", true)
        .key("security_headers", true)
        .mount(
            "/healthz",
            json!({"status": 200, "text": "ok", "fields": {"X-Team": "web"}}),
        );
    let site = Site::start(setup, config);
    let answer = site.ask("GET", "/healthz", "");
    assert_eq!(answer.field("X-Team"), Some("web"));
    for target in ["/healthz", "/a.txt", "/nothing"] {
        let answer = site.ask("GET", target, "");
        assert_eq!(answer.field("Server"), Some("hotsocket"), "{target}");
        assert_eq!(
            answer.field("X-Content-Type-Options"),
            Some("nosniff"),
            "{target}"
        );
    }
    let answer = site.ask("GET", "/a.txt", "");
    assert_eq!(answer.field("X-Team"), None);
}

#[test]
fn www_serves_a_directory_in_place_of_the_built_in_page() {
    let plain = Server::with([]);
    let page = HttpPeer::connect(plain.address()).ask("GET", "/", "");
    assert_eq!(page.status, 200);

    let setup = Setup::new();
    let root = setup.config_file().with_file_name("files");
    fs::create_dir(&root).expect("a fresh directory");
    fs::write(root.join("index.html"), INDEX).expect("a fresh file");
    let server = setup.arguments(["--www", "files"]).start();
    let mut peer = HttpPeer::connect(server.address());
    assert_eq!(peer.ask("GET", "/", "").text(), INDEX);
    assert_eq!(peer.ask("GET", "/nothing", "").status, 404);
}

#[test]
fn the_access_log_has_one_line_per_exchange_that_no_client_can_forge() {
    let log = json!({"file": "access.log", "format": "json"});
    let mut site = Site::with(Config::new().key("access_log", log));
    let mut peer = site.peer();
    peer.send(request(
        "GET",
        "/a.txt?q",
        "User-Agent: a\"b\\c\u{1b}\u{e9}\r\n",
    ));
    let forging = peer.answer().status;
    let mut peer = site.peer();
    let sent = "User-Agent: a\"b\\c\r\nReferer: x\" 200 \"y\r\n";
    assert_eq!(peer.ask("GET", "/a.txt?q", sent).status, 200);
    assert_eq!(peer.ask("HEAD", "/nothing%0a", "").status, 404);
    peer.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(peer.answer().status, 400);
    site.signal(rustix::process::Signal::TERM);
    let status = site.wait_exit();
    assert!(status.success(), "{status}");
    let text = fs::read_to_string(site.directory().join("access.log")).expect("it is written");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .collect();
    let told: Vec<_> = lines.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(
        told,
        [forging, 200, 404, 400].map(serde_json::Value::from),
        "{text}"
    );
    assert!(
        text.bytes()
            .all(|byte| byte == b'\n' || !byte.is_ascii_control())
    );
}

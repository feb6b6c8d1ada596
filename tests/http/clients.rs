//! Clients that everybody uses: curl, and `requests` of Python. Where one is not installed its test says so and checks
//! nothing.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use super::site::{A_TXT, INDEX, Site, pattern, url};
use crate::support::plugins::echo;
use crate::support::{Config, Setup};

/// A site with something for each of them.
fn site() -> Site {
    let config = Config::new().mount("/old", json!({"redirect": "/"}));
    let site = Site::start(Setup::new().plugin(&echo()), config);
    let page = "<p>compressed</p>".repeat(100);
    fs::write(site.file("page.html"), &page).expect("a fresh file");
    let gzip = Command::new("gzip")
        .arg("-k")
        .arg(site.file("page.html"))
        .status();
    assert!(gzip.is_ok_and(|status| status.success()), "gzip is there");
    site
}

fn is_there(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let is_there = command.output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!(
            "{program} {} does not work here: not checked",
            arguments.join(" ")
        );
    }
    is_there
}

/// Runs curl with these arguments, the last of them a target, and gives what it writes.
fn curl<const N: usize>(site: &Site, arguments: [&str; N]) -> Vec<u8> {
    let (target, options) = arguments.split_last().expect("a target");
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--noproxy",
            "*",
        ])
        .args(options)
        .arg(url(site.address(), target))
        .current_dir(site.directory())
        .output()
        .expect("curl runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    output.stdout
}

fn curl_text<const N: usize>(site: &Site, arguments: [&str; N]) -> String {
    String::from_utf8(curl(site, arguments)).expect("text")
}

#[test]
fn curl_reads_files_ranges_redirects_and_encodings() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    let site = site();
    assert_eq!(curl_text(&site, ["/"]), INDEX);
    assert_eq!(curl(&site, ["/big.bin"]), pattern(1 << 20));
    assert_eq!(curl_text(&site, ["-r", "2-4", "/a.txt"]), "cde");
    assert_eq!(curl_text(&site, ["-r", "-3", "/a.txt"]), "xyz");
    assert_eq!(curl_text(&site, ["-L", "/old/a.txt"]), A_TXT);
    assert_eq!(curl_text(&site, ["--http1.0", "/a.txt"]), A_TXT);
    assert_eq!(curl_text(&site, ["--path-as-is", "/dir/../a.txt"]), A_TXT);
    assert!(curl_text(&site, ["-I", "/a.txt"]).starts_with("HTTP/1.1 200 "));
    let page = fs::read(site.file("page.html")).expect("our own file");
    assert_eq!(curl(&site, ["--compressed", "/page.html"]), page);
    let coded = curl(&site, ["-H", "Accept-Encoding: gzip", "/page.html"]);
    assert!(coded.len() < page.len() && coded.starts_with(&[0x1f, 0x8b]));
    assert_eq!(curl(&site, ["/page.html"]), page);
}

#[test]
fn curl_takes_up_a_download_where_it_stopped_and_asks_for_what_is_new() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    let site = site();
    let whole = pattern(1 << 20);
    let partial = site.directory().join("partial.bin");
    fs::write(&partial, &whole[..300_000]).expect("a fresh file");
    curl(&site, ["-C", "-", "-o", "partial.bin", "/big.bin"]);
    assert!(
        fs::read(&partial).expect("it is there") == whole,
        "the content is another"
    );

    let told = "%{http_code} %{size_download}";
    let first = curl_text(
        &site,
        ["--etag-save", "tag", "-o", "one", "-w", told, "/a.txt"],
    );
    assert_eq!(first, "200 26");
    let second = curl_text(
        &site,
        ["--etag-compare", "tag", "-o", "two", "-w", told, "/a.txt"],
    );
    assert_eq!(second, "304 0");
    curl(&site, ["-R", "-o", "dated", "/a.txt"]);
    let third = curl_text(&site, ["-z", "dated", "-o", "three", "-w", told, "/a.txt"]);
    assert_eq!(third, "304 0");
}

#[test]
fn curl_uses_one_connection_for_many_requests_and_learns_what_is_refused() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    let site = site();
    let told = "%{http_code} %{num_connects}\n";
    // A glob: four requests.
    let codes = curl_text(
        &site,
        [
            "-o",
            "/dev/null",
            "-w",
            told,
            "/{a.txt,nothing,dir/,big.bin}",
        ],
    );
    assert_eq!(codes, "200 1\n404 0\n200 0\n200 0\n");
    fs::write(site.directory().join("upload"), pattern(3 << 20)).expect("a fresh file");
    // With Expect, since it is long; and in chunks.
    let told = "%{http_code}";
    let long = curl_text(
        &site,
        ["-T", "upload", "-o", "/dev/null", "-w", told, "/a.txt"],
    );
    assert_eq!(long, "405");
    let long = curl_text(
        &site,
        [
            "-T",
            "upload",
            "-H",
            "Transfer-Encoding: chunked",
            "-o",
            "/dev/null",
            "-w",
            told,
            "/a.txt",
        ],
    );
    assert_eq!(long, "405");
    let short = curl_text(
        &site,
        ["-d", "a=b", "-o", "/dev/null", "-w", told, "/a.txt"],
    );
    assert_eq!(short, "405");
    let unasked = curl_text(
        &site,
        [
            "-T",
            "upload",
            "-H",
            "Expect:",
            "-o",
            "/dev/null",
            "-w",
            told,
            "/a.txt",
        ],
    );
    assert_eq!(
        unasked, "405",
        "the answer survives a body that nobody reads"
    );
}

#[test]
fn requests_of_python_reads_files_ranges_redirects_and_encodings() {
    if !is_there("python3", &["-c", "import requests"]) {
        return;
    }
    let site = site();
    let output = Command::new("python3")
        .args(["-c", PYTHON, &url(site.address(), "")])
        .env("NO_PROXY", "*")
        .output()
        .expect("python runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all is well\n");
}

const PYTHON: &str = r#"
import sys, requests
base = sys.argv[1]
def must(condition, what):
    if not condition:
        sys.exit("not so: %s" % what)
with requests.Session() as session:
    session.trust_env = False
    get = lambda target, **fields: session.get(base + target, headers=fields, timeout=20)
    one = get("/a.txt")
    must((one.status_code, one.text) == (200, "abcdefghijklmnopqrstuvwxyz"), "the file")
    must(get("/nothing").status_code == 404, "404")
    must(get("/a.txt", Range="bytes=1-3").text == "bcd", "a range")
    many = get("/a.txt", Range="bytes=0-0,5-6")
    must(many.headers["Content-Type"].startswith("multipart/byteranges"), "several ranges")
    must(b"\r\na\r\n" in many.content and b"\r\nfg\r\n" in many.content, "the parts")
    must(get("/a.txt", **{"If-None-Match": one.headers["ETag"]}).status_code == 304, "304 by tag")
    must(get("/a.txt", **{"If-Modified-Since": one.headers["Last-Modified"]}).status_code == 304, "304 by date")
    must(get("/a.txt", **{"If-Match": '"other"'}).status_code == 412, "412")
    page = get("/page.html", **{"Accept-Encoding": "gzip"})
    must(page.headers.get("Content-Encoding") == "gzip" and page.text == "<p>compressed</p>" * 100, "gzip")
    moved = get("/old/a.txt?x=1")
    must(moved.text == one.text and moved.url.endswith("/a.txt?x=1") and moved.history[0].status_code == 308, "308")
    head = session.head(base + "/big.bin", timeout=20)
    must(head.headers["Content-Length"] == "1048576", "HEAD")
    with session.get(base + "/big.bin", stream=True, timeout=20) as answer:
        must(sum(map(len, answer.iter_content(10000))) == 1 << 20, "a stream")
    must(session.post(base + "/a.txt", data=b"x" * 100, timeout=20).status_code == 405, "405")
    must(session.post(base + "/a.txt", data=iter([b"x"] * 10), timeout=20).status_code == 405, "405 for chunks")
    must(session.options(base + "/a.txt", timeout=20).status_code in (200, 204), "OPTIONS")
    must(get("/").text.startswith("<!doctype html>"), "the page")
print("all is well")
"#;

//! What a service thread remembers: the same as it would be told, within its bounds.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Site, body, head};
use crate::connection::content::FileAnswer;
use crate::context::files::cache::{FileCache, Given};
use crate::context::files::{FileRequest, FilesRoot, Reach};
use crate::limits::Limits;
use crate::wire::fields::Fields;

/// What a cache gives, as a connection would send it: status, fields, and content or, to HEAD, its length.
type Sent = (u16, Fields, Vec<u8>);

/// Asks for `/m/...` at this time. What takes the disk is asked of the disk, and then again.
fn given(
    cache: &mut FileCache,
    root: &FilesRoot,
    (method, target, fields): (&str, &str, &str),
    limits: &Limits,
    now: u64,
) -> Sent {
    head(method, target, fields, |head| {
        let rest = head.path().strip_prefix("/m").unwrap();
        for is_last in [false, true] {
            match cache.answer(root, (head, rest), limits, now) {
                Given::Whole(fields, content) => {
                    return (200, fields.with(&[]).0.into_owned(), content.to_vec());
                }
                Given::Answer(answer) => return sent(method, &answer),
                Given::Cold(request) => {
                    let answer = root.answer(&request, Reach::Disk).unwrap();
                    if is_last {
                        return sent(method, &answer);
                    }
                }
            }
        }
        unreachable!("the last round ends it")
    })
}

fn sent(method: &str, answer: &FileAnswer) -> Sent {
    let content = match method {
        "HEAD" => answer.content_length().to_string().into_bytes(),
        _ => body(answer),
    };
    (answer.status, answer.fields.clone(), content)
}

/// What a GET gets.
fn get(cache: &mut FileCache, root: &FilesRoot, target: &str, limits: &Limits, now: u64) -> Sent {
    given(cache, root, ("GET", target, ""), limits, now)
}

fn text((_, _, content): &Sent) -> &str {
    std::str::from_utf8(content).unwrap()
}

/// Limits of which these three are said.
fn limits(file_cache_ms: u64, file_cache_entry_bytes: u64, file_cache_bytes: u64) -> Limits {
    Limits {
        file_cache_ms,
        file_cache_entry_bytes,
        file_cache_bytes,
        ..Limits::default()
    }
}

#[test]
fn what_is_remembered_of_any_source_is_answered_as_if_it_were_not() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for site in Site::each(|mount| mount.cache_control = Some("max-age=1".into())) {
        site.put("a.txt", "abcdefghij");
        site.put("a.txt.gz", "zipped");
        site.put("dir/index.html", "index");
        site.put("empty", "");
        site.put("large.bin", vec![b'x'; (64 << 10) + 1]);
        let root = site.root();
        let (mut cache, limits) = (FileCache::default(), limits(u64::MAX, 64 << 10, 1 << 20));
        for target in [
            "/m/a.txt",
            "/m/a%2etxt",
            "/m/./dir/../a.txt?query",
            "/m/a.txt.gz",
            "/m/dir",
            "/m/dir/",
            "/m/empty",
            "/m/large.bin",
            "/m/none",
            "/m/%zz",
            "/m/..",
            "/m",
            "/m/",
        ] {
            for fields in [
                "",
                "Accept-Encoding: gzip\r\n",
                "Accept-Encoding: gzip;q=0.5\r\nAccept-Encoding: identity;q=0\r\n",
                "Accept-Encoding: br, identity;q=0\r\n",
                "Range: bytes=2-4\r\n",
                "Range: bytes=99-\r\n",
                "range: bytes=0-1\r\nIf-Range: \"other\"\r\n",
                "If-None-Match: *\r\n",
                "IF-MATCH: \"other\"\r\n",
                &format!("If-Modified-Since: {date}\r\n"),
                &format!("If-Unmodified-Since: {date}\r\n"),
            ] {
                for method in ["GET", "HEAD", "GET", "POST", "OPTIONS"] {
                    let expected = head(method, target, fields, |head| {
                        let rest = head.path().strip_prefix("/m").unwrap();
                        let request = FileRequest::of(head, rest, &limits);
                        sent(method, &root.answer(&request, Reach::Disk).unwrap())
                    });
                    let asks = (method, target, fields);
                    let given = given(&mut cache, &root, asks, &limits, 0);
                    assert_eq!(given, expected, "{:?} {asks:?}", site.kind);
                }
            }
        }
    }
}

#[test]
fn a_file_is_believed_for_its_time_and_then_looked_at() {
    let site = Site::new();
    let root = site.root();
    let (mut cache, limits) = (FileCache::default(), limits(100, 1 << 10, 1 << 20));
    site.put("a", "one");
    assert_eq!(text(&get(&mut cache, &root, "/m/a", &limits, 7)), "one");
    site.put("a", "two");
    for (now, expected) in [(7, "one"), (106, "one"), (107, "two")] {
        let got = get(&mut cache, &root, "/m/a", &limits, now);
        assert_eq!(text(&got), expected, "{now}");
    }
    fs::remove_file(site.path("a")).unwrap();
    assert_eq!(get(&mut cache, &root, "/m/a", &limits, 206).0, 200);
    assert_eq!(get(&mut cache, &root, "/m/a", &limits, 207).0, 404);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn a_file_that_changes_within_a_tick_of_the_kernel_is_read_again() {
    let site = Site::new();
    let root = site.root();
    let (mut cache, limits) = (FileCache::default(), limits(1, 1 << 10, 1 << 20));
    for now in 0..1000 {
        // As long as before, and often at the same time.
        let content = format!("{now:04}");
        site.put("a", &content);
        assert_eq!(text(&get(&mut cache, &root, "/m/a", &limits, now)), content);
    }
}

#[test]
fn what_takes_the_place_of_a_file_is_judged_as_it_would_be_without() {
    let site = Site::new();
    let root = site.root();
    let (mut cache, limits) = (FileCache::default(), limits(1, 1 << 10, 1 << 20));
    site.put("a", "inside");
    fs::write(site.path("../secret"), "outside").unwrap();
    assert_eq!(text(&get(&mut cache, &root, "/m/a", &limits, 0)), "inside");
    fs::remove_file(site.path("a")).unwrap();
    symlink("../secret", site.path("a")).unwrap();
    assert_eq!(get(&mut cache, &root, "/m/a", &limits, 1).0, 404);
    fs::remove_file(site.path("a")).unwrap();
    fs::create_dir(site.path("a")).unwrap();
    assert_eq!(get(&mut cache, &root, "/m/a", &limits, 2).0, 301);
    // A sibling that comes later, beside a file that stays.
    site.put("b", "plain");
    site.date("b", 1);
    let coded = ("GET", "/m/b", "Accept-Encoding: gzip\r\n");
    let mut ask = |now| given(&mut cache, &root, coded, &limits, now);
    assert_eq!(text(&ask(3)), "plain");
    site.put("b.gz", "zipped");
    assert_eq!((text(&ask(3)), text(&ask(4))), ("plain", "zipped"));
}

#[test]
fn the_bound_holds_and_who_was_not_asked_for_goes_first() {
    let site = Site::new();
    let root = site.root();
    let limits = limits(u64::MAX, 4 << 10, 64 << 10);
    let mut cache = FileCache::default();
    for file in 0..100 {
        site.put(&format!("{file}"), vec![b'x'; 4 << 10]);
        for asked in [format!("/m/{file}"), "/m/0".into()] {
            assert_eq!(get(&mut cache, &root, &asked, &limits, 0).0, 200);
            assert!(cache.bytes() <= 64 << 10, "{}", cache.bytes());
        }
    }
    for file in 0..100 {
        site.put(&format!("{file}"), "new");
    }
    let is_kept =
        |file: &u32| text(&get(&mut cache, &root, &format!("/m/{file}"), &limits, 0)) != "new";
    // Asking puts what was not kept in the place of what was: from the newest on.
    let kept: Vec<u32> = [0]
        .into_iter()
        .chain((1..100).rev())
        .filter(is_kept)
        .collect();
    assert!(kept.contains(&0), "{kept:?}");
    assert!((5..=15).contains(&kept.len()), "{kept:?}");
}

#[test]
fn what_is_above_the_bounds_or_turned_off_is_looked_up_each_time() {
    let site = Site::new();
    let root = site.root();
    site.put("a", "four");
    for limits in [
        limits(0, 1 << 10, 1 << 20),
        limits(u64::MAX, 3, 1 << 20),
        limits(u64::MAX, 1 << 10, 100),
    ] {
        let mut cache = FileCache::default();
        for content in ["1111", "2222"] {
            site.put("a", content);
            assert_eq!(text(&get(&mut cache, &root, "/m/a", &limits, 0)), content);
        }
        assert_eq!(cache.bytes(), 0);
    }
}

#[test]
fn mounts_do_not_mix() {
    let (one, other) = (Site::new(), Site::new());
    one.put("a", "one");
    other.put("a", "other");
    let (mut cache, limits) = (FileCache::default(), limits(u64::MAX, 1 << 10, 1 << 20));
    for (site, expected) in [(&one, "one"), (&other, "other")] {
        let root = site.root();
        assert_eq!(text(&get(&mut cache, &root, "/m/a", &limits, 0)), expected);
    }
}

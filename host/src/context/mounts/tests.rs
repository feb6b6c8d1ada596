use std::{convert::Infallible, sync::Arc};

use super::{BadPoint, Mount, MountKind, Mounts, Unclear, check_point};

/// Mounts at these points; the files of each are known by a number.
fn mounts(points: &[&str]) -> Mounts<usize> {
    let mut mounts = Mounts::default();
    for (number, point) in points.iter().enumerate() {
        check_point(point).unwrap();
        mounts.put(Mount {
            point: (*point).into(),
            kind: MountKind::Files(number),
            fields: Arc::default(),
        });
    }
    mounts
}

fn found<'p>(mounts: &Mounts<usize>, path: &'p str) -> Result<Option<(String, &'p str)>, Unclear> {
    let found = mounts.find(path)?;
    Ok(found.map(|(mount, rest)| (mount.point.to_string(), rest)))
}

#[test]
fn the_longest_mountpoint_wins_by_whole_segments() {
    let mounts = mounts(&["/", "/api", "/api/v1/x", "/api/v1", "/a b", "/\u{fc}"]);
    for (path, point, rest) in [
        ("/", "/", "/"),
        ("/x", "/", "/x"),
        ("/apix", "/", "/apix"),
        ("/API", "/", "/API"),
        ("/api", "/api", ""),
        ("/api/", "/api", "/"),
        ("/api/x?", "/api", "/x?"),
        ("/api/v1", "/api/v1", ""),
        ("/api/v11", "/api", "/v11"),
        ("/api/v1/xy", "/api/v1", "/xy"),
        ("/api/v1/x/y", "/api/v1/x", "/y"),
        ("/a%20b/c", "/a b", "/c"),
        ("/%c3%BC", "/\u{fc}", ""),
    ] {
        let expected = Ok(Some((point.to_owned(), rest)));
        assert_eq!(found(&mounts, path), expected, "{path}");
    }
}

#[test]
fn what_lies_below_no_mountpoint_is_nobodys() {
    let mounts = mounts(&["/api"]);
    for path in ["/", "/x", "/apix", "*", "", "api", "/x/..", "/.."] {
        assert_eq!(found(&mounts, path), Ok(None), "{path}");
    }
    assert_eq!(found(&Mounts::default(), "/x/../api"), Ok(None));
}

#[test]
fn an_escaped_letter_is_the_letter_and_the_rest_stays_as_it_came() {
    let mounts = mounts(&["/", "/api"]);
    for (path, rest) in [
        ("/%61pi/%61", "/%61"),
        ("/%61%70%69", ""),
        ("/api/%2e/a", "/%2e/a"),
        ("/api/a%2Fb", "/a%2Fb"),
        ("/api/..%2F..%2Fetc", "/..%2F..%2Fetc"),
        ("/api/a/../b", "/a/../b"),
        ("/api//b", "//b"),
    ] {
        let expected = Ok(Some(("/api".to_owned(), rest)));
        assert_eq!(found(&mounts, path), expected, "{path}");
    }
}

#[test]
fn an_encoded_slash_and_what_is_encoded_twice_are_no_way_to_another_mount() {
    let mounts = mounts(&["/", "/api", "/api/v1"]);
    for (path, point) in [
        ("/api%2Fv1", "/"),
        ("/api%2fv1/x", "/"),
        ("/api/%2Fv1", "/api"),
        ("/api/v1%2F..", "/api"),
        ("/%2561pi", "/"),
        ("/api/%252e%252e/x", "/api"),
        ("/api%00/v1", "/"),
        ("/%61p%", "/"),
        ("/%zzapi", "/"),
    ] {
        let answers = found(&mounts, path).unwrap().unwrap().0;
        assert_eq!(answers, point, "{path}");
    }
}

#[test]
fn a_path_whose_dots_or_empty_segments_lead_to_another_mount_is_taken_by_none() {
    let mounts = mounts(&["/", "/api", "/api/v1"]);
    for path in [
        "/x/../api",
        "/./api",
        "//api/x",
        "/api/../x",
        "/api/%2e%2e/x",
        "/api/.%2E",
        "/api/../api/x",
        "/api/x/../../y",
        "/api/./v1",
        "/api//v1",
        "/api/v1/..",
        "/..",
        "/x/../../y",
    ] {
        assert_eq!(found(&mounts, path), Err(Unclear), "{path}");
    }
}

/// A path normalised in another way than the table does it: text by text, by section 5.2.4 of RFC 3986.
fn normalised(path: &str) -> String {
    let mut decoded = path.replace("%2e", ".").replace("%2E", ".");
    for (escape, letter) in [("%61", "a"), ("%70", "p"), ("%69", "i")] {
        decoded = decoded.replace(escape, letter);
    }
    while decoded.contains("//") {
        decoded = decoded.replace("//", "/");
    }
    let mut out = String::new();
    let mut input = decoded.as_str();
    while !input.is_empty() {
        let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
        let (segment, rest) = input.split_at(end);
        match segment {
            "/." if rest.is_empty() => out.push('/'),
            "/." => {}
            "/.." => {
                out.truncate(out.rfind('/').unwrap_or(0));
                if rest.is_empty() {
                    out.push('/');
                }
            }
            _ => out.push_str(segment),
        }
        input = rest;
    }
    out
}

fn is_below(path: &str, point: &str) -> bool {
    let rest = path.strip_prefix(point.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[test]
fn whatever_is_answered_lies_below_its_mountpoint_and_below_no_longer_one() {
    const SEGMENTS: &[&str] = &[
        "", ".", "..", "%2e", "%2E.", "api", "%61p%69", "v1", "x", "api%2Fv1", "..%2F..", "%zz",
    ];
    let points = ["/", "/api", "/api/v1", "/x/x"];
    let tables = [mounts(&points), mounts(&points[1..])];
    let mut answered = 0;
    for number in 0..SEGMENTS.len().pow(4) {
        let mut path = String::new();
        let mut rest = number;
        for _ in 0..=number % 4 {
            path.push('/');
            path.push_str(SEGMENTS[rest % SEGMENTS.len()]);
            rest /= SEGMENTS.len();
        }
        let meant = normalised(&path);
        for table in &tables {
            let Ok(Some((mount, rest))) = table.find(&path) else {
                continue;
            };
            answered += 1;
            assert!(path.ends_with(rest), "{path}: {rest}");
            assert!(rest.is_empty() || rest.starts_with('/'), "{path}: {rest}");
            assert!(
                is_below(&meant, &mount.point),
                "{path}: {meant} by {}",
                mount.point
            );
            let longer = table.iter().find(|other| {
                other.point.len() > mount.point.len() && is_below(&meant, &other.point)
            });
            assert!(longer.is_none(), "{path}: {meant} by {}", mount.point);
        }
    }
    assert!(answered > 10_000, "{answered}");
}

#[test]
fn a_mount_takes_the_place_of_one_with_its_point() {
    let mut mounts = mounts(&["/", "/a"]);
    mounts.put(Mount {
        point: "/".into(),
        kind: MountKind::Files(9),
        fields: Arc::default(),
    });
    assert_eq!(mounts.iter().count(), 2);
    let (mount, _) = mounts.find("/x").unwrap().unwrap();
    assert_eq!(mount.kind, MountKind::Files(9));
}

#[test]
fn files_are_opened_mount_by_mount_or_not_at_all() {
    let written = mounts(&["/", "/a"]);
    let open = |mount: &Mount<usize>, files: &usize| {
        Ok::<_, Infallible>(format!("{}{files}", mount.point))
    };
    let opened = written.try_map(open).unwrap();
    let (mount, rest) = opened.find("/a/b").unwrap().unwrap();
    assert_eq!(mount.kind, MountKind::Files("/a1".to_owned()));
    assert_eq!(rest, "/b");
    let refused = written.try_map(|_, files| if *files == 0 { Err("no") } else { Ok(()) });
    assert_eq!(refused, Err("no"));
}

#[test]
fn a_text_that_is_no_mountpoint_is_refused() {
    for (point, error) in [
        ("", BadPoint::Relative),
        ("api", BadPoint::Relative),
        ("/api/", BadPoint::FinalSlash),
        ("//", BadPoint::Empty),
        ("/a//b", BadPoint::Empty),
        ("/a/../b", BadPoint::Dots),
        ("/.", BadPoint::Dots),
        ("/a?b", BadPoint::Character),
        ("/a#b", BadPoint::Character),
        ("/%61pi", BadPoint::Character),
        ("/a\n", BadPoint::Character),
    ] {
        assert_eq!(check_point(point), Err(error), "{point}");
    }
    for point in ["/", "/a", "/a/b", "/.well-known", "/a b", "/\u{fc}"] {
        assert_eq!(check_point(point), Ok(()), "{point}");
    }
}

#[test]
fn a_plain_path_finds_by_its_letters_what_it_finds_by_its_names() {
    let parts = ["", "a", "ab", "a b", "\u{fc}", "a.b", ".a", "%61", ".."];
    for points in [
        &["/"][..],
        &["/a"],
        &["/a", "/a/a", "/ab"],
        &["/", "/a b", "/a.b/a"],
    ] {
        let mounts = mounts(points);
        let mut plain = 0;
        for (one, two, three) in parts.iter().flat_map(|one| {
            let pairs = parts
                .iter()
                .flat_map(|two| parts.map(|three| (*two, three)));
            pairs
                .map(|(two, three)| (*one, two, three))
                .collect::<Vec<_>>()
        }) {
            let path = format!("/{one}/{two}/{three}");
            for path in [&path[..], &path[..one.len() + 1], &path[..one.len() + 2]] {
                if !super::is_plain(path) {
                    continue;
                }
                plain += 1;
                let found = |found: Option<(&Mount<usize>, &str)>| {
                    found.map(|(mount, rest)| (mount.point.to_string(), rest.to_owned()))
                };
                let by_names = mounts.find_spelled(path).map(found);
                assert_eq!(by_names, Ok(found(mounts.find_plain(path))), "{path}");
            }
        }
        assert!(plain > 500, "{plain}");
    }
}

#[test]
fn a_path_is_plain_unless_something_odd_stands_anywhere_in_it() {
    let plain = "/a/b.c/long-segment/of.a/path/";
    assert!(super::is_plain(plain));
    for (place, byte) in plain.bytes().enumerate() {
        let with = |more: &str| [&plain[..place], more, &plain[place..]].concat();
        assert!(!super::is_plain(&with("%")), "{place}");
        for odd in ["//", "/.", "/.."] {
            assert!(!super::is_plain(&with(odd)), "{odd} at {place}");
        }
        // A slash before another one or before a dot, and nowhere else.
        let is_odd = matches!(byte, b'/' | b'.') || plain[..place].ends_with('/');
        assert_eq!(super::is_plain(&with("/")), !is_odd, "{place}");
    }
}

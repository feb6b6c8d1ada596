use std::path::{Path, PathBuf};

use crate::access_log::{Format, Settings};
use crate::config::{Config, Overrides, resolve};
use crate::context::files::{FilesFrom, FilesMount};
use crate::context::mounts::MountKind;
use crate::context::own_fields::OwnFields;

fn good(text: &str) -> Config {
    resolve(Path::new("conf/c.json"), text, &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What is said about these mounts; the first line of each fault without its place, and the mend.
fn told(mounts: &str) -> Vec<(String, String)> {
    let text = format!(r#"{{"mounts": {mounts}}}"#);
    let error = resolve(Path::new("c.json"), &text, &Overrides::default()).unwrap_err();
    let faults = error.faults.iter().map(|fault| {
        let fault = fault.to_string();
        let first = fault.lines().next().and_then(|line| line.split_once(": "));
        let last = fault.lines().last().map(|line| line.trim().to_owned());
        (first.unwrap().1.to_owned(), last.unwrap())
    });
    faults.collect()
}

#[track_caller]
fn assert_fault(mounts: &str, cause: &str, mend: &str) {
    assert_eq!(told(mounts), [(cause.to_owned(), mend.to_owned())]);
}

#[test]
fn every_kind_of_mount_is_understood() {
    let config = good(
        r#"{"mounts": {
            "/": {"files": "www"},
            "/docs": {
                "files": "/srv/docs", "index": ["a.html", "b.html"], "types": {"MD": "text/markdown; charset=utf-8"},
                "cache_control": "max-age=60", "precompressed": false, "follow_links": true,
                "fields": {"X-Team": "web", "Link": "</a>; rel=\"b\""},
            },
            "/old": {"redirect": "/new"},
            "/older": {"redirect": "https://example.org/", "status": 301},
            "/healthz": {"status": 200, "text": "ok"},
            "/gone": {"status": 410},
            "/api": {"protocol": "cgi"},
            "/api/upload": {"protocol": "form", "body_bytes": 1048576},
        }}"#,
    );
    let kind = |path: &str| {
        let (mount, rest) = config.default.mounts.find(path).unwrap().unwrap();
        assert_eq!(rest, "");
        mount.kind.clone()
    };
    let MountKind::Files(files) = config
        .default
        .mounts
        .find("/x")
        .unwrap()
        .unwrap()
        .0
        .kind
        .clone()
    else {
        panic!()
    };
    assert_eq!(files, FilesMount::new("conf/www"));
    assert_eq!(files.index, ["index.html"]);
    assert!(files.precompressed && !files.follow_links);
    let MountKind::Files(files) = kind("/docs") else {
        panic!()
    };
    assert_eq!(files.from, FilesFrom::Directory("/srv/docs".into()));
    assert_eq!(files.index, ["a.html", "b.html"]);
    assert_eq!(files.types["md"], "text/markdown; charset=utf-8");
    assert_eq!(files.cache_control.as_deref(), Some("max-age=60"));
    assert!(!files.precompressed && files.follow_links);
    let (docs, _) = config.default.mounts.find("/docs").unwrap().unwrap();
    assert_eq!(
        docs.fields.as_bytes(),
        b"X-Team: web\r\nLink: </a>; rel=\"b\"\r\n"
    );
    let MountKind::Redirect(old) = kind("/old") else {
        panic!()
    };
    assert_eq!(
        (old.status(), old.location("", "", None)),
        (308, Some("/new".into()))
    );
    let MountKind::Redirect(older) = kind("/older") else {
        panic!()
    };
    assert_eq!(older.status(), 301);
    let status = |status, text: Option<&str>| MountKind::Status {
        status,
        text: text.map(Into::into),
    };
    assert_eq!(kind("/healthz"), status(200, Some("ok")));
    assert_eq!(kind("/gone"), status(410, None));
    let protocol = |name: &str, body_bytes| MountKind::Protocol {
        name: name.into(),
        body_bytes,
    };
    assert_eq!(kind("/api"), protocol("cgi", None));
    assert_eq!(kind("/api/upload"), protocol("form", Some(1 << 20)));
}

#[test]
fn what_is_set_beside_the_mounts_is_understood() {
    let config = good(
        r#"{
            "default_http": "cgi", "error_pages": {"404": "404.html", "503": "/srv/503.html"},
            "security_headers": true, "server_header": true,
            "access_log": {"file": "access.log", "format": "json"},
        }"#,
    );
    assert_eq!(config.default.default_http.as_deref(), Some("cgi"));
    assert_eq!(config.default.error_pages[&404], Path::new("conf/404.html"));
    assert_eq!(config.default.error_pages[&503], Path::new("/srv/503.html"));
    let all = OwnFields {
        security: true,
        server: true,
    };
    assert_eq!(config.default.own_fields, all);
    let settings = |file: Option<&str>, format| {
        Some(Settings {
            file: file.map(PathBuf::from),
            format,
        })
    };
    assert_eq!(
        config.default.access_log,
        settings(Some("conf/access.log"), Format::Json)
    );
    let config = good(r#"{"access_log": {"file": "-"}}"#);
    assert_eq!(config.default.access_log, settings(None, Format::Combined));
}

#[test]
fn the_example_of_the_operators_page_is_understood() {
    const PAGE: &str = include_str!("../../../../docs/operating.md");
    let section = PAGE.split("\n## HTTP: mounts\n").nth(1).unwrap();
    let example = section.split("```").nth(1).unwrap();
    let config = good(example.strip_prefix("jsonc").unwrap());
    assert_eq!(config.default.mounts.iter().count(), 4);
    assert!(config.default.access_log.is_some() && config.default.own_fields.security);
}

#[test]
fn without_a_word_nothing_is_mounted_added_or_logged() {
    let config = good("{}");
    assert!(config.default.mounts.is_empty() && config.default.error_pages.is_empty());
    assert_eq!(
        (config.default.default_http, config.default.access_log),
        (None, None)
    );
    assert_eq!(config.default.own_fields, OwnFields::default());
}

#[test]
fn a_directory_named_outside_of_the_file_takes_the_place_of_the_mount_at_the_root() {
    let text = r#"{"mounts": {"/": {"status": 404}, "/a": {"status": 200}}}"#;
    let variables =
        Overrides::from_environment(|name| (name == "HOTSOCKET_WWW").then(|| "env".into()));
    let flags = Overrides {
        www: Some(PathBuf::from("flag")),
        ..Overrides::default()
    };
    for (overrides, root) in [
        (variables.clone().unwrap(), "env"),
        (flags.or(variables.unwrap()), "flag"),
    ] {
        let config = resolve(Path::new("conf/c.json"), text, &overrides).unwrap();
        assert_eq!(config.default.mounts.iter().count(), 2);
        let (mount, _) = config.default.mounts.find("/x").unwrap().unwrap();
        let files = FilesMount::new(root);
        assert_eq!(mount.kind, MountKind::Files(files));
    }
}

#[test]
fn a_mountpoint_is_judged_as_a_path() {
    let status = |point: &str| format!(r#"{{"{point}": {{"status": 404}}}}"#);
    assert_fault(
        &status("api"),
        "the mountpoint `api` does not begin with `/`",
        "write `/api`",
    );
    assert_fault(
        &status("/api/"),
        "the mountpoint `/api/` ends with `/`",
        "write `/api`, which takes `/api/` too",
    );
    assert_fault(
        &status("/a/../b"),
        "the mountpoint `/a/../b` has a dot segment",
        "write the path that is meant",
    );
    assert_fault(
        r#"{"/a": {"status": 404}, "/a": {"status": 200}}"#,
        "the key `/a` is written twice",
        "leave one of them out",
    );
}

#[test]
fn a_mount_is_of_exactly_one_kind() {
    assert_fault(
        r#"{"/": {"index": ["a"]}}"#,
        "the mount `/` does not say what answers",
        "write one of `files`, `zip`, `redirect`, `protocol` and `status`",
    );
    assert_fault(
        r#"{"/": {"files": "www", "redirect": "/new"}}"#,
        "`/` has both `files` and `redirect`",
        "leave one of them out",
    );
    assert_fault(
        r#"{"/": {"protocol": "a", "status": 200}}"#,
        "`/` has both `protocol` and `status`",
        "leave one of them out",
    );
    assert_fault(
        r#"{"/": {"file": "www"}}"#,
        "unknown key `file`",
        "did you mean `files`?",
    );
    assert_fault(
        r#"{"/": {"files": "www", "indx": ["a"]}}"#,
        "unknown key `indx`",
        "did you mean `index`?",
    );
    assert_fault(
        r#"{"/old": {"redirect": "/new", "text": "moved"}}"#,
        "unknown key `text`",
        "known here are `redirect`, `status` and `fields`",
    );
    assert_fault(
        r#"{"/": "www"}"#,
        "`/` is an object, not a string",
        "write for example { ... }",
    );
}

#[cfg(feature = "zip")]
#[test]
fn an_archive_has_the_keys_of_a_directory_but_for_links() {
    let text = r#"{"mounts": {"/": {"zip": "a/site.zip", "index": ["home.html"], "precompressed": false}}}"#;
    let config = good(text);
    let (mount, _) = config.default.mounts.find("/").unwrap().unwrap();
    let MountKind::Files(files) = &mount.kind else {
        panic!()
    };
    assert_eq!(files.from, FilesFrom::Zip("conf/a/site.zip".into()));
    assert!(files.index == ["home.html"] && !files.precompressed);
    let told = told(r#"{"/": {"zip": "a.zip", "follow_links": true}}"#);
    assert_eq!(told[0].0, "unknown key `follow_links`");
    assert_fault(
        r#"{"/": {"zip": "a.zip", "files": "www"}}"#,
        "`/` has both `zip` and `files`",
        "leave one of them out",
    );
}

#[cfg(not(feature = "zip"))]
#[test]
fn a_host_that_was_built_without_archives_says_so() {
    assert_fault(
        r#"{"/": {"zip": "a.zip"}}"#,
        "this host was built without zip archives",
        "build it with the feature `zip`, or unpack the archive and write `files`",
    );
}

#[test]
fn a_redirect_is_to_another_place_with_a_status_of_redirects() {
    assert_fault(
        r#"{"/old": {"redirect": "/new", "status": 200}}"#,
        "the `status` of a redirect cannot be 200",
        "write 301, 302, 303, 307 or 308, or leave the key out for 308",
    );
    assert_fault(
        r#"{"/old": {"redirect": "//example.org"}}"#,
        "the target `//example.org` begins with `//`, which browsers take for a host",
        "write one slash for a path here, or \"https://\" and the host",
    );
    assert_fault(
        r#"{"/": {"redirect": "/new"}}"#,
        "`/` redirects to itself, since it takes /new",
        "redirect to another host, or to a path below another mount",
    );
    good(r#"{"mounts": {"/": {"redirect": "/new"}, "/new": {"files": "www"}}}"#);
}

#[test]
fn a_status_is_one_that_an_answer_without_more_can_have() {
    assert_fault(
        r#"{"/": {"status": 302}}"#,
        "the `status` of a mount cannot be 302",
        "write `redirect`, and `status` beside it",
    );
    assert_fault(
        r#"{"/": {"status": 101}}"#,
        "the `status` of a mount cannot be 101",
        "write a number from 200 to 299, or from 400 to 599",
    );
    assert_fault(
        r#"{"/": {"status": 204, "text": "ok"}}"#,
        "an answer with 204 has no content",
        "leave `text` out, or write 200",
    );
}

#[test]
fn what_becomes_a_field_is_judged_as_one() {
    let fields = |fields: &str| format!(r#"{{"/": {{"status": 200, "fields": {fields}}}}}"#);
    assert_fault(
        &fields(r#"{"X Team": "web"}"#),
        "the field `X Team`: the name is no token",
        "write a name as \"X-Team\"",
    );
    assert_fault(
        &fields(r#"{"X-Team": "a\r\nSet-Cookie: b"}"#),
        "the field `X-Team`: the value has a control character",
        "write the value without control characters",
    );
    assert_fault(
        &fields(r#"{"content-length": "1"}"#),
        "the field `content-length`: the field is the host's own",
        "leave it out",
    );
    assert_fault(
        r#"{"/": {"files": "www", "cache_control": "a\nb"}}"#,
        "`cache_control` is no value of a field",
        "write for example \"max-age=60\"",
    );
    assert_fault(
        r#"{"/": {"files": "www", "types": {"md": "markdown"}}}"#,
        "`markdown` is no media type",
        "write for example \"text/markdown\"",
    );
    assert_fault(
        r#"{"/": {"files": "www", "types": {".md": "text/markdown"}}}"#,
        "`.md` is no extension of a file",
        "write it without dots, as \"md\"",
    );
    assert_fault(
        r#"{"/": {"files": "www", "index": ["../a"]}}"#,
        "`../a` is no name of a file",
        "write a name without slashes, as \"index.html\"",
    );
}

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use tracing::level_filters::LevelFilter;

use super::{Config, ControlPlace, ListenAddress, LogFormat, Overrides, load, resolve};
use crate::limits::Limits;
use crate::net::unix_socket::UnixSettings;

fn good(text: &str) -> Config {
    resolve(
        Path::new("conf/hotsocket.json"),
        text,
        &Overrides::default(),
    )
    .unwrap_or_else(|error| panic!("{error}"))
}

fn addresses(config: &Config) -> Vec<ListenAddress> {
    let listeners = config.listen.iter();
    listeners.map(|listener| listener.address.clone()).collect()
}

/// What is said about `text`.
fn fault(text: &str) -> String {
    resolve(Path::new("hotsocket.json"), text, &Overrides::default())
        .unwrap_err()
        .to_string()
}

fn environment(variables: &[(&str, &str)]) -> Result<Overrides, super::ConfigError> {
    Overrides::from_environment(|name| {
        variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn without_a_file_the_defaults_hold() {
    let config = load(None, &Overrides::default()).unwrap();
    assert_eq!(addresses(&config), ["127.0.0.1:7681".parse().unwrap()]);
    let usual = cfg!(feature = "plugin-files").then_some(Path::new("plugins"));
    assert_eq!(config.plugins.as_deref(), usual);
    assert!(config.threads >= 1);
    assert_eq!(config.control, Some(ControlPlace::Usual));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.log.level, LevelFilter::INFO);
}

#[test]
fn what_a_file_leaves_out_stays_as_without_one() {
    let config = good(r#"{"limits": {"message_bytes": 1024}}"#);
    let limits = Limits {
        message_bytes: 1024,
        ..Limits::default()
    };
    assert_eq!(
        config,
        Config {
            limits,
            ..load(None, &Overrides::default()).unwrap()
        }
    );
    assert_eq!(good("// nothing"), good("{}"));
}

#[test]
fn every_key_is_understood() {
    let config = good(
        r#"{
            "$schema": "https://example.org/hotsocket.schema.json",
            // Comments and trailing commas are allowed.
            "listen": ["127.0.0.1:0", "[::1]:7681"],
            "plugins": "../lib",
            "threads": 3,
            "control": "/run/hotsocket.sock",
            "default_protocol": "echo",
            "allowed_origins": ["https://Example.org:443", "*"],
            "protocols": {"increment": {"options": {"period_ms": 50, "names": ["a", null, -1.5]}}, "echo": {}},
            "limits": {"high_mark_bytes": 4096, "low_mark_bytes": 0},
            "log": {
                "level": "warn", "format": "json",
                "targets": {"hotsocket::net": "debug"}, "plugins": {"echo": "off"},
            },
        }"#,
    );
    assert_eq!(
        addresses(&config),
        [
            "127.0.0.1:0".parse().unwrap(),
            "[::1]:7681".parse().unwrap()
        ]
    );
    assert_eq!(config.plugins.as_deref(), Some(Path::new("conf/../lib")));
    assert_eq!(config.threads, 3);
    assert_eq!(
        config.control.as_ref().and_then(ControlPlace::path),
        Some(Path::new("/run/hotsocket.sock"))
    );
    assert_eq!(config.default.default_protocol.as_deref(), Some("echo"));
    assert_eq!(config.default.allowed_origins, ["https://example.org", "*"]);
    let options = |name: &str| config.default.protocols[name].options.to_string();
    assert_eq!(
        options("increment"),
        r#"{"names":["a",null,-1.5],"period_ms":50}"#
    );
    assert_eq!(options("echo"), "{}");
    assert_eq!(
        (config.limits.high_mark_bytes, config.limits.low_mark_bytes),
        (4096, 0)
    );
    assert_eq!(
        (config.log.level, config.log.format),
        (LevelFilter::WARN, LogFormat::Json)
    );
    assert_eq!(config.log.targets["hotsocket::net"], LevelFilter::DEBUG);
    assert_eq!(config.log.plugins["echo"], LevelFilter::OFF);
}

#[test]
fn every_limit_can_be_written() {
    for key in Limits::KEYS {
        let bound = match *key {
            "per_field_bytes" => r#"{"Cookie": 300000000000}"#,
            _ => "300000000000",
        };
        let text = format!(r#"{{"limits": {{"{key}": {bound}}}}}"#);
        let written = resolve(Path::new("c"), &text, &Overrides::default());
        let refused_with =
            |error: super::ConfigError| error.to_string().contains("is above").then_some(());
        written
            .map(drop)
            .or_else(|error| refused_with(error).ok_or(key))
            .unwrap();
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = r#"{"listen": ["127.0.0.1:1"], "plugins": "/file", "threads": 1, "log": {"level": "error"}}"#;
    let environment = environment(&[
        ("HOTSOCKET_LISTEN", "127.0.0.1:2, [::1]:2"),
        ("HOTSOCKET_PLUGINS", "/environment"),
        ("HOTSOCKET_THREADS", ""),
        (
            "HOTSOCKET_LOG",
            "debug,hotsocket::net=trace,plugin:echo=off",
        ),
    ])
    .unwrap();
    let flags = Overrides {
        listen: Some(vec!["127.0.0.1:3".parse().unwrap()]),
        ..Overrides::default()
    };

    let config = resolve(Path::new("c"), text, &flags.or(environment)).unwrap();
    assert_eq!(addresses(&config), ["127.0.0.1:3".parse().unwrap()]);
    assert_eq!(config.plugins.as_deref(), Some(Path::new("/environment")));
    assert_eq!(config.threads, 1);
    assert_eq!(config.log.level, LevelFilter::DEBUG);
    assert_eq!(config.log.targets["hotsocket::net"], LevelFilter::TRACE);
    assert_eq!(config.log.plugins["echo"], LevelFilter::OFF);
}

#[test]
fn a_wrong_variable_is_named() {
    let error = environment(&[
        ("HOTSOCKET_LISTEN", "localhost:80"),
        ("HOTSOCKET_THREADS", "0"),
        ("HOTSOCKET_LOG", "x"),
    ]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "HOTSOCKET_LISTEN: `localhost:80` is no address and port to listen on
  write `127.0.0.1:80` or `[::1]:80`
HOTSOCKET_THREADS: 0 service threads would serve nobody
  write a whole number from 1
HOTSOCKET_LOG: `x` is no log level; write off, error, warn, info, debug or trace
  write LEVEL, TARGET=LEVEL or plugin:NAME=LEVEL, separated by commas"
    );
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_right_one() {
    assert_eq!(
        fault("{\n  \"log\": {},\n  \"limts\": {}\n}"),
        "hotsocket.json:3:3: unknown key `limts`
    \"limts\": {}
    ^^^^^^^
  did you mean `limits`?"
    );
    assert_eq!(
        fault(r#"{"limits": {"mesage_byte": 1}}"#),
        "hotsocket.json:1:13: unknown key `mesage_byte`
  {\"limits\": {\"mesage_byte\": 1}}
              ^^^^^^^^^^^^^
  did you mean `message_bytes`?"
    );
    assert_eq!(
        fault(r#"{"log": {"colour": true}}"#),
        "hotsocket.json:1:10: unknown key `colour`
  {\"log\": {\"colour\": true}}
           ^^^^^^^^
  known here are `level`, `format`, `file`, `targets` and `plugins`"
    );
}

#[test]
fn a_wrong_type_says_what_is_expected() {
    assert_eq!(
        fault(r#"{"listen": "127.0.0.1:7681"}"#),
        "hotsocket.json:1:12: `listen` is a list of addresses, not a string
  {\"listen\": \"127.0.0.1:7681\"}
             ^^^^^^^^^^^^^^^^
  write for example [\"127.0.0.1:7681\"]"
    );
    assert_eq!(
        fault(r#"{"limits": {"message_bytes": "16 MiB"}}"#),
        "hotsocket.json:1:30: `message_bytes` is a whole number, not a string
  {\"limits\": {\"message_bytes\": \"16 MiB\"}}
                               ^^^^^^^^
  write for example 1000"
    );
    assert!(fault("[]").contains("`config` is an object, not a list"));
    assert!(fault(r#"{"threads": 1.5}"#).contains("`threads` is a whole number from 0 to"));
    assert!(fault(r#"{"threads": -1}"#).contains("not -1"));
}

#[test]
fn a_wrong_value_says_what_is_allowed() {
    assert_eq!(
        fault(r#"{"log": {"level": "wran"}}"#),
        "hotsocket.json:1:19: `level` cannot be `wran`
  {\"log\": {\"level\": \"wran\"}}
                    ^^^^^^
  did you mean `warn`?"
    );
    assert_eq!(
        fault(r#"{"log": {"format": "pretty"}}"#),
        "hotsocket.json:1:20: `format` cannot be `pretty`
  {\"log\": {\"format\": \"pretty\"}}
                     ^^^^^^^^
  known here are `auto`, `human` and `json`"
    );
    assert!(fault(r#"{"threads": 0}"#).contains("`threads` cannot be 0"));
    assert!(
        fault(r#"{"allowed_origins": ["example.org"]}"#).contains("`example.org` is no origin")
    );
}

#[test]
fn a_wrong_address_says_what_to_write() {
    let mend = |address: &str| {
        let said = fault(&format!(r#"{{"listen": ["{address}"]}}"#));
        said.lines().last().unwrap().trim().to_owned()
    };
    assert_eq!(mend("127.0.0.1"), "add the port: `127.0.0.1:7681`");
    assert_eq!(mend("::1"), "add the port: `[::1]:7681`");
    assert_eq!(
        mend(":80"),
        "write `0.0.0.0:80` or `[::]:80` for all addresses"
    );
    assert_eq!(mend("localhost:80"), "write `127.0.0.1:80` or `[::1]:80`");
    assert_eq!(
        mend("127.0.0.1:x"),
        "a port is a number from 0 to 65535; 0 takes a free one"
    );
    assert_eq!(
        mend("example.org:80"),
        "write a numeric address, as in `127.0.0.1:80` or `[::1]:80`; names are not looked up"
    );
    assert!(good(r#"{"listen": []}"#).listen.is_empty());
    assert!(fault(r#"{"listen": ["127.0.0.1:1", "127.0.0.1:1"]}"#).contains("is listed twice"));
    assert_eq!(
        good(r#"{"listen": ["127.0.0.1:0", "127.0.0.1:0"]}"#)
            .listen
            .len(),
        2
    );
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    assert_eq!(
        fault("{\"limits\": {\n\t\"low_mark_bytes\": 2000000\n}}"),
        "hotsocket.json:2:20: `low_mark_bytes` (2000000) is above `high_mark_bytes` (1048576)
  \t\"low_mark_bytes\": 2000000
  \t                  ^^^^^^^
  raise the high mark or lower the low mark"
    );
}

#[test]
fn a_key_written_twice_is_refused() {
    assert!(
        fault(r#"{"threads": 1, "threads": 2}"#)
            .contains("1:16: the key `threads` is written twice")
    );
    let nested = r#"{"protocols": {"echo": {"options": {"a": {"b": 1, "b": 2}}}}}"#;
    assert!(fault(nested).contains("the key `b` is written twice"));
}

#[test]
fn what_is_not_json_is_shown_where_it_goes_wrong() {
    assert_eq!(
        fault("{\n  \"threads\": 1\n  \"listen\": []\n}"),
        "hotsocket.json:2:15: expected comma
    \"threads\": 1
                ^
  write JSON; comments and trailing commas are allowed"
    );
    for text in [
        "{",
        "{'a': 1}",
        "{a: 1}",
        r#"{"threads": 0x10}"#,
        "{} {}",
        "{\"listen\": [\"a}",
        "\u{1}",
    ] {
        assert!(fault(text).starts_with("hotsocket.json:1:"), "{text}");
    }
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let error = resolve(
        Path::new("c"),
        r#"{"thread": 1, "plugins": "", "listen": [7681]}"#,
        &Overrides::default(),
    );
    assert_eq!(error.unwrap_err().faults.len(), 3);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.json");
    let missing = load(Some(&path), &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("c.json: cannot be read: No such file"),
        "{missing}"
    );
    fs::write(&path, b"\xff").unwrap();
    let not_text = load(Some(&path), &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(not_text.contains("is not UTF-8"), "{not_text}");
    fs::write(&path, "\u{feff}{}").unwrap();
    load(Some(&path), &Overrides::default()).unwrap();
}

#[test]
fn a_file_cut_or_changed_anywhere_is_no_panic() {
    let text = r#"{"listen": ["ä:1"], /* é */ "log": {"targets": {"☃": "debug"}}, "limits": {"message_bytes": 1e3}}"#;
    for (at, _) in text.char_indices() {
        let _ = resolve(Path::new("c"), &text[..at], &Overrides::default());
        for put in ["☃", "\"", "{", "\r\n", "\\u12"] {
            let changed = format!("{}{put}{}", &text[..at], &text[at..]);
            let _ = resolve(Path::new("c"), &changed, &Overrides::default())
                .map_err(|error| error.to_string());
        }
    }
}

#[test]
fn a_long_line_is_shown_near_the_fault() {
    let said = fault(&format!(
        r#"{{"protocols": {{"{}": {{}}}}, "limts": 1, "x": "{}"}}"#,
        "p".repeat(500),
        "y".repeat(500)
    ));
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[..3].iter().all(|line| line.chars().count() <= 122),
        "{said}"
    );
    assert_eq!(
        lines[1].find("\"limts\""),
        lines[2].find("^^^^^^^"),
        "{said}"
    );
}

#[test]
fn unix_sockets_are_written_as_strings_and_as_objects() {
    let config = good(
        r#"{"listen": ["unix:a.sock", "127.0.0.1:80", {"unix": "/run/b.sock", "mode": "0600", "owner": "7", "group": "8"}]}"#,
    );
    let socket = |path: &str, mode, owner, group| {
        ListenAddress::Unix(UnixSettings {
            path: path.into(),
            mode,
            owner,
            group,
        })
    };
    assert_eq!(
        addresses(&config),
        [
            socket("conf/a.sock", 0o660, None, None),
            "127.0.0.1:80".parse().unwrap(),
            socket("/run/b.sock", 0o600, Some(7), Some(8)),
        ]
    );
    let flag: ListenAddress = "unix:a.sock".parse().unwrap();
    assert_eq!(flag, socket("a.sock", 0o660, None, None));
    assert_eq!(flag.to_string(), "unix:a.sock");
}

#[test]
fn the_owner_of_a_unix_socket_is_looked_up_by_name() {
    let config = good(r#"{"listen": [{"unix": "a", "owner": "root", "group": "root"}]}"#);
    let ListenAddress::Unix(socket) = &config.listen[0].address else {
        panic!("{config:?}");
    };
    assert_eq!((socket.owner, socket.group), (Some(0), Some(0)));
}

#[test]
fn keepalive_is_set_for_each_address() {
    let config = good(
        r#"{"listen": ["127.0.0.1:1", {"address": "127.0.0.1:2", "keepalive_s": 5}, {"address": "[::1]:3", "keepalive_s": 0}]}"#,
    );
    let seconds: Vec<_> = addresses(&config)
        .into_iter()
        .map(|address| match &address {
            ListenAddress::Inet(settings) => settings.keepalive_s,
            _ => panic!("{address}"),
        })
        .collect();
    assert_eq!(seconds, [60, 5, 0]);
}

#[test]
fn trusted_proxies_are_networks_and_what_is_none_is_refused_with_its_place() {
    let config = good(r#"{"trusted_proxies": ["10.0.0.0/8", "::1"]}"#);
    let written: Vec<_> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(written, ["10.0.0.0/8", "::1/128"]);
    for (network, told) in [
        ("proxy", "`proxy` does not begin with an IP address"),
        (
            "10.0.0.0/64",
            "`10.0.0.0/64` does not end with a number of bits",
        ),
        ("10.1.2.3/8", "write \"10.0.0.0/8\""),
    ] {
        let said = fault(&format!("{{\n  \"trusted_proxies\": [\"{network}\"]\n}}"));
        assert!(said.contains("hotsocket.json:2:23"), "{said}");
        assert!(said.contains(told), "{said}");
    }
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use serde_json::json;

use super::args::{Args, Command, LogArgs, PluginCommand, ServeArgs};
use super::{check, commands, exit_code, print};
use crate::config::Overrides;
use crate::context::hub::SlowPolicy;
use crate::control::ClientError;

fn typed(line: &str) -> Result<Command, String> {
    let words = std::iter::once("hotsocket").chain(line.split_whitespace());
    Args::try_parse_from(words)
        .map(|args| args.command)
        .map_err(|error| error.to_string())
}

#[test]
fn the_commands_fit_together() {
    Args::command().debug_assert();
}

#[test]
fn serve_takes_the_flags_of_the_config() {
    assert_eq!(typed("serve"), Ok(Command::Serve(ServeArgs::default())));
    let line = "serve --config c.json --listen 127.0.0.1:0 --listen [::1]:80 --plugins p --threads 2 --control s --www w";
    let Ok(Command::Serve(args)) = typed(line) else {
        panic!()
    };
    assert_eq!(args.config.as_deref(), Some(Path::new("c.json")));
    let said = Overrides {
        listen: Some(vec![
            "127.0.0.1:0".parse().unwrap(),
            "[::1]:80".parse().unwrap(),
        ]),
        plugins: Some(PathBuf::from("p")),
        threads: Some(2),
        control: Some(PathBuf::from("s")),
        www: Some(PathBuf::from("w")),
        ..Overrides::default()
    };
    assert_eq!(args.overrides(), said);
    assert_eq!(ServeArgs::default().overrides(), Overrides::default());
}

#[test]
fn a_wrong_flag_says_what_to_write() {
    assert!(
        typed("serve --listen localhost:80")
            .unwrap_err()
            .contains("write `127.0.0.1:80` or `[::1]:80`")
    );
    assert!(
        typed("serve --threads 0")
            .unwrap_err()
            .contains("would serve nobody")
    );
    assert!(
        typed("log loud")
            .unwrap_err()
            .contains("`loud` is no log level")
    );
    assert!(typed("log --target t").is_err());
    assert!(typed("log debug --target t --plugin p").is_err());
}

#[test]
fn the_other_commands_are_understood() {
    assert_eq!(typed("version"), Ok(Command::Version { json: false }));
    assert_eq!(
        typed("plugin reload echo --force"),
        Ok(Command::Plugin(PluginCommand::Reload {
            name: "echo".to_owned(),
            force: true,
            control: None
        }))
    );
    assert_eq!(
        typed("log default --plugin echo --control s"),
        Ok(Command::Log(LogArgs {
            level: Some("default".to_owned()),
            target: None,
            plugin: Some("echo".to_owned()),
            control: Some(PathBuf::from("s")),
        }))
    );
}

#[test]
fn not_a_single_live_host_ends_with_2() {
    let code = |error: Box<dyn std::error::Error>| format!("{:?}", exit_code(error.as_ref()));
    assert_eq!(
        code(ClientError::NoHost(vec![]).into()),
        format!("{:?}", ExitCode::from(2))
    );
    assert_eq!(
        code(ClientError::SeveralHosts(vec![]).into()),
        format!("{:?}", ExitCode::from(2))
    );
    assert_eq!(
        code("anything else".into()),
        format!("{:?}", ExitCode::from(1))
    );
}

#[test]
fn plugins_are_listed_in_columns() {
    let plugins = json!([
        {"name": "echo", "version": "1.0.0", "generation": 1, "state": "draining", "sessions": 12, "http": [], "file": "p/libecho.so",
         "last_error": null},
        {"name": "ch\u{1b}at", "version": "2", "generation": 10, "state": "serving", "sessions": 0, "http": ["chat", "forms"], "file": "c.so",
         "last_error": "init: no room"},
    ]);
    assert_eq!(
        commands::plugin_table(&plugins),
        "\
NAME        VERSION  GENERATION  STATE     SESSIONS  HTTP         FILE          LAST ERROR
echo        1.0.0    1           draining  12                     p/libecho.so
ch\\u{1b}at  2        10          serving   0         chat, forms  c.so          init: no room"
    );
    assert_eq!(print::table(&["A", "B"], &[]), "A  B");
    assert_eq!(commands::counter_table(&plugins), "");
}

#[test]
fn counters_are_listed_once_for_all_generations() {
    let counters = json!({"a\u{1b}": 1, "seen": 12});
    let plugins = json!([
        {"name": "echo", "generation": 1, "counters": counters},
        {"name": "echo", "generation": 2, "counters": counters},
        {"name": null, "counters": {}},
    ]);
    assert_eq!(
        commands::counter_table(&plugins),
        "\n\nPLUGIN  COUNTER  VALUE\necho    a\\u{1b}  1\necho    seen     12"
    );
}

#[test]
fn publish_takes_a_protocol_and_how_to_send() {
    let Ok(Command::Publish(args)) = typed("publish --protocol chat --vhost v --line --slow drop")
    else {
        panic!("it is understood");
    };
    assert_eq!(
        (&*args.protocol, args.vhost.as_deref()),
        ("chat", Some("v"))
    );
    assert!(args.line && !args.binary && args.slow == Some(SlowPolicy::Drop));
    assert!(typed("publish").unwrap_err().contains("--protocol"));
    let wrong = typed("publish --protocol chat --slow wait").unwrap_err();
    assert!(wrong.contains("write `drop` or `close`"), "{wrong}");
    assert!(typed("publish --protocol chat --notify --binary").is_err());
}

#[test]
fn levels_are_shown_one_a_line() {
    let log = json!({"level": "info", "targets": {"hotsocket::net": "debug"}, "plugins": {"echo": "off"}});
    assert_eq!(
        commands::level_lines(&log),
        "info\ntarget hotsocket::net debug\nplugin echo off"
    );
}

#[test]
fn check_looks_at_every_plugin_file() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["good.so", "bad.so", "notes.txt"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let inspect: super::Inspect = |file| {
        if file.ends_with("bad.so") {
            return Err("bad".into());
        }
        assert!(file.ends_with("good.so"));
        let [plugin, version, abi, toolchain] = ["echo", "1", "0.1", "rustc"].map(str::to_owned);
        Ok(super::Inspected {
            plugin,
            version,
            abi,
            toolchain,
            protocols: vec!["echo".to_owned()],
            session_bytes: BTreeMap::new(),
            http: Vec::new(),
            extensions: Vec::new(),
            policies: Vec::new(),
        })
    };
    let refused = check::check(None, Some(directory.path().to_owned()), inspect).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "1 of the plugin files would be refused"
    );
    std::fs::remove_file(directory.path().join("bad.so")).unwrap();
    check::check(None, Some(directory.path().to_owned()), inspect).unwrap();
}

use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing::{debug, error, info, trace};

use super::{LogControl, LogScope, Place, Printer};
use crate::config::{LogConfig, LogFormat};

/// What `log` writes.
fn written(config: &LogConfig, log: impl FnOnce(&LogControl)) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let printer = Printer {
        terminal: false,
        colour: false,
        sink: Box::new(move |line| sink.lock().unwrap().push(format!("{}\n", line.text))),
    };
    let control = LogControl::new(config, Some(Place::new(printer)));
    with_default(control.subscriber(), || log(&control));
    let lines = lines.lock().unwrap();
    lines.clone()
}

fn human() -> LogConfig {
    LogConfig {
        format: LogFormat::Human,
        ..LogConfig::default()
    }
}

/// A line without its time.
fn rest(line: &str) -> &str {
    line.split_once('Z').unwrap().1
}

#[test]
fn a_line_for_eyes_has_time_level_target_text_and_fields() {
    let lines = written(
        &human(),
        |_| info!(target: "hotsocket::net", port = 80, peer = "a b", "bound"),
    );
    assert_eq!(lines.len(), 1);
    assert_eq!(
        rest(&lines[0]),
        "  INFO hotsocket::net: bound port=80 peer=\"a b\"\n"
    );
    // RFC 3339, UTC.
    assert_eq!(&lines[0][4..5], "-");
    assert_eq!(&lines[0][10..11], "T");
}

#[test]
fn a_json_line_is_one_object() {
    let lines = written(&LogConfig::default(), |_| {
        let cause = std::io::Error::other("inner\u{9b}31m");
        error!(target: "t", error = &cause as &dyn std::error::Error, time = 1, "bad\n{}", "\x7f");
    });
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].chars().all(|c| !c.is_control() || c == '\n') && lines[0].ends_with("}\n"),
        "{}",
        lines[0]
    );
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (&line["level"], &line["target"]),
        (&"error".into(), &"t".into())
    );
    assert_eq!(line["message"], "bad\n\x7f");
    assert_eq!(line["error"], "inner\u{9b}31m");
    assert_eq!(line["field_time"], 1);
}

#[test]
fn a_line_of_a_plugin_names_plugin_version_and_generation() {
    let log = |_: &LogControl| {
        info!(target: "plugin", plugin = "chat", version = "1.2.0", generation = 3_u64, target = "rooms", text = "hello");
    };
    assert_eq!(
        rest(&written(&human(), log)[0]),
        "  INFO chat 1.2.0 #3 rooms: hello\n"
    );
    let line: serde_json::Value =
        serde_json::from_str(&written(&LogConfig::default(), log)[0]).unwrap();
    assert_eq!(
        (&line["target"], &line["message"]),
        (&"rooms".into(), &"hello".into())
    );
    assert_eq!(
        (&line["plugin"], &line["generation"]),
        (&"chat".into(), &3.into())
    );
}

#[test]
fn a_text_cannot_forge_a_line_or_move_the_cursor() {
    let lines = written(&human(), |_| {
        info!(target: "plugin", plugin = "p\x1b[2J", version = "1", generation = 1_u64, text = "a\nINFO b\r\x1b[A\u{85}");
        info!(target: "t", field = "x\ny", "ok");
    });
    assert_eq!(
        rest(&lines[0]),
        "  INFO p\\u{1b}[2J 1 #1 a\\nINFO b\\r\\u{1b}[A\\u{85}\n"
    );
    assert_eq!(rest(&lines[1]), "  INFO t: ok field=x\\ny\n");
}

#[test]
fn the_longest_target_decides_and_ends_at_a_path_border() {
    let mut config = human();
    config.level = LevelFilter::ERROR;
    config.targets.insert("a".to_owned(), LevelFilter::INFO);
    config.targets.insert("a::b".to_owned(), LevelFilter::DEBUG);
    let lines = written(&config, |_| {
        debug!(target: "a::b::c", "1");
        debug!(target: "a::c", "-");
        info!(target: "a", "2");
        info!(target: "ab", "-");
        error!(target: "ab", "3");
    });
    let texts: Vec<&str> = lines
        .iter()
        .map(|line| line.trim_end().rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(texts, ["1", "2", "3"]);
}

#[test]
fn levels_change_while_the_log_runs() {
    let lines = written(&human(), |control| {
        for round in 0..3 {
            // One place in the code, so that what it remembers of its level has to follow.
            debug!(target: "a::b", "{round}");
            match round {
                0 => control.set(LogScope::Target("a".to_owned()), Some(LevelFilter::TRACE)),
                _ => control.set(LogScope::Target("a".to_owned()), None),
            }
        }
        control.set(LogScope::Rest, Some(LevelFilter::OFF));
        error!("never");
        control.set(LogScope::Rest, None);
        trace!("never");
        info!("again");
    });
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].ends_with("a::b: 1\n") && lines[1].ends_with("again\n"),
        "{lines:?}"
    );
}

#[test]
fn each_plugin_has_its_own_level() {
    let lines = written(&human(), |control| {
        control
            .set_words("debug", None, Some("loud".to_owned()))
            .unwrap();
        control
            .set_words("off", None, Some("quiet".to_owned()))
            .unwrap();
        assert_eq!(control.plugin_level("loud"), LevelFilter::DEBUG);
        assert_eq!(control.plugin_level("other"), LevelFilter::INFO);
        for plugin in ["loud", "quiet", "other"] {
            debug!(target: "plugin", plugin, text = "d");
            error!(target: "plugin", plugin, text = "e");
        }
    });
    let rests: Vec<&str> = lines.iter().map(|line| rest(line).trim()).collect();
    assert_eq!(rests, ["DEBUG loud d", "ERROR loud e", "ERROR other e"]);
}

#[test]
fn levels_are_shown_as_they_are_set() {
    let control = LogControl::without_output(&LogConfig::default());
    control
        .set_words("warn", Some("hotsocket::net".to_owned()), None)
        .unwrap();
    control.set_words("trace", None, None).unwrap();
    assert!(control.set_words("loud", None, None).is_err());
    assert_eq!(
        control.levels().to_string(),
        r#"{"level":"trace","plugins":{},"targets":{"hotsocket::net":"warn"}}"#
    );
    control
        .set_words("default", Some("hotsocket::net".to_owned()), None)
        .unwrap();
    assert!(control.config().targets.is_empty());
}

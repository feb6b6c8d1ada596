//! Options as a config file has them.

use permessage_deflate::Options;

fn parsed(json: &str) -> Result<Options, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn nothing_is_required() {
    assert_eq!(parsed("{}"), Ok(Options::default()));
}

#[test]
fn numbers_outside_their_range_are_refused() {
    for (json, message) in [
        (r#"{"level":0}"#, "0 is not between 1 and 9"),
        (
            r#"{"server_max_window_bits":16}"#,
            "16 is not between 8 and 15",
        ),
        (
            r#"{"client_max_window_bits":7}"#,
            "7 is not between 8 and 15",
        ),
        (r#"{"memory_level":10}"#, "10 is not between 1 and 9"),
        (r#"{"takeover":true}"#, "unknown field `takeover`"),
        (r#"{"takeover_keeps":"all"}"#, "unknown variant `all`"),
    ] {
        let error = parsed(json).expect_err(json);
        assert!(error.contains(message), "{error}");
    }
}

//! The options of a protocol: JSON to the author's type.

use serde::de::DeserializeOwned;

use crate::PluginError;

/// Reads options. The error names the key in question.
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, PluginError> {
    // By way of a value, because the host wrote this text: its lines and columns mean nothing to the operator.
    let value: serde_json::Value = serde_json::from_slice(json)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        match path.as_str() {
            "." => PluginError::new(format_args!("options: {cause}")),
            key => PluginError::new(format_args!("option `{key}`: {cause}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::NoOptions;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        #[serde(default)]
        period_ms: u64,
        room: String,
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        parse::<T>(json.as_bytes())
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn options_are_typed() {
        let options: Options = parse(br#"{"period_ms": 20, "room": "lobby"}"#).expect("they fit");
        assert_eq!((options.period_ms, options.room.as_str()), (20, "lobby"));
    }

    #[test]
    fn an_error_names_the_key() {
        assert_eq!(
            refused::<Options>(r#"{"room": "lobby", "period_ms": "fast"}"#),
            r#"option `period_ms`: invalid type: string "fast", expected u64"#
        );
        assert_eq!(refused::<Options>("{}"), "options: missing field `room`");
        assert_eq!(
            refused::<Options>(r#"{"room": "lobby", "colour": 1}"#),
            "option `colour`: unknown field `colour`, expected `period_ms` or `room`"
        );
    }

    #[test]
    fn a_protocol_without_options_refuses_any() {
        assert!(parse::<NoOptions>(b"{}").is_ok());
        assert_eq!(
            refused::<NoOptions>(r#"{"speed": 1}"#),
            "option `speed`: unknown field `speed`, there are no fields"
        );
    }
}

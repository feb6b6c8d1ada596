//! Exactly what may be written in a config file: JSON with comments and trailing commas.

use std::path::PathBuf;

use jsonc_parser::ast::Value;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use tracing::level_filters::LevelFilter;

use super::client::{ClientConfig, client};
use super::error::{ConfigError, Fault};
use super::level::{LEVELS, parse_level};
use super::listen::listen;
use super::listener::WrittenListener;
use super::reader::{Located, Reader};
use super::run_as::{WrittenRunAs, run_as};
use super::source::Source;
use super::tls::tls;
use super::vhost::{self, WrittenVhost, vhosts};
use super::{ExtensionConfig, LogFormat, ProtocolConfig};
use crate::limits::{FieldBounds, Limits};
use crate::net::tls::TlsSettings;
use crate::wire::header_list::is_token;

/// A config file as it was written: nothing filled in, nothing looked up.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) listen: Option<Vec<WrittenListener>>,
    pub(super) tls: Option<TlsSettings>,
    pub(super) plugins: Option<String>,
    pub(super) threads: Option<Located<u64>>,
    pub(super) control: Option<String>,
    pub(super) control_group: Option<Located<String>>,
    pub(super) trusted_proxies: Vec<Located<String>>,
    pub(super) run_as: WrittenRunAs,
    pub(super) reverse_names: bool,
    pub(super) client: ClientConfig,
    /// What stands at the top.
    pub(super) default: WrittenVhost,
    pub(super) vhosts: Vec<WrittenVhost>,
    /// By key of [`Limits`].
    pub(super) limits: Vec<(String, Located<u64>)>,
    pub(super) per_field_bytes: FieldBounds,
    pub(super) log: WrittenLog,
}

/// The part `log` as it was written.
#[derive(Debug, Default)]
pub(super) struct WrittenLog {
    pub(super) level: Option<LevelFilter>,
    pub(super) format: Option<LogFormat>,
    /// Relative to the working directory already.
    pub(super) file: Option<PathBuf>,
    pub(super) targets: Vec<(String, LevelFilter)>,
    pub(super) plugins: Vec<(String, LevelFilter)>,
}

/// The keys at the top; `$schema` is for editors and means nothing here.
const KEYS: &[&str] = &[
    "$schema",
    "listen",
    "tls",
    "plugins",
    "threads",
    "control",
    "control_group",
    "trusted_proxies",
    "run_as",
    "reverse_names",
    "client",
    "vhosts",
    "limits",
    "log",
];

/// Comments and trailing commas, and nothing else beyond JSON.
const DIALECT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads the text of a file. `reader` gathers what is wrong; what could not be read is left out.
pub(super) fn parse(source: &Source<'_>, reader: &Reader<'_>) -> Result<File, ConfigError> {
    let parsed =
        parse_to_ast(source.text, &CollectOptions::default(), &DIALECT).map_err(|error| {
            let place = source.place(error.range());
            let cause = error.kind().to_string().to_lowercase();
            Fault::at(
                place,
                cause,
                "write JSON; comments and trailing commas are allowed",
            )
        })?;
    // A file of comments only says nothing, like an empty object.
    Ok(parsed
        .value
        .map_or_else(File::default, |value| file(&value, reader)))
}

fn file(value: &Value<'_>, reader: &Reader<'_>) -> File {
    let mut file = File::default();
    for (key, value) in reader.properties(value, "config") {
        match key.value {
            "$schema" => {}
            "listen" => file.listen = Some(listen(value, reader)),
            "tls" => file.tls = tls(value, reader),
            "plugins" => file.plugins = reader.path(value, "plugins", "./plugins"),
            "threads" => file.threads = reader.whole(value, "threads"),
            "control" => file.control = reader.path(value, "control", "/run/hotsocket.sock"),
            "control_group" => {
                file.control_group = reader.string(value, "control_group", "hotsocket");
            }
            "trusted_proxies" => {
                file.trusted_proxies = reader.strings(value, "trusted_proxies", "10.0.0.0/8");
            }
            "run_as" => file.run_as = run_as(value, reader),
            "reverse_names" => {
                file.reverse_names = reader.flag(value, "reverse_names").unwrap_or_default();
            }
            "client" => file.client = client(value, reader),
            "vhosts" => file.vhosts = vhosts(value, reader),
            "limits" => limits(value, &mut file, reader),
            "log" => file.log = log(value, reader),
            _ if file.default.take(key.value, value, reader) => {}
            _ => {
                let keys: Vec<_> = KEYS.iter().chain(vhost::KEYS).copied().collect();
                reader.refuse_key(&key, &keys);
            }
        }
    }
    file
}

pub(super) fn protocols(value: &Value<'_>, reader: &Reader<'_>) -> Vec<(String, ProtocolConfig)> {
    let mut protocols = Vec::new();
    for (name, value) in reader.properties(value, "protocols") {
        let mut protocol = ProtocolConfig::default();
        for (key, value) in reader.properties(value, name.value) {
            match key.value {
                "options" => protocol.options = reader.json(value),
                _ => reader.refuse_key(&key, &["options"]),
            }
        }
        protocols.push((name.value.to_owned(), protocol));
    }
    protocols
}

pub(super) fn extensions(value: &Value<'_>, reader: &Reader<'_>) -> Vec<(String, ExtensionConfig)> {
    let mut extensions = Vec::new();
    for (name, value) in reader.properties(value, "extensions") {
        let mut extension = ExtensionConfig::default();
        for (key, value) in reader.properties(value, name.value) {
            match key.value {
                "options" => extension.options = reader.json(value),
                "offer" => match reader.json(value).as_bool() {
                    Some(offer) => extension.offer = offer,
                    None => reader.refuse(
                        key.range,
                        "`offer` is neither true nor false",
                        "write true, or false to leave the extension out",
                    ),
                },
                _ => reader.refuse_key(&key, &["options", "offer"]),
            }
        }
        extensions.push((name.value.to_owned(), extension));
    }
    extensions
}

fn limits(value: &Value<'_>, file: &mut File, reader: &Reader<'_>) {
    for (key, value) in reader.properties(value, "limits") {
        if key.value == "per_field_bytes" {
            file.per_field_bytes = field_bounds(value, reader);
        } else if !Limits::KEYS.contains(&key.value) {
            reader.refuse_key(&key, Limits::KEYS);
        } else if let Some(bound) = reader.whole(value, key.value) {
            file.limits.push((key.value.to_owned(), bound));
        }
    }
}

/// Names of fields and their bounds. Letters do not count in a name, so each is there once in any of them.
fn field_bounds(value: &Value<'_>, reader: &Reader<'_>) -> FieldBounds {
    let mut bounds = FieldBounds::default();
    for (name, value) in reader.properties(value, "per_field_bytes") {
        let Some(bound) = reader.whole(value, name.value) else {
            continue;
        };
        if !is_token(name.value.as_bytes()) {
            let cause = format!("`{}` is no name of a field", name.value);
            let mend = "write the name alone, as in \"Cookie\"; without a colon";
            reader.refuse(name.range, cause, mend);
        } else if !bounds.add(name.value, bound.value) {
            let cause = format!("the field `{}` has a bound already", name.value);
            let mend = "leave one of them out: letters do not count in names of fields";
            reader.refuse(name.range, cause, mend);
        }
    }
    bounds
}

fn log(value: &Value<'_>, reader: &Reader<'_>) -> WrittenLog {
    let mut log = WrittenLog::default();
    for (key, value) in reader.properties(value, "log") {
        match key.value {
            "level" => log.level = level(value, reader, "level"),
            "format" => {
                log.format =
                    reader.word(
                        value,
                        "format",
                        &["auto", "human", "json"],
                        |word| match word {
                            "auto" => Some(LogFormat::Auto),
                            "human" => Some(LogFormat::Human),
                            "json" => Some(LogFormat::Json),
                            _ => None,
                        },
                    );
            }
            "file" => {
                let file = reader.path(value, "file", "hotsocket.log");
                log.file = file
                    .filter(|file| file != "-")
                    .map(|file| reader.beside(&file));
            }
            "targets" => log.targets = levels(value, reader, "targets"),
            "plugins" => log.plugins = levels(value, reader, "plugins"),
            _ => reader.refuse_key(&key, &["level", "format", "file", "targets", "plugins"]),
        }
    }
    log
}

fn levels(value: &Value<'_>, reader: &Reader<'_>, what: &str) -> Vec<(String, LevelFilter)> {
    let named = |(name, value): (Located<&str>, &Value<'_>)| {
        Some((name.value.to_owned(), level(value, reader, name.value)?))
    };
    reader
        .properties(value, what)
        .into_iter()
        .filter_map(named)
        .collect()
}

fn level(value: &Value<'_>, reader: &Reader<'_>, what: &str) -> Option<LevelFilter> {
    reader.word(value, what, LEVELS, |word| parse_level(word).ok())
}

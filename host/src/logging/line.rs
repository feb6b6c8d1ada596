//! How an event becomes a line, for eyes or as JSON.

use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::Arc;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer};

use super::{PLUGIN_TARGET, Shared, levels};
use crate::config::LogConfig;

/// Writes each event as one line.
pub(super) struct Lines(pub(super) Arc<Shared>);

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.read(levels::highest))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line::of(event.metadata(), fields);
        let format = self
            .0
            .read(|config| line.holds(config).then_some(config.format));
        if let (Some(place), Some(format)) = (&self.0.place, format) {
            place.write(line, format);
        }
    }
}

impl Lines {
    /// Spans say nothing here, so nobody pays for them.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && self
                .0
                .read(|config| *metadata.level() <= levels::ceiling(config, metadata.target()))
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.others
            .iter()
            .find(|(other, _)| *other == name)
            .and_then(|(_, value)| value.as_str())
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        let at = self
            .others
            .iter()
            .position(|(other, value)| *other == name && value.is_string())?;
        match self.others.remove(at).1 {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(chain, ": {cause}");
            source = cause.source();
        }
        self.add(field, chain.into());
    }
}

/// An event with all that is written of it.
pub(super) struct Line {
    time: String,
    pub(super) level: Level,
    /// Of a plugin's line the target within the plugin.
    pub(super) target: String,
    /// The plugin whose line it is.
    pub(super) plugin: Option<String>,
    fields: Fields,
}

impl Line {
    fn of(metadata: &Metadata<'_>, mut fields: Fields) -> Self {
        let mut target = metadata.target().to_owned();
        let mut plugin = None;
        if target == PLUGIN_TARGET {
            plugin = Some(fields.text("plugin").unwrap_or_default().to_owned());
            target = fields.take_text("target").unwrap_or_default();
            fields.message = fields.take_text("text").unwrap_or(fields.message);
            // The line came from no hook of a connection.
            fields
                .others
                .retain(|(name, value)| *name != "connection" || *value != 0);
        }
        Self {
            time: now(),
            level: *metadata.level(),
            target,
            plugin,
            fields,
        }
    }

    /// One that stands for no event.
    pub(super) fn new(
        level: Level,
        target: &str,
        message: &str,
        others: Vec<(&'static str, Value)>,
    ) -> Self {
        Self {
            time: now(),
            level,
            target: target.to_owned(),
            plugin: None,
            fields: Fields {
                message: message.to_owned(),
                others,
            },
        }
    }

    /// Whether the level of its plugin lets it through; for all others that was asked before.
    fn holds(&self, config: &LogConfig) -> bool {
        self.plugin
            .as_deref()
            .is_none_or(|plugin| self.level <= levels::of_plugin(config, plugin))
    }

    pub(super) fn human(&self, colour: bool) -> String {
        let (dim, tint, plain) = if colour {
            ("\x1b[2m", tint(self.level), "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut line = format!("{dim}{}{plain} {tint}{:>5}{plain} ", self.time, self.level);
        let whose = if self.plugin.is_some() {
            &["plugin", "version", "generation"][..]
        } else {
            &[]
        };
        for name in whose {
            if let Some((_, value)) = self.fields.others.iter().find(|(other, _)| other == name) {
                let mark = if *name == "generation" { "#" } else { "" };
                let _ = write!(line, "{mark}{} ", bare(value));
            }
        }
        if !self.target.is_empty() {
            let _ = write!(line, "{dim}{}:{plain} ", escaped(&self.target));
        }
        line.push_str(&escaped(&self.fields.message));
        for (name, value) in self
            .fields
            .others
            .iter()
            .filter(|(name, _)| !whose.contains(name))
        {
            let _ = write!(line, " {dim}{name}={plain}{}", shown(value));
        }
        line
    }

    pub(super) fn json(&self) -> String {
        let head = [
            ("time", Value::from(self.time.as_str())),
            ("level", self.level.as_str().to_ascii_lowercase().into()),
            ("target", self.target.as_str().into()),
            ("message", self.fields.message.as_str().into()),
        ];
        let rest = self.fields.others.iter().map(|(name, value)| {
            // Each key stands once in a line.
            let taken = head.iter().any(|(other, _)| other == name);
            (
                if taken {
                    format!("field_{name}")
                } else {
                    (*name).to_owned()
                },
                value.clone(),
            )
        });
        let all: Vec<_> = head
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .chain(rest)
            .collect();
        let members: Vec<String> = all
            .into_iter()
            .map(|(name, value)| format!("{}:{value}", Value::from(name)))
            .collect();
        let mut line = format!("{{{}}}", members.join(","));
        if line.contains(hidden) {
            // JSON lets these stand in strings, and outside of strings there are none.
            line = line
                .chars()
                .map(|c| {
                    if hidden(c) {
                        format!("\\u{:04x}", c as u32)
                    } else {
                        c.to_string()
                    }
                })
                .collect();
        }
        line
    }
}

/// The time in UTC as RFC 3339 writes it, with microseconds.
fn now() -> String {
    let mut time = String::new();
    // A clock before the epoch is the only way to fail, and then the line has no time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// A control character, which could move a terminal's cursor or end the line.
fn hidden(c: char) -> bool {
    c.is_control()
}

/// `text` without control characters.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| {
            if hidden(c) {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// A value as it is.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), escaped)
}

/// A value in quotes where its end would be hard to see.
fn shown(value: &Value) -> String {
    match value.as_str() {
        Some(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            format!("\"{}\"", escaped(text).replace('"', "\\\""))
        }
        _ => bare(value),
    }
}

fn tint(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

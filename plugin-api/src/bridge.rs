//! Carries what the plugin's code logs, by `log` or by `tracing`, to the host.

use std::{
    fmt::{self, Write as _},
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use tracing_core::{
    Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber, dispatcher,
    field::{Field, Visit},
    span,
};

use crate::{Host, abi};

/// The host of the generation that was started last in this mapping.
static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(ptr::null_mut());

/// Makes `host` the end of all that is logged here. The loggers are set once; a second start only changes the host.
pub(crate) fn install(host: Host) {
    HOST.store(host.as_raw().cast_mut(), Ordering::Release);
    // Both are already set when this mapping is started anew.
    let _ = log::set_logger(&LogBridge);
    let _ = dispatcher::set_global_default(Dispatch::new(TraceBridge));
    // The host's level may change at any time, so each call asks for it.
    log::set_max_level(log::LevelFilter::Trace);
}

/// Logs a line of this crate's own.
pub(crate) fn error(text: &str) {
    if let Some(host) = host() {
        host.log_as(log::Level::Error, env!("CARGO_PKG_NAME"), text);
    }
}

fn host() -> Option<Host> {
    let raw = HOST.load(Ordering::Acquire);
    // SAFETY: `install` stored a host, which is valid for ever.
    (!raw.is_null()).then(|| unsafe { Host::from_raw(raw) })
}

struct LogBridge;

impl log::Log for LogBridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        host().is_some_and(|host| metadata.level() <= host.log_level())
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Some(host) = host() {
            host.log_as(record.level(), record.target(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Events become lines; spans are let pass and keep nothing.
struct TraceBridge;

impl Subscriber for TraceBridge {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && host().is_some_and(|host| level(metadata.level()) <= host.log_level())
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if let Some(host) = host() {
            let mut line = Line::default();
            event.record(&mut line);
            let metadata = event.metadata();
            host.log_as(level(metadata.level()), metadata.target(), &line.text());
        }
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

const fn level(level: &tracing_core::Level) -> log::Level {
    match *level {
        tracing_core::Level::ERROR => log::Level::Error,
        tracing_core::Level::WARN => log::Level::Warn,
        tracing_core::Level::INFO => log::Level::Info,
        tracing_core::Level::DEBUG => log::Level::Debug,
        tracing_core::Level::TRACE => log::Level::Trace,
    }
}

/// An event as text: the message, then the other fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(self) -> String {
        self.message + &self.fields
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

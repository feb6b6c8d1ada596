//! A protocol of the program, which tells it what it sees.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

use crate::schedules::Chance;

/// What the program and its plugin have in common.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Code, reason, and whether the end was clean, of each session that has ended.
    pub(crate) closed: Mutex<Vec<(u16, String, bool)>>,
    /// What servers have said to sessions that are clients.
    pub(crate) heard: Mutex<Vec<String>>,
    /// Instances that were freed.
    pub(crate) freed: AtomicUsize,
}

/// What is sent for `flood`: more than a socket takes at once.
pub(crate) const FLOOD_BYTES: usize = 8 << 20;

/// A type that no program gives.
struct Unknown;

struct Probe {
    seen: Option<Arc<Seen>>,
    greeting: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    greeting: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            greeting: "hello".to_owned(),
        }
    }
}

struct Asked {
    seen: Option<Arc<Seen>>,
    greeting: String,
}

impl Instance for Probe {
    type Session = Asked;
    type Options = Options;
    type Thread = ();

    fn new(host: &Host, options: Options) -> Result<Self, PluginError> {
        assert!(host.data::<Unknown>().is_none());
        Ok(Self {
            seen: host.data(),
            greeting: options.greeting,
        })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, session: &mut Session) -> Result<Asked, PluginError> {
        if let Some(text) = session.given::<String>() {
            session.text(text);
        }
        Ok(Asked {
            seen: self.seen.clone(),
            greeting: self.greeting.clone(),
        })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.freed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Protocol for Asked {
    const NAME: &'static str = "probe";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        if session.role() == Role::Client {
            if let (Some(seen), Message::Text(text)) = (&self.seen, message) {
                seen.heard.lock().unwrap().push(text.to_owned());
            }
            session.close(1000, "heard");
            return;
        }
        if message.as_text() == Some("pause") {
            return session.pause();
        }
        match message.as_text() {
            Some("id") => session.text(session.id().get().to_string()),
            Some("flood") => session.binary(vec![0; FLOOD_BYTES]),
            Some("greeting") => session.text(&self.greeting),
            _ => session.send(message),
        };
    }

    fn on_close(&mut self, _session: &mut Session, close: &Close<'_>) {
        if let Some(seen) = &self.seen {
            let told = (close.code.0, close.reason.to_owned(), close.clean);
            seen.closed.lock().unwrap().push(told);
        }
    }
}

// A program has one export for each package: another test's protocol comes along.
export_plugin!(Probe, Chance);

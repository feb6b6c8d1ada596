//! Protocol `guestbook`: who comes sees how many came before; who writes is remembered for the next.
//!
//! | option | default | |
//! | --- | --- | --- |
//! | `entries` | 10 | How many entries are kept and shown, the newest last. |
#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

/// The options, as the config file gives them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { entries: 10 }
    }
}

/// One book per vhost, shared by its guests on all service threads.
struct Guestbook {
    limit: usize,
    entries: Arc<Mutex<VecDeque<String>>>,
}

impl Instance for Guestbook {
    type Session = Guest;
    type Options = Options;
    type Thread = ();

    fn new(host: &Host, options: Options) -> Result<Self, PluginError> {
        log::info!("a guestbook is open on vhost {}", host.vhost());
        Ok(Self {
            limit: options.entries,
            entries: Arc::default(),
        })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _session: &mut Session) -> Result<Guest, PluginError> {
        Ok(Guest {
            limit: self.limit,
            entries: Arc::clone(&self.entries),
        })
    }
}

/// One session.
struct Guest {
    limit: usize,
    entries: Arc<Mutex<VecDeque<String>>>,
}

impl Protocol for Guest {
    const NAME: &'static str = "guestbook";

    fn on_open(&mut self, session: &mut Session) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.iter() {
            session.text(entry);
        }
    }

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        let Message::Text(entry) = message else {
            session.close(CloseCode::UNSUPPORTED, "entries are text");
            return;
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push_back(entry.to_owned());
        while entries.len() > self.limit {
            entries.pop_front();
        }
        session.text("thank you");
    }
}

export_plugin!(Guestbook);

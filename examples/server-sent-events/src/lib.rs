//! Example: server-sent events, at one address without a page.
//!
//! A GET listens (`text/event-stream`, as browsers' `EventSource` reads it); each body that is POSTed there goes to all who
//! listen, as one event. Try it, mounted at `/events`:
//!
//! ```text
//! curl -N localhost:7681/events &
//! curl -d 'hello' localhost:7681/events
//! ```
//!
//! It shows how exchanges reach each other: the instance keeps their handles, and a notification has each of them send
//! by itself on its own service thread. Nobody waits for a listener that is slow: it is cut off, and `EventSource` comes
//! back by itself.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `heartbeat_ms` | 15000 | When a comment is sent, so that proxies see life and the host notices who has left. |
//! | `most_listeners` | 1000 | Those beyond read 503. |
#![forbid(unsafe_code)]

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hotsocket_plugin::{ExchangeId, prelude::*};
use serde::Deserialize;

const HEARTBEAT: TimerId = TimerId(0);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    heartbeat_ms: NonZeroU64,
    most_listeners: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_ms: const { NonZeroU64::new(15_000).unwrap() },
            most_listeners: 1000,
        }
    }
}

struct Events {
    audience: Arc<Audience>,
    heartbeat: Duration,
}

/// Who listens.
struct Audience {
    listeners: Mutex<Vec<ExchangeHandle>>,
    most: usize,
}

impl Audience {
    fn listeners(&self) -> MutexGuard<'_, Vec<ExchangeHandle>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// False when there is no room for one more.
    fn join(&self, listener: ExchangeHandle) -> bool {
        let mut listeners = self.listeners();
        let has_room = listeners.len() < self.most;
        if has_room {
            listeners.push(listener);
        }
        has_room
    }

    fn leave(&self, id: ExchangeId) {
        self.listeners().retain(|listener| listener.id() != id);
    }

    /// How many are going to hear it.
    fn tell(&self, event: &[u8]) -> usize {
        let listeners = self.listeners();
        let told = listeners
            .iter()
            .filter(|listener| match listener.notify(event) {
                Ok(()) => true,
                // It must not miss one without noticing.
                Err(PostError::Full) => listener.abort().is_err(),
                Err(_) => false,
            });
        told.count()
    }
}

impl HttpInstance for Events {
    type Exchange = Listener;
    type Options = Options;
    type Thread = ();

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        Ok(Self {
            audience: Arc::new(Audience {
                listeners: Mutex::default(),
                most: options.most_listeners,
            }),
            heartbeat: Duration::from_millis(options.heartbeat_ms.get()),
        })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, exchange: &mut Exchange) -> Result<Listener, PluginError> {
        Ok(Listener {
            audience: Arc::clone(&self.audience),
            heartbeat: self.heartbeat,
            id: exchange.id(),
        })
    }
}

/// Somebody who listens, or says something.
struct Listener {
    audience: Arc<Audience>,
    heartbeat: Duration,
    id: ExchangeId,
}

impl HttpHandler for Listener {
    const NAME: &'static str = "server-sent-events";
    const BODY: BodyDelivery = BodyDelivery::Whole {
        most_bytes: 64 * 1024,
    };

    fn on_request(&mut self, exchange: &mut Exchange) {
        match exchange.method() {
            "GET" => self.listen(exchange),
            // Its body is the event.
            "POST" => {}
            _ => {
                let response = Response::text(405, "GET listens, POST tells\n");
                exchange.respond(response.field("Allow", "GET, POST"));
            }
        }
    }

    fn on_body(&mut self, exchange: &mut Exchange, body: BodyPiece<'_>) {
        if exchange.method() != "POST" {
            return;
        }
        let count = self
            .audience
            .tell(&event(&String::from_utf8_lossy(body.bytes)));
        exchange.respond(Response::text(200, format!("{count} listen\n")));
    }

    fn on_notify(&mut self, exchange: &mut Exchange, event: &[u8]) {
        send(exchange, event);
    }

    fn on_timer(&mut self, exchange: &mut Exchange, _timer: TimerId) {
        send(exchange, b":\n\n");
        exchange.set_timer(HEARTBEAT, self.heartbeat);
    }
}

impl Listener {
    fn listen(&self, exchange: &Exchange) {
        if !self.audience.join(exchange.handle()) {
            exchange.respond(Response::text(503, "too many listen\n").field("Retry-After", "5"));
            return;
        }
        let response = Response::new(200)
            .field("Content-Type", "text/event-stream")
            .field("Cache-Control", "no-store");
        exchange.start(response, None);
        send(exchange, b":\n\n");
        exchange.set_timer(HEARTBEAT, self.heartbeat);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.audience.leave(self.id);
    }
}

/// Sends something to a listener, or gives it up.
fn send(exchange: &Exchange, text: &[u8]) {
    if exchange.send(text) != Sent::Queued {
        exchange.abort();
    }
}

/// Text as an event: each of its lines is a line of it, whatever ends them (HTML, section 9.2.6).
fn event(text: &str) -> Vec<u8> {
    let mut event = String::with_capacity(text.len() + 16);
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event.into_bytes()
}

export_plugin!(http: Events);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotsocket_plugin::testing::{TestExchange, TestHost, TestRequest};

    fn listen(host: &TestHost) -> TestExchange {
        host.request("server-sent-events", TestRequest::get("/events"))
    }

    fn tell(host: &TestHost, text: &str) -> String {
        let request = TestRequest::post("/events", text);
        let told = host.request("server-sent-events", request).text();
        host.turn();
        told
    }

    #[test]
    fn what_is_posted_reaches_all_who_listen() {
        let host = TestHost::new(super::plugin());
        let listeners = [(); 3].map(|()| listen(&host));
        assert_eq!(tell(&host, "one"), "3 listen\n");
        assert_eq!(tell(&host, "two\r\nlines\n"), "3 listen\n");
        for listener in &listeners {
            assert_eq!(listener.status(), Some(200));
            assert_eq!(
                listener.field("Content-Type").as_deref(),
                Some("text/event-stream")
            );
            assert_eq!(
                listener.text(),
                ":\n\ndata: one\n\ndata: two\ndata: lines\ndata: \n\n"
            );
            assert!(!listener.is_finished());
        }
    }

    #[test]
    fn a_comment_is_sent_once_per_heartbeat() {
        let host = TestHost::new(super::plugin());
        let options = r#"{"heartbeat_ms": 100}"#;
        host.configure("server-sent-events", options)
            .expect("it is right");
        let listener = listen(&host);
        host.advance(Duration::from_millis(250));
        assert_eq!(listener.text(), ":\n\n:\n\n:\n\n");
    }

    #[test]
    fn a_slow_listener_is_cut_off_and_the_others_hear() {
        let host = TestHost::new(super::plugin());
        let (slow, other) = (listen(&host), listen(&host));
        slow.set_full(true);
        tell(&host, "news");
        assert!(slow.is_cut_off());
        assert_eq!(other.text(), ":\n\ndata: news\n\n");
        assert_eq!(tell(&host, "more"), "1 listen\n");
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let host = TestHost::new(super::plugin());
        let options = r#"{"most_listeners": 1}"#;
        host.configure("server-sent-events", options)
            .expect("it is right");
        let listener = listen(&host);
        assert_eq!(listen(&host).status(), Some(503));
        listener.leave();
        assert_eq!(tell(&host, "nobody hears"), "0 listen\n");
        assert_eq!(listen(&host).status(), Some(200));
    }

    #[test]
    fn other_methods_and_large_events_are_refused() {
        let host = TestHost::new(super::plugin());
        let put = host.request("server-sent-events", TestRequest::new("PUT", "/events"));
        assert_eq!(put.status(), Some(405));
        assert_eq!(put.field("Allow").as_deref(), Some("GET, POST"));
        let large = TestRequest::post("/events", vec![b'x'; 64 * 1024 + 1]);
        let large = host.request("server-sent-events", large);
        assert_eq!(large.status(), Some(413));
    }
}

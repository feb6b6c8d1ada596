//! Echoes as a client: `echo_client URL SESSIONS SECONDS`, for measuring what a client costs beside its server.
//!
//! Opens so many sessions with an echo server, says 20 bytes in each, and sends back whatever comes, for so long. Prints how
//! many messages came. `tests/bench/client.py` runs it against the server of this repository.

use std::{
    env,
    error::Error,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use hotsocket::{ClientRequest, Host, HostConfig, limits::Limits};
use hotsocket_plugin::{Host as PluginHost, prelude::*};

/// What is said first in each session.
const FIRST: &str = "twenty bytes of text";

/// How many messages came, in all sessions.
#[derive(Default)]
struct Heard(AtomicU64);

/// The protocol, and what it counts in.
struct Echoes {
    heard: Arc<Heard>,
}

/// One session.
struct Echo {
    heard: Arc<Heard>,
}

impl Instance for Echoes {
    type Session = Echo;
    type Options = NoOptions;
    type Thread = ();

    fn new(host: &PluginHost, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        let heard = host.data::<Heard>();
        let heard = heard.ok_or_else(|| PluginError::new("the program gives where to count"))?;
        Ok(Self { heard })
    }

    fn thread(&self, _host: &PluginHost) {}

    fn open(&self, session: &mut Session) -> Result<Echo, PluginError> {
        session.text(FIRST);
        Ok(Echo {
            heard: Arc::clone(&self.heard),
        })
    }
}

impl Protocol for Echo {
    const NAME: &'static str = "echo-client";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        self.heard.0.fetch_add(1, Relaxed);
        session.send(message);
    }
}

export_plugin!(Echoes);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, sessions, seconds] = &arguments[..] else {
        return Err("usage: echo_client URL SESSIONS SECONDS".into());
    };
    let (sessions, seconds): (u64, u64) = (sessions.parse()?, seconds.parse()?);
    let heard = Arc::<Heard>::default();
    let host = Host::builder()
        .config(HostConfig {
            listen: Vec::new(),
            limits: Limits {
                client_connections_count: sessions,
                client_dials_count: sessions,
                ..Limits::default()
            },
            ..HostConfig::default()
        })
        .plugin(plugin())
        .data(Arc::clone(&heard))
        .build()?
        .spawn()?;
    let handle = host.handle();
    for _ in 0..sessions {
        handle.connect("echo-client", ClientRequest::to(url)?, None)?;
    }
    thread::sleep(Duration::from_secs(seconds));
    writeln!(io::stdout(), "{}", heard.0.load(Relaxed))?;
    host.shutdown(Duration::from_secs(2))?;
    Ok(())
}

//! Runs the cases of Autobahn's fuzzing server with our client: `autobahn_client URL AGENT`.
//!
//! It opens one connection after the other, offers permessage-deflate, and sends back what comes. The same client as of any
//! program: a host that listens nowhere, a plugin that is linked, and `HostHandle::connect`.

use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::mpsc::{self, Sender},
    time::Duration,
};

use hotsocket::{Host, HostConfig, HostHandle};
use hotsocket_plugin::{Host as PluginHost, prelude::*};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, agent] = &arguments[..] else {
        eprintln!("usage: autobahn_client URL AGENT, such as ws://127.0.0.1:9001 hotsocket");
        return ExitCode::from(2);
    };
    match run(url.trim_end_matches('/'), agent) {
        Ok(count) => {
            eprintln!("{count} cases were run; what became of them is in the report of the server");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str, agent: &str) -> Result<usize, Box<dyn Error>> {
    let host = Host::builder()
        .config(HostConfig {
            listen: Vec::new(),
            ..HostConfig::default()
        })
        .plugin(plugin())
        .plugin(permessage_deflate::plugin())
        .build()?
        .spawn()?;
    let handle = host.handle();
    let count = visit(&handle, &format!("{url}/getCaseCount"), Task::Listen)?;
    let count: usize = count
        .parse()
        .map_err(|_| format!("the server names `{count}` as the number of its cases"))?;
    for case in 1..=count {
        let target = format!("{url}/runCase?case={case}&agent={agent}");
        visit(&handle, &target, Task::Echo)?;
    }
    visit(
        &handle,
        &format!("{url}/updateReports?agent={agent}"),
        Task::Listen,
    )?;
    host.shutdown(Duration::from_secs(1))?;
    Ok(count)
}

/// Opens a connection and waits until it has ended; gives the last text that was listened to.
fn visit(handle: &HostHandle, url: &str, task: Task) -> Result<String, Box<dyn Error>> {
    let (told, ended) = mpsc::channel();
    let request = hotsocket::ClientRequest::to(url)?.without_proxy();
    handle.connect(Visit::NAME, request, Some(Box::new(Order { task, told })))?;
    // Dropped without a word when a hook has panicked.
    Ok(ended.recv()??)
}

/// What a connection is for.
enum Task {
    /// Sends back what comes.
    Echo,
    /// Keeps the text that comes.
    Listen,
}

/// What a connection is given.
struct Order {
    task: Task,
    told: Sender<Result<String, String>>,
}

struct Visits;

impl Instance for Visits {
    type Session = Visit;
    type Options = NoOptions;
    type Thread = ();

    fn new(_host: &PluginHost, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn thread(&self, _host: &PluginHost) {}

    fn on_connect_error(&self, error: &mut ConnectError) -> Next {
        let why = format!("{}: {error}", error.client().url());
        if let Some(order) = error.take_given::<Order>() {
            // Whoever has asked waits for it.
            let _ = order.told.send(Err(why));
        }
        Next::GiveUp
    }

    fn open(&self, session: &mut Session) -> Result<Visit, PluginError> {
        let order = session
            .given()
            .ok_or_else(|| PluginError::new("only this program opens sessions"))?;
        Ok(Visit {
            order,
            text: String::new(),
        })
    }
}

struct Visit {
    order: Order,
    text: String,
}

impl Protocol for Visit {
    const NAME: &'static str = "visit";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        match (&self.order.task, message) {
            (Task::Echo, message) => {
                session.send(message);
            }
            (Task::Listen, Message::Text(text)) => text.clone_into(&mut self.text),
            (Task::Listen, Message::Binary(_)) => {}
        }
    }

    fn on_close(&mut self, _session: &mut Session, _close: &Close<'_>) {
        // How it was closed is for the server to judge.
        let _ = self.order.told.send(Ok(std::mem::take(&mut self.text)));
    }
}

export_plugin!(Visits);

//! HTTP handler `cgi`: has a program answer each request, by the Common Gateway Interface 1.1 (RFC 3875).
//!
//! The body goes to the program's standard input as it comes, its standard output to the peer as it is written; each
//! side waits for the other. Lines of its standard error are in the log. A program is ended when its time is up, when
//! the peer leaves, and, with all that it started in its process group, when it has exited and closed its output.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `program` | | The program that answers all requests: a path. |
//! | `directory` | | In its place: a directory of scripts. The first segment of the path below the mountpoint is the script, the rest is told to it in `PATH_INFO`. |
//! | `environment` | `{}` | Further variables. They go before those of the request. |
//! | `timeout_ms` | 30000 | How long a program may run. Then it is ended, and the peer reads 504 if the answer has not begun. |
//! | `most_processes` | 64 | How many programs run at once. Requests beyond are answered with 503. |
//!
//! # What is not done
//!
//! A `Location` with a path is sent to the peer as any other, and not followed by the server. `nph-` scripts are scripts
//! as any other. A body without a length (chunked) is passed on without `CONTENT_LENGTH`; it ends where standard input
//! does.
#![deny(unsafe_code)]

mod descriptors;
mod environment;
mod head;
mod process;
mod program;
mod run;
mod runner;
mod script;
mod stderr;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

use environment::{Facts, Variables};
use head::Head;
use run::{End, Run};
use runner::{Job, Orders, Runner, Setting};
use script::Place;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    program: Option<PathBuf>,
    directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    timeout_ms: NonZeroU64,
    most_processes: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            program: None,
            directory: None,
            environment: BTreeMap::new(),
            timeout_ms: const { NonZeroU64::new(30_000).unwrap() },
            most_processes: const { NonZeroUsize::new(64).unwrap() },
        }
    }
}

struct Cgi {
    runner: Runner,
}

impl HttpInstance for Cgi {
    type Exchange = Answer;
    type Options = Options;
    type Thread = ();

    fn new(host: &Host, options: Options) -> Result<Self, PluginError> {
        descriptors::keep_to_this_process();
        let setting = Setting {
            place: Place::new(options.program.as_deref(), options.directory.as_deref())?,
            environment: further(options.environment)?,
            timeout: Duration::from_millis(options.timeout_ms.get()),
            host: *host,
        };
        let runner = Runner::start(setting, options.most_processes.get())?;
        Ok(Self { runner })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _exchange: &mut Exchange) -> Result<Answer, PluginError> {
        Ok(Answer {
            orders: self.runner.orders(),
            run: None,
            state: State::Waiting,
            unsent: Vec::new(),
        })
    }
}

/// The variables of the options.
fn further(environment: BTreeMap<String, String>) -> Result<Variables, PluginError> {
    let is_wrong = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = environment.iter().find(is_wrong) {
        return Err(PluginError::new(format!(
            "option `environment`: {name:?} cannot be a variable; a name is not empty and has no `=`"
        )));
    }
    let own = |(name, value): (String, String)| (OsString::from(name), OsString::from(value));
    Ok(environment.into_iter().map(own).collect())
}

/// One exchange: hands the body to the runner, and sends what comes back.
struct Answer {
    orders: Arc<Orders>,
    run: Option<Arc<Run>>,
    state: State,
    /// Output that the host had no room for.
    unsent: Vec<u8>,
}

enum State {
    /// The program has not said what the answer is.
    Waiting,
    /// Its output is the content.
    Sending,
    /// All is said.
    Done,
}

impl HttpHandler for Answer {
    const NAME: &'static str = "cgi";

    fn on_request(&mut self, exchange: &mut Exchange) {
        let Some(permit) = self.orders.permit() else {
            let busy = Response::text(503, "too many programs are running\n");
            exchange.respond(busy.field("Retry-After", "1"));
            return;
        };
        let run = Arc::new(Run::new(exchange.handle()));
        self.orders.send(Job {
            run: Arc::clone(&run),
            mountpoint: exchange.mountpoint().to_owned(),
            path_below: exchange.path_below().to_owned(),
            variables: variables(exchange),
            permit,
        });
        self.run = Some(run);
    }

    fn on_body(&mut self, exchange: &mut Exchange, body: BodyPiece<'_>) {
        let Some(run) = &self.run else {
            return;
        };
        if run.put_input(body.bytes, body.last) {
            exchange.pause();
        }
        self.orders.wake();
    }

    fn on_notify(&mut self, exchange: &mut Exchange, _payload: &[u8]) {
        self.look(exchange);
    }

    fn on_writable(&mut self, exchange: &mut Exchange) {
        self.look(exchange);
    }
}

impl Drop for Answer {
    /// The exchange has ended: in its order, because the peer left, or after a panic.
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.leave();
            self.orders.wake();
        }
    }
}

impl Answer {
    /// Sends what there is, as far as there is room.
    fn look(&mut self, exchange: &Exchange) {
        let Some(run) = self.run.clone() else {
            return;
        };
        let has_room = self.send_unsent(exchange);
        let news = run.news(has_room);
        if news.wake {
            self.orders.wake();
        }
        if news.resume {
            exchange.resume();
        }
        if let Some(head) = news.head {
            self.state = State::Sending;
            exchange.start(response(&head), head.length);
        }
        if has_room {
            self.unsent = news.output;
        }
        if self.send_unsent(exchange)
            && let Some(end) = news.end
        {
            self.end(exchange, end);
        }
    }

    /// True when nothing is left that waits for room.
    fn send_unsent(&mut self, exchange: &Exchange) -> bool {
        if self.unsent.is_empty() {
            return true;
        }
        match exchange.send(&self.unsent) {
            Sent::Full => {
                exchange.ask_writable();
                return false;
            }
            // More than the program has announced: the peer must not take what it has for the whole.
            Sent::Refused => exchange.abort(),
            Sent::Queued | Sent::Closed => {}
        }
        self.unsent = Vec::new();
        true
    }

    fn end(&mut self, exchange: &Exchange, end: End) {
        match (std::mem::replace(&mut self.state, State::Done), end) {
            (State::Done, _) => {}
            (State::Waiting, End::Failed(status)) => {
                exchange.respond(Response::text(status, excuse(status)));
            }
            (State::Waiting | State::Sending, End::Complete) => {
                exchange.finish();
            }
            // A cut is how the peer can tell that something is missing.
            (State::Sending, End::Failed(_)) => exchange.abort(),
        }
    }
}

fn response(head: &Head) -> Response<'static> {
    let fields = head.fields.iter();
    fields.fold(Response::new(head.status), |response, (name, value)| {
        response.field(name, value)
    })
}

/// What the peer reads when no program answers.
const fn excuse(status: u16) -> &'static str {
    match status {
        400 => "the path cannot be understood\n",
        403 => "this program may not be run\n",
        404 => "there is no such program\n",
        502 => "the program gave no answer that could be understood\n",
        504 => "the program took too long\n",
        _ => "the program could not be run\n",
    }
}

/// The variables of a request but those of the script.
fn variables(exchange: &Exchange) -> Variables {
    let peer = exchange.peer();
    let address = peer.map(|peer| peer.ip().to_canonical().to_string());
    let local_port = exchange.local().map(|local| local.port().to_string());
    let facts = Facts {
        method: exchange.method(),
        target: exchange.target(),
        query: exchange.query().unwrap_or_default(),
        http_minor: exchange.http_minor(),
        content_length: exchange.content_length(),
        host: exchange.authority().unwrap_or_default(),
        local_port: local_port.as_deref(),
        peer: address.as_deref().zip(peer.map(|peer| peer.port())),
        is_encrypted: exchange.is_encrypted(),
        software: &format!("Hotsocket/{}", exchange.host().version()),
    };
    environment::variables(&facts, exchange.all_headers())
}

export_plugin!(http: Cgi);

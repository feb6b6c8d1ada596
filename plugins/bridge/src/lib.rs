//! Protocol `bridge`: each session is carried on to another server.
//!
//! Options:
//!
//! * `url`: where to, `ws:` or `wss:`. Required.
//! * `pass_headers`: names of fields of the client's opening handshake that go along, such as `["Authorization"]`. None by
//!   default: they are secrets as often as not.
//! * `roots`: a PEM file with the authorities that have signed for the server, in place of those of the platform.
//! * `accept_self_signed`: `true` accepts any certificate of the server.
//!
//! The first subprotocol that the client offers is offered to the server, and answered to the client. Messages keep their
//! kind and their order, and whoever does not read holds back who sends. Close codes go both ways. A server that cannot be
//! reached, that refuses, or that goes away without a word makes 1014 for the client, one that is too busy 1013.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

mod parcel;
mod side;

use parcel::Parcel;
use side::Side;

/// One per vhost.
struct Bridge {
    options: Options,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    url: String,
    #[serde(default)]
    pass_headers: Vec<String>,
    roots: Option<PathBuf>,
    #[serde(default)]
    accept_self_signed: bool,
}

/// What is kept of the client's opening handshake.
struct Passed {
    subprotocol: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
}

/// What a connection to the server is given: the session of the client.
struct Client(SessionHandle, Option<String>);

impl Bridge {
    fn request(&self, passed: Passed) -> ClientRequest {
        let mut request = ClientRequest::to(&self.options.url);
        if let Some(name) = passed.subprotocol {
            request = request.subprotocol(name);
        }
        for (name, value) in passed.fields {
            request = request.field(name, value);
        }
        match &self.options.roots {
            _ if self.options.accept_self_signed => request.accepting_self_signed(),
            Some(file) => request.roots(file),
            None => request,
        }
    }
}

impl Instance for Bridge {
    type Session = Side;
    type Options = Options;
    type Thread = ();

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        if !options.url.starts_with("ws://") && !options.url.starts_with("wss://") {
            let why = format!("`url` is `{}`: write ws://HOST or wss://HOST", options.url);
            return Err(PluginError::new(why));
        }
        Ok(Self { options })
    }

    fn thread(&self, _host: &Host) {}

    fn on_handshake(&self, request: &mut Handshake) -> Result<(), Refusal> {
        let subprotocol = request.offered().next().map(str::to_owned);
        if let Some(name) = &subprotocol
            && !request.choose(name)
        {
            return Err(Refusal::new(400));
        }
        let fields = self.options.pass_headers.iter().flat_map(|name| {
            let values = request.headers(name);
            values.map(|value| (name.clone(), value.to_vec()))
        });
        request.keep(Passed {
            subprotocol,
            fields: fields.collect(),
        });
        Ok(())
    }

    fn on_answer(&self, answer: &hotsocket_plugin::Client) -> Result<(), PluginError> {
        let offered = answer
            .given::<Client>()
            .and_then(|client| client.1.as_deref());
        match offered {
            Some(name) if answer.subprotocol() != Some(name) => Err(PluginError::new(format!(
                "the server does not speak {name}, which the client was answered"
            ))),
            _ => Ok(()),
        }
    }

    fn on_connect_error(&self, error: &mut ConnectError) -> Next {
        let code = match error.client().status() {
            Some(429 | 503) => CloseCode::TRY_AGAIN_LATER,
            _ => CloseCode::BAD_GATEWAY,
        };
        log::warn!("no bridge to {}: {error}", error.client().url());
        if let Some(Client(client, _)) = error.take_given() {
            // One that has left meanwhile needs no word.
            let _ = client.notify(&Parcel::Close(code, "the server behind is not there").pack());
        }
        Next::GiveUp
    }

    fn open(&self, session: &mut Session) -> Result<Side, PluginError> {
        if let Some(Client(client, _)) = session.given() {
            // One that has left meanwhile has given up this session too.
            let _ = client.notify(&Parcel::Opened(session.id()).pack());
            return Ok(Side::server(client));
        }
        let passed: Passed = session
            .learnt()
            .ok_or_else(|| PluginError::new("nothing was kept of the opening handshake"))?;
        let client = Client(session.handle(), passed.subprotocol.clone());
        // What the client says has to wait for the server.
        session.pause();
        match session.host().connect(self.request(passed), client) {
            Ok(connect) => Ok(Side::client(connect)),
            Err(refused) => {
                log::warn!("no bridge to {}: {refused}", self.options.url);
                session.close(CloseCode::BAD_GATEWAY, "the server behind is not there");
                Ok(Side::alone())
            }
        }
    }
}

export_plugin!(Bridge);

#[cfg(test)]
mod tests;

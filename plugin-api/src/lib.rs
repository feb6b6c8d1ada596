//! Write protocols, HTTP handlers, extensions and policies for the Hotsocket server as plugins.
//!
//! A plugin is a `cdylib` crate with this one as its dependency:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! hotsocket-plugin = "0.1"
//! ```
//!
//! Its code is ordinary Rust, without `unsafe`. This is a whole plugin; built and dropped into the directory that a
//! host watches, it serves, and a newer build dropped over it takes over with no connection lost:
//!
//! ```standalone_crate
//! use hotsocket_plugin::prelude::*;
//!
//! #[derive(Default)]
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     const NAME: &'static str = "echo";
//!     fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
//!         session.send(message);
//!     }
//! }
//!
//! export_plugin!(Echo);
//! ```
//!
//! One value of [`Protocol`] is one session. The hooks and their rules are in its documentation; what a hook can ask
//! for is in [`Session`].
//!
//! # What sessions share
//!
//! A protocol with options, or with state that its sessions share, has an [`Instance`]: one value per vhost, made from
//! typed options. A [`SessionHandle`] reaches a session from anywhere; [`Sessions`] are all of a protocol.
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use hotsocket_plugin::{prelude::*, testing::{Outgoing, TestHost}};
//! use serde::Deserialize;
//!
//! /// A room: who comes in is counted and announced to all.
//! struct Room {
//!     greeting: String,
//!     guests: AtomicU64,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Options {
//!     greeting: String,
//! }
//!
//! impl Default for Options {
//!     fn default() -> Self {
//!         Self { greeting: "welcome".to_owned() }
//!     }
//! }
//!
//! struct Guest {
//!     number: u64,
//! }
//!
//! impl Instance for Room {
//!     type Session = Guest;
//!     type Options = Options;
//!     type Thread = ();
//!
//!     fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
//!         Ok(Self { greeting: options.greeting, guests: AtomicU64::new(0) })
//!     }
//!
//!     fn thread(&self, _host: &Host) {}
//!
//!     fn open(&self, session: &mut Session) -> Result<Guest, PluginError> {
//!         session.text(&self.greeting);
//!         Ok(Guest { number: self.guests.fetch_add(1, Ordering::Relaxed) + 1 })
//!     }
//! }
//!
//! impl Protocol for Guest {
//!     const NAME: &'static str = "room";
//!
//!     fn on_open(&mut self, session: &mut Session) {
//!         let news = format!("guest {} came in", self.number);
//!         if session.all().broadcast(&news, SlowPolicy::Drop).is_err() {
//!             session.close(CloseCode::TRY_AGAIN_LATER, "the room is busy");
//!         }
//!     }
//! }
//!
//! export_plugin!(Room);
//!
//! // The feature `testing` has a host for tests: it drives the plugin as the real one does.
//! let host = TestHost::new(plugin());
//! host.configure("room", r#"{"greeting": "hello"}"#).unwrap();
//! let guest = host.open("room");
//! assert_eq!(guest.sent(), [Outgoing::text("hello"), Outgoing::text("guest 1 came in")]);
//!
//! let refused = host.configure("room", r#"{"greting": "hello"}"#).unwrap_err();
//! assert_eq!(refused, "option `greting`: unknown field `greting`, expected `greeting`");
//! ```
//!
//! # HTTP
//!
//! A plugin can also answer HTTP, on the same port as the WebSocket: one value of [`HttpHandler`] is one exchange, a
//! request and its answer.
//!
//! ```standalone_crate
//! use hotsocket_plugin::prelude::*;
//!
//! #[derive(Default)]
//! struct Hello;
//!
//! impl HttpHandler for Hello {
//!     const NAME: &'static str = "hello";
//!     fn on_request(&mut self, exchange: &mut Exchange) {
//!         exchange.respond(Response::text(200, "hello"));
//!     }
//! }
//!
//! export_plugin!(http: Hello);
//! ```
//!
//! What the request says and what can be answered is in [`Exchange`]; a [`Response`] has the status, the fields and the
//! content. A handler with options or shared state has an [`HttpInstance`]. A protocol that answers HTTP from the
//! instance of its sessions implements [`ServesHttp`].
//!
//! ```standalone_crate
//! use hotsocket_plugin::{prelude::*, testing::{TestHost, TestRequest}};
//! use serde::Deserialize;
//!
//! /// Greets those who say their name.
//! struct Greeter {
//!     greeting: String,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Options {
//!     greeting: String,
//! }
//!
//! struct Greeting {
//!     greeting: String,
//! }
//!
//! impl HttpInstance for Greeter {
//!     type Exchange = Greeting;
//!     type Options = Options;
//!     type Thread = ();
//!
//!     fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
//!         Ok(Self { greeting: options.greeting })
//!     }
//!
//!     fn thread(&self, _host: &Host) {}
//!
//!     fn open(&self, _exchange: &mut Exchange) -> Result<Greeting, PluginError> {
//!         Ok(Greeting { greeting: self.greeting.clone() })
//!     }
//! }
//!
//! impl HttpHandler for Greeting {
//!     const NAME: &'static str = "greeter";
//!
//!     fn on_request(&mut self, exchange: &mut Exchange) {
//!         match exchange.query_value("name") {
//!             Some(name) => {
//!                 let text = format!("{}, {name}", self.greeting);
//!                 exchange.respond(Response::text(200, text).field("Cache-Control", "no-store"))
//!             }
//!             None => exchange.respond(Response::text(400, "say ?name=")),
//!         };
//!     }
//! }
//!
//! export_plugin!(http: Greeter);
//!
//! let host = TestHost::new(plugin());
//! host.configure("greeter", r#"{"greeting": "welcome"}"#).unwrap();
//! let exchange = host.request("greeter", TestRequest::get("/greeter?name=J%C3%BCrgen"));
//! assert_eq!((exchange.status(), exchange.text().as_str()), (Some(200), "welcome, Jürgen"));
//! let exchange = host.request("greeter", TestRequest::get("/greeter"));
//! assert_eq!(exchange.status(), Some(400));
//! ```
//!
//! An answer of any length is sent piece by piece: as long as there is room, and on when there is room again.
//!
//! ```standalone_crate
//! use hotsocket_plugin::{prelude::*, testing::{TestHost, TestRequest}};
//!
//! /// Counts down, from what the path says.
//! #[derive(Default)]
//! struct Countdown {
//!     left: u32,
//! }
//!
//! impl HttpHandler for Countdown {
//!     const NAME: &'static str = "countdown";
//!
//!     fn on_request(&mut self, exchange: &mut Exchange) {
//!         let from = exchange.path_below().trim_start_matches('/').parse();
//!         let Ok(from) = from else {
//!             exchange.respond(Response::text(404, "from where?"));
//!             return;
//!         };
//!         self.left = from;
//!         exchange.start(Response::new(200).field("Content-Type", "text/plain"), None);
//!         exchange.ask_writable();
//!     }
//!
//!     fn on_writable(&mut self, exchange: &mut Exchange) {
//!         while self.left > 0 {
//!             if exchange.send(format!("{}\n", self.left)) == Sent::Full {
//!                 exchange.ask_writable();
//!                 return;
//!             }
//!             self.left -= 1;
//!         }
//!         exchange.finish();
//!     }
//! }
//!
//! export_plugin!(http: Countdown);
//!
//! let host = TestHost::new(plugin());
//! let exchange = host.request("countdown", TestRequest::get("/countdown/3"));
//! assert_eq!(exchange.text(), "3\n2\n1\n");
//! assert!(exchange.is_finished());
//! ```
//!
//! # Extensions
//!
//! A plugin can also be, or have, an extension of the WebSocket: an [`Extension`] per vhost, and a [`Codec`] for each
//! connection that it was agreed on for, which gets the frames piece by piece and puts what it makes of them.
//!
//! ```standalone_crate
//! use hotsocket_plugin::prelude::*;
//!
//! /// Flips bits of every payload. Which ones, the peer says: `x-flip; with=42`.
//! struct Flip;
//!
//! struct Flipped {
//!     with: u8,
//! }
//!
//! impl Extension for Flip {
//!     const NAME: &'static str = "x-flip";
//!     type Codec = Flipped;
//!     type Options = NoOptions;
//!     type Thread = ();
//!
//!     fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
//!         Ok(Self)
//!     }
//!
//!     fn thread(&self, _host: &Host) {}
//!
//!     fn accept(
//!         &self,
//!         _call: &Call<()>,
//!         offer: &Parameters<'_>,
//!     ) -> Result<Option<Agreed<Flipped>>, PluginError> {
//!         let with = offer.get("with").flatten().and_then(|with| with.parse().ok());
//!         Ok(with.map(|with| {
//!             Agreed::new(Flipped { with })
//!                 .with_response(Parameters::new().with_value("with", with))
//!         }))
//!     }
//! }
//!
//! impl Flipped {
//!     fn flip(&self, piece: FramePiece<'_>, sink: &mut FrameSink) -> Result<(), Stop> {
//!         let flipped: Vec<u8> = piece.payload.iter().map(|byte| byte ^ self.with).collect();
//!         sink.put(piece.with_payload(&flipped))
//!     }
//! }
//!
//! impl Codec for Flipped {
//!     type Thread = ();
//!
//!     fn inbound(
//!         &mut self,
//!         _call: &Call<()>,
//!         piece: FramePiece<'_>,
//!         sink: &mut FrameSink,
//!     ) -> Result<(), Stop> {
//!         self.flip(piece, sink)
//!     }
//!
//!     fn outbound(
//!         &mut self,
//!         _call: &Call<()>,
//!         piece: FramePiece<'_>,
//!         sink: &mut FrameSink,
//!     ) -> Result<(), Stop> {
//!         self.flip(piece, sink)
//!     }
//! }
//!
//! export_plugin!(extensions: Flip);
//!
//! // The test host is the peer.
//! let host = hotsocket_plugin::testing::TestHost::new(plugin());
//! let mut connection = host.accept("x-flip", "with=1").unwrap().expect("accepted");
//! assert_eq!(connection.response(), "with=1");
//! let put = connection.outbound(FramePiece::whole(Opcode::TEXT, b"abc")).unwrap();
//! assert_eq!(put[0].payload, b"`cb");
//! assert!(host.accept("x-flip", "with=much").unwrap().is_none());
//! ```
//!
//! A protocol says by [`Protocol::EXTENSIONS`] and [`Instance::on_extension_offer`] which extensions may be used on its
//! connections.
//!
//! # Policies
//!
//! A plugin can also have a say on who may connect and what may be asked, before anything else has: a [`Policy`], which
//! acts where the config of the host names it.
//!
//! ```standalone_crate
//! use hotsocket_plugin::prelude::*;
//!
//! /// Only this machine may connect.
//! struct Local;
//!
//! impl Policy for Local {
//!     const NAME: &'static str = "local";
//!     type Options = NoOptions;
//!
//!     fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
//!         Ok(Self)
//!     }
//!
//!     fn on_accept(&self, connection: &Connection) -> Admission {
//!         match connection.peer() {
//!             Some(peer) if !peer.ip().is_loopback() => Admission::Refuse,
//!             _ => Admission::Accept,
//!         }
//!     }
//! }
//!
//! export_plugin!(policies: Local);
//! ```
//!
//! # What the host takes care of
//!
//! The WebSocket itself: handshakes, pings, close frames, limits, TLS. HTTP itself: keep-alive, pipelining, transfer
//! codings, limits, the fields that frame a message. What the plugin logs by the macros of `log` or
//! `tracing` becomes lines of the host's log, with plugin, version and generation. A panic ends the session it
//! happened in, with 1011 for the peer and a line in the log, or the exchange, with 500; it never ends the host, provided that the plugin is
//! built with unwinding, which [`export_plugin!`] insists on.
//!
//! # Linked instead of loaded
//!
//! [`export_plugin!`] also defines `pub fn plugin()`, which a program that embeds the host passes to it. Such a plugin
//! leaves the program's panic hook and loggers alone.

mod bridge;
mod call;
mod client;
mod client_request;
mod error;
mod exchange;
mod exchange_handle;
#[doc(hidden)]
pub mod export;
mod extension;
mod facts;
mod frame;
mod guard;
mod handle;
mod handshake;
mod host;
mod http;
mod http_request;
mod judged;
mod manifest;
mod message;
#[cfg(doctest)]
mod must_use;
mod options;
mod parameters;
mod policy;
mod policy_request;
mod protocol;
mod refusal;
mod response;
mod server_response;
mod session;
mod shim;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod whole_response;

/// The binary contract beneath; authors need none of it.
pub use hotsocket_abi as abi;

/// What `plugin()` gives; the same type for plugins and for the host that takes it.
pub use hotsocket_abi::StaticPlugin;

pub use call::{Call, FrameSink, Request, Stop};
pub use client::{Client, ConnectError, ConnectStage, Next};
pub use client_request::{ClientRequest, ConnectId, ConnectRefused};
pub use error::PluginError;
pub use exchange::Exchange;
pub use exchange_handle::{ExchangeHandle, ExchangeId};
pub use extension::{Agreed, Codec, Extension, Extensions};
pub use frame::{FramePiece, Opcode, Rsv};
pub use handle::{PostError, SessionHandle, SessionId, Sessions, SlowPolicy};
pub use handshake::Handshake;
pub use host::Host;
pub use http::{
    BodyDelivery, BodyPiece, EndedBy, ExchangeEnd, FileSent, HttpHandler, HttpInstance, ServesHttp,
};
pub use http_request::{HttpRequest, RequestHandle, RequestId};
pub use judged::{Admission, Connection, ConnectionOption, SetError, Verdict};
pub use message::{Close, CloseCode, ClosedBy, Kind, Message, Piece};
pub use parameters::Parameters;
pub use policy::Policy;
pub use policy_request::{AskAgain, PolicyRequest};
pub use protocol::{Delivery, Instance, NoOptions, Protocol};
pub use refusal::{FieldError, Refusal};
pub use response::{Fields, Response};
pub use server_response::{RequestError, RequestStage, ResponseHandler, ServerResponse, Trailer};
pub use session::{Role, Sent, Session, TimerId, Transport};
pub use tls::{Tls, TlsVersion};
pub use whole_response::WholeResponse;

/// Everything that a plugin usually names.
pub mod prelude {
    pub use crate::{
        Admission, Agreed, AskAgain, BodyDelivery, BodyPiece, Call, Client, ClientRequest, Close,
        CloseCode, ClosedBy, Codec, ConnectError, ConnectId, ConnectRefused, ConnectStage,
        Connection, ConnectionOption, Delivery, EndedBy, Exchange, ExchangeEnd, ExchangeHandle,
        ExchangeId, Extension, Extensions, FieldError, Fields, FileSent, FramePiece, FrameSink,
        Handshake, Host, HttpHandler, HttpInstance, HttpRequest, Instance, Kind, Message, Next,
        NoOptions, Opcode, Parameters, Piece, PluginError, Policy, PolicyRequest, PostError,
        Protocol, Refusal, Request, RequestError, RequestHandle, RequestId, RequestStage, Response,
        ResponseHandler, Role, Rsv, Sent, ServerResponse, ServesHttp, Session, SessionHandle,
        SessionId, Sessions, SetError, SlowPolicy, Stop, TimerId, Trailer, Verdict, WholeResponse,
        export_plugin,
    };
}

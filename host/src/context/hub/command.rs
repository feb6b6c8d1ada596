//! What service threads are told by others, and by themselves.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{
    connection::content::FileAnswer,
    context::{
        asking::Asking,
        outgoing::{Connecting, Slot},
        roster::SetId,
        vhosts::Vhosts,
    },
    limits::Limits,
    net::{adopting::Adopting, listening::ListenChange, mailbox::Weight, token::ConnectionId},
    wire::MessageKind,
};

/// What can be done with a session from outside its own hooks; and with an exchange, where it makes sense.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Sends a whole message.
    Send(MessageKind, Arc<[u8]>),
    /// Sends a ping.
    Ping(Arc<[u8]>),
    /// Sends a pong.
    Pong(Arc<[u8]>),
    /// Begins the closing handshake; code 0 sends none.
    Close(u16, Arc<str>),
    /// Ends the transport at once.
    HangUp,
    /// Has the session told when there is room to send.
    AskWritable,
    /// Stops reading.
    Pause,
    /// Reads on.
    Resume,
    /// Tells the session something.
    Notify(Arc<[u8]>),
    /// A policy knows what it did not know of a request.
    AskAgain,
}

/// What can be done with a plain request from outside its own calls.
#[derive(Clone, Debug)]
pub enum RequestOperation {
    /// Sends a piece of the body.
    Send(Arc<[u8]>),
    /// Ends the body.
    Finish,
    /// Has the handler told when there is room for more of it.
    AskWritable,
    /// Stops reading the answer.
    Pause,
    /// Reads on.
    Resume,
}

/// What a broadcast does with a session that is above its high mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SlowPolicy {
    /// Leaves this message out for it.
    Drop,
    /// Closes it with 1013.
    #[default]
    Close,
}

/// What a service thread can be told.
#[derive(Clone, Debug)]
pub enum Command {
    /// Something for one session.
    One(ConnectionId, Operation),
    /// Something for one exchange of a connection, by its number.
    Exchange(ConnectionId, u32, Operation),
    /// Something for all sessions of a set.
    All(SetId, Operation),
    /// A frame, ready to be sent, for all sessions of a set.
    Broadcast(SetId, Arc<[u8]>, SlowPolicy),
    /// The program closes a session.
    CloseOne(ConnectionId, u16, Arc<str>),
    /// The program ends a connection, whatever is spoken over it.
    Abort(ConnectionId),
    /// The program has accepted a stream.
    Adopt(Arc<Adopting>),
    /// The answer of an exchange was made out of files.
    File(ConnectionId, u32, Box<FileAnswer>),
    /// A stretch of a file that an exchange is answered with is in memory now, or cannot be read.
    Warmed(ConnectionId, u32, Result<(), Errno>),
    /// The addresses of a name that a connection is dialled to, by the number of the lookup; or why there are none.
    Resolved(ConnectionId, u32, Result<Vec<SocketAddr>, String>),
    /// The address of the peer of a connection has this name.
    PeerName(ConnectionId, IpAddr, Arc<str>),
    /// New sessions and exchanges are bound by these routes.
    Install(Arc<Vhosts>),
    /// These limits hold for what begins from now on.
    Limits(Arc<Limits>),
    /// It is listened elsewhere from now on.
    Listen(Arc<ListenChange>),
    /// The sessions of these instances are closed with 1012, their exchanges ended.
    DrainInstances(Arc<[u64]>),
    /// A connection is to be opened.
    Connect(Arc<Slot<Connecting>>),
    /// A plain request is to be sent.
    Ask(Arc<Slot<Asking>>, u64),
    /// Something for a plain request that goes on, by its number.
    Request(u64, RequestOperation),
    /// Nobody wants a connection any more that is not open, or a plain request, by its number.
    GiveUp(u64),
    /// The host goes away: nothing new is accepted, all sessions are closed with 1001.
    Drain,
    /// The service thread ends after so many milliseconds, whatever is still open then.
    Stop(u64),
}

impl Weight for Command {
    fn bytes(&self) -> u64 {
        let (Self::One(_, operation) | Self::Exchange(_, _, operation) | Self::All(_, operation)) =
            self
        else {
            return match self {
                Self::Broadcast(_, frame, _) => frame.len() as u64,
                Self::CloseOne(_, _, reason) => reason.len() as u64,
                Self::Adopt(adopting) => adopting.prefix_bytes(),
                Self::Ask(_, body_bytes) => *body_bytes,
                Self::Request(_, RequestOperation::Send(piece)) => piece.len() as u64,
                _ => 0,
            };
        };
        match operation {
            Operation::Send(_, payload)
            | Operation::Ping(payload)
            | Operation::Pong(payload)
            | Operation::Notify(payload) => payload.len() as u64,
            Operation::Close(_, reason) => reason.len() as u64,
            _ => 0,
        }
    }
}

/// Why something was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// The session has ended.
    Stale,
    /// Too much waits for its service thread.
    Full,
}

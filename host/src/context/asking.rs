//! A plain request on its way to its service thread.

use crate::context::{
    client_share::ClientSeat, http_request::HttpRequest, outgoing::Whose,
    response_handler::Listener,
};

/// See the module.
#[derive(Debug)]
pub struct Asking {
    pub(crate) number: u64,
    /// The instance that asks, which lives on until the request is over; none for a program.
    pub(crate) whose: Option<Whose>,
    pub(crate) request: HttpRequest,
    pub(crate) listener: Listener,
    pub(crate) seat: ClientSeat,
}

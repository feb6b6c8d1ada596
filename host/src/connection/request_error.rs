//! Why a plain request of a client has no answer, or not all of one: how far it came, and what happened there.

use std::fmt;

use crate::{
    connection::{
        client_exchange::ExchangeError,
        client_redirect::RedirectError,
        opening::{OpeningCause, OpeningError, Stage},
    },
    wire::answer_head::HeldAnswer,
};

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStage {
    /// The addresses of the host were looked up.
    Resolve,
    /// The transport was connected.
    Connect,
    /// The proxy was looked up, connected to or asked for a tunnel.
    Proxy,
    /// TLS was agreed on.
    Tls,
    /// The request was sent, and the head of its answer awaited.
    Request,
    /// The head of the answer had come.
    Response,
}

/// Why a request has no answer, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {cause}")]
pub struct RequestError {
    /// How far it came.
    pub stage: RequestStage,
    /// What happened there.
    pub cause: RequestCause,
    /// What a proxy answered in place of a tunnel, with the start of its content.
    pub answer: Option<Box<HeldAnswer>>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestCause {
    /// On the way to the server.
    #[error(transparent)]
    Way(#[from] OpeningCause),
    /// The answer cannot be read, or not to its end.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It redirects to where nobody follows.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The server is silent.
    #[error("nothing came in time: see limits.client_answer_ms, or the time that was given")]
    Late,
    /// What the transport has to say.
    #[error("{0}")]
    Transport(String),
    /// The body has another length than the request said.
    #[error("the body of the request has another length than was announced")]
    Body,
    /// The content is longer than whoever gathers it wants.
    #[error("the content of the response is longer than the {0} bytes that were asked for")]
    TooLong(u64),
    /// Our side gave it up.
    #[error("{0}")]
    GivenUp(String),
}

impl RequestError {
    /// So far it came, and then this.
    #[must_use]
    pub fn new(stage: RequestStage, cause: impl Into<RequestCause>) -> Self {
        Self {
            stage,
            cause: cause.into(),
            answer: None,
        }
    }

    /// Our side gave it up before there was a connection.
    #[must_use]
    pub fn given_up(why: impl Into<String>) -> Self {
        Self::new(RequestStage::Connect, RequestCause::GivenUp(why.into()))
    }

    /// Whether the same may succeed later: the server could not be reached, was too slow, or left in the middle.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match &self.cause {
            RequestCause::Way(cause) => OpeningError {
                stage: self.stage.on_the_way(),
                cause: cause.clone(),
                answer: None,
            }
            .may_pass(),
            RequestCause::Exchange(error) => {
                matches!(error, ExchangeError::NoAnswer | ExchangeError::Truncated)
            }
            RequestCause::Late | RequestCause::Transport(_) => true,
            _ => false,
        }
    }
}

impl From<OpeningError> for RequestError {
    fn from(error: OpeningError) -> Self {
        Self {
            stage: match error.stage {
                Stage::Resolve => RequestStage::Resolve,
                Stage::Connect => RequestStage::Connect,
                Stage::Proxy => RequestStage::Proxy,
                Stage::Tls => RequestStage::Tls,
                Stage::Handshake | Stage::Status => RequestStage::Request,
            },
            cause: error.cause.into(),
            answer: error.answer.map(Box::new),
        }
    }
}

impl RequestStage {
    /// The same as connections have it that become WebSockets.
    const fn on_the_way(self) -> Stage {
        match self {
            Self::Resolve => Stage::Resolve,
            Self::Connect => Stage::Connect,
            Self::Proxy => Stage::Proxy,
            Self::Tls => Stage::Tls,
            Self::Request | Self::Response => Stage::Handshake,
        }
    }
}

impl fmt::Display for RequestStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("waiting for the response"),
            Self::Response => f.write_str("reading the response"),
            // As it is told of a WebSocket.
            stage => stage.on_the_way().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_how_far_it_came_and_whether_the_same_may_succeed_later() {
        let error = RequestError::from(OpeningError::before(
            Stage::Connect,
            "nobody there".to_owned(),
        ));
        assert_eq!(error.to_string(), "connecting: nobody there");
        assert!(error.may_pass());
        let error = RequestError::new(RequestStage::Response, ExchangeError::Truncated);
        let told =
            "reading the response: the server closed the connection in the middle of the response";
        assert_eq!(error.to_string(), told);
        assert!(error.may_pass());
        assert!(!RequestError::given_up("nobody wants it").may_pass());
        let error = RequestError::new(RequestStage::Request, ExchangeError::Switched);
        assert!(!error.may_pass());
    }
}

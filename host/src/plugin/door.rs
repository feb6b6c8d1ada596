//! What the connections and plain requests of an instance go through: before it serves they wait, and when it is gone there
//! are none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hotsocket_abi::STATUS_CLOSED;

use crate::{
    connection::request_error::RequestError,
    context::{
        asking::Asking,
        handler::ProtocolHandler,
        hub::Hub,
        outgoing::{Connecting, Whose},
        roster::SetId,
        routes::Route,
    },
    plugin::{connect_calls::Refused, generation::Generation},
};

/// See the module.
#[derive(Debug)]
pub struct Door {
    state: Mutex<State>,
    generation: Weak<Generation>,
    /// Whether connections may become sessions of it.
    pub(crate) has_sessions: bool,
}

#[derive(Debug)]
enum State {
    /// It does not serve yet.
    Waiting(Vec<Begun>),
    Open(Whose),
    Closed,
}

/// What an instance has begun.
#[derive(Debug)]
pub(crate) enum Begun {
    Connecting(Box<Connecting>),
    Asking(Box<Asking>),
}

impl Door {
    /// Of an instance of this generation.
    #[must_use]
    pub fn new(generation: &Arc<Generation>, has_sessions: bool) -> Self {
        Self {
            state: Mutex::new(State::Waiting(Vec::new())),
            generation: Arc::downgrade(generation),
            has_sessions,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only whole values are put there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn generation(&self) -> Option<Arc<Generation>> {
        self.generation.upgrade()
    }

    /// The instance serves: what waited is begun.
    pub(crate) fn open(&self, route: &Route, handler: Weak<dyn ProtocolHandler>, hub: &Hub) {
        let (key, set): (u64, SetId) = (route.instance, route.set);
        let mut state = self.lock();
        if !matches!(*state, State::Waiting(_)) {
            return;
        }
        let whose = Whose::Instance { key, handler, set };
        let before = std::mem::replace(&mut *state, State::Open(whose.clone()));
        drop(state);
        if let State::Waiting(waiting) = before {
            for begun in waiting {
                if let Err(begun) = begun.begin(whose.clone(), hub) {
                    begun.turn_away();
                }
            }
        }
    }

    /// Begins, or has it wait.
    ///
    /// # Errors
    ///
    /// Why not, and what was to be begun.
    pub(crate) fn enter(&self, begun: Begun, hub: &Hub) -> Result<(), (Refused, Begun)> {
        let mut state = self.lock();
        let whose = match &mut *state {
            State::Open(whose) => whose.clone(),
            State::Waiting(waiting) => {
                waiting.push(begun);
                return Ok(());
            }
            State::Closed => {
                let why = "the instance is gone, and opens nothing any more";
                return Err((Refused(STATUS_CLOSED, why.to_owned()), begun));
            }
        };
        drop(state);
        let begun = begun.begin(whose, hub);
        begun.map_err(|begun| (Refused::full("commands_count"), begun))
    }

    /// The instance is gone.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *self.lock(), State::Closed);
        // Outside of the lock: what was given is the plugin's to free.
        if let State::Waiting(waiting) = before {
            for begun in waiting {
                if let Begun::Asking(asking) = begun {
                    let gone = RequestError::given_up("the instance that asks is gone");
                    asking.listener.end(Err(gone));
                }
            }
        }
    }
}

impl Begun {
    fn begin(self, whose: Whose, hub: &Hub) -> Result<(), Self> {
        match self {
            Self::Connecting(connecting) => {
                let connecting = Connecting {
                    whose,
                    ..*connecting
                };
                let begun = hub.connect(connecting);
                begun.map_err(Self::Connecting)
            }
            Self::Asking(asking) => {
                let whose = Some(whose);
                let begun = hub.ask(Asking { whose, ..*asking });
                begun.map_err(Self::Asking)
            }
        }
    }

    /// There is no room for it, and nobody to tell but the log.
    fn turn_away(self) {
        let why = "too much waits for the service thread; see limits.commands_count";
        match self {
            Self::Connecting(connecting) => {
                let url = &connecting.request.url;
                tracing::warn!(target: "hotsocket::plugin", %url, "nothing is connected: {why}");
            }
            Self::Asking(asking) => asking.listener.end(Err(RequestError::given_up(why))),
        }
    }
}

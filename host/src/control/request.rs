//! What may be asked of a running host, and what it answers.

use std::sync::mpsc::{Receiver, Sender, channel};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::publication::Publication;

/// Something asked of a running host; written as one line, `{"command":"plugin-list"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlRequest {
    /// Every plugin with its generations, as `plugins`.
    PluginList {},
    /// Load the file of this plugin again, also when its bytes failed before.
    PluginReload {
        /// The name in the manifest.
        name: String,
        /// Also when the new version lacks a protocol that is mounted.
        #[serde(default)]
        force: bool,
    },
    /// How many connections there are and may be, in all and by vhost, as `connections`.
    Connections {},
    /// Sends a message to all sessions of a protocol on a vhost; tells how many there were, as `published`.
    Publish(Publication),
    /// The levels of the log, as `log`.
    LogLevels {},
    /// Sets one level of the log.
    LogLevel {
        /// One of the level words, or `default` to take the level back.
        level: String,
        /// Whose level it is; with neither this nor `plugin` that of all the rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The plugin whose level it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plugin: Option<String>,
    },
}

/// What the host answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it may be a refusal"]
pub enum Answer {
    /// Done; what there is to tell, by key.
    Done(Map<String, Value>),
    /// Not done.
    Refused {
        /// What is wrong.
        error: String,
        /// What to do about it; may be empty.
        mend: String,
    },
}

impl Answer {
    pub(super) fn refused(error: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Refused {
            error: error.into(),
            mend: mend.into(),
        }
    }

    /// As it crosses: `{"ok":true,...}` or `{"ok":false,"error":"...","mend":"..."}`.
    pub(super) fn to_json(&self) -> Value {
        let mut members = Map::new();
        match self {
            Self::Done(told) => {
                members.clone_from(told);
                members.insert("ok".to_owned(), true.into());
            }
            Self::Refused { error, mend } => {
                members.insert("ok".to_owned(), false.into());
                members.insert("error".to_owned(), error.as_str().into());
                members.insert("mend".to_owned(), mend.as_str().into());
            }
        }
        members.into()
    }

    /// `None` when it is no answer.
    pub(super) fn from_json(value: Value) -> Option<Self> {
        let Value::Object(mut members) = value else {
            return None;
        };
        let text = |name: &str| {
            members
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match members.get("ok")?.as_bool()? {
            false => Some(Self::refused(text("error"), text("mend"))),
            true => {
                members.remove("ok");
                Some(Self::Done(members))
            }
        }
    }
}

/// The way back to the client. Dropped without an answer, it tells that the host is ending.
#[derive(Debug)]
#[must_use = "who asked waits for it"]
pub struct Reply(Sender<Answer>);

impl Reply {
    pub(super) fn new() -> (Self, Receiver<Answer>) {
        let (sender, receiver) = channel();
        (Self(sender), receiver)
    }

    /// Done, with nothing to tell.
    pub fn done(self) {
        self.send(Answer::Done(Map::new()));
    }

    /// Done, and this is what there is to tell under `key`.
    pub fn tell(self, key: &str, value: Value) {
        self.send(Answer::Done(Map::from_iter([(key.to_owned(), value)])));
    }

    /// Not done: why, and what to do about it.
    pub fn refuse(self, error: impl Into<String>, mend: impl Into<String>) {
        self.send(Answer::refused(error, mend));
    }

    fn send(self, answer: Answer) {
        // The client may have given up waiting; then there is nobody to tell.
        let _ = self.0.send(answer);
    }
}

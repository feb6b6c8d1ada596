//! What can be told about plugins, as plain values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::generation::{Generation, State};
use super::refusal::{Refusal, lossy};

/// One line of `hotsocket plugin list`: a generation, or a file that serves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginRow {
    /// The name of the plugin; none when its manifest could not be read.
    pub name: Option<String>,
    /// The version that the plugin says it has.
    pub version: Option<String>,
    /// The number of the generation.
    pub generation: Option<u64>,
    /// Where it is in its life.
    pub state: RowState,
    /// How many sessions and exchanges it has.
    pub sessions: u64,
    /// Its protocols that answer HTTP.
    pub http: Vec<String>,
    /// What the plugin counts, by name; of all its generations together, so the same in each of its rows.
    pub counters: BTreeMap<String, u64>,
    /// The file, as it is named in the plugin directory.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// Why the present content of the file is not served.
    pub last_error: Option<Refusal>,
}

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowState {
    /// New sessions bind it.
    Serving,
    /// It has sessions, but gets no new ones.
    Draining,
    /// It has none left. Its library stays mapped.
    Retired,
    /// The file was refused, and nothing of it serves.
    Refused,
}

impl From<State> for RowState {
    fn from(state: State) -> Self {
        match state {
            State::Serving => Self::Serving,
            State::Draining => Self::Draining,
            State::Retired => Self::Retired,
        }
    }
}

impl PluginRow {
    pub(crate) fn of_generation(generation: &Generation, refusal: Option<&Refusal>) -> Self {
        Self {
            name: Some(generation.plugin.clone()),
            version: Some(generation.version.clone()),
            generation: Some(generation.number),
            state: generation.state().into(),
            sessions: generation.sessions(),
            http: generation.http.clone(),
            counters: BTreeMap::new(),
            file: generation.file.clone(),
            last_error: refusal.cloned(),
        }
    }

    pub(crate) fn of_refusal(plugin: Option<&str>, refusal: &Refusal) -> Self {
        Self {
            name: plugin.map(ToOwned::to_owned),
            version: None,
            generation: None,
            state: RowState::Refused,
            sessions: 0,
            http: Vec::new(),
            counters: BTreeMap::new(),
            file: refusal.file.clone(),
            last_error: Some(refusal.clone()),
        }
    }
}

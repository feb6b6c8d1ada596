//! Configurations.

use serde_json::{Value, json};

/// What a configuration file says, built up.
pub(crate) struct Config(Value);

impl Config {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(json!({}))
    }

    /// With a key of the top level.
    pub(crate) fn key(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0[name] = value.into();
        self
    }

    /// With this limit.
    pub(crate) fn limit(mut self, name: &str, value: u64) -> Self {
        self.0["limits"][name] = value.into();
        self
    }

    /// With this mount.
    pub(crate) fn mount(mut self, point: &str, mount: Value) -> Self {
        self.0["mounts"][point] = mount;
        self
    }

    /// With these options of a protocol.
    pub(crate) fn options(mut self, protocol: &str, options: Value) -> Self {
        self.0["protocols"][protocol]["options"] = options;
        self
    }

    /// With an extension, offered behind those that were named before, and its options.
    pub(crate) fn extension(mut self, name: &str, options: Value) -> Self {
        self.0["extensions"][name]["options"] = options;
        self
    }

    /// Without an extension.
    pub(crate) fn without_extension(mut self, name: &str) -> Self {
        self.0["extensions"][name]["offer"] = false.into();
        self
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("a value can be written")
    }
}

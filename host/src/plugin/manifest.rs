//! What a plugin says of itself: its name, its version, its protocols.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::refusal::{Fault, Stage};
use crate::context::handler::AllowedExtensions;

/// Longest name or version, in bytes. A name becomes part of a file name, which may have 255.
const NAME_BYTES: usize = 128;

/// The manifest behind the stamp. Keys it does not know are ignored, so that a plugin may be newer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Manifest {
    /// The name of the plugin: what it is known by, whatever its file is called.
    pub plugin: String,
    /// The version of the plugin, for people.
    pub version: String,
    /// The protocols, in the order of the declaration.
    #[serde(default)]
    pub protocols: Vec<ProtocolManifest>,
    /// The extensions, in the order of the declaration.
    #[serde(default)]
    pub extensions: Vec<ExtensionManifest>,
    /// The policies, in the order of the declaration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyManifest>,
}

/// Something that one plugin of a host provides, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provided<'a> {
    /// A protocol.
    Protocol(&'a str),
    /// A policy.
    Policy(&'a str),
}

impl fmt::Display for Provided<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(name) => write!(f, "the protocol {name}"),
            Self::Policy(name) => write!(f, "the policy {name}"),
        }
    }
}

/// One protocol of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ProtocolManifest {
    /// The name: the subprotocol, and the path in zero configuration.
    pub name: String,
    /// A number that its sessions can read.
    #[serde(default)]
    pub id: u32,
    /// How messages reach it.
    #[serde(default)]
    pub delivery: Delivery,
    /// With pieces: the size in bytes up to which a frame comes in one piece.
    #[serde(default)]
    pub rx_chunk: u64,
    /// Whether it wants to hear of pongs.
    #[serde(default)]
    pub pongs: bool,
    /// Which extensions may be used on its connections.
    #[serde(default, skip_serializing_if = "AllowedExtensions::are_all")]
    pub extensions: AllowedExtensions,
    /// The fields of the opening handshake that its sessions can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep_headers: Vec<String>,
    /// How long the value of each session is, in bytes, without what it points to. None if that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_bytes: Option<u64>,
    /// Whether it has sessions.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub websocket: bool,
    /// Whether it answers HTTP.
    #[serde(default, skip_serializing_if = "is_no")]
    pub http: bool,
    /// With HTTP: it wants bodies whole, up to so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
}

/// One extension of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ExtensionManifest {
    /// The name in Sec-WebSocket-Extensions.
    pub name: String,
}

/// One policy of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PolicyManifest {
    /// The name by which the config asks for it.
    pub name: String,
}

/// How messages reach a protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Whole.
    #[default]
    Messages,
    /// As they come from the wire.
    Pieces,
}

impl Manifest {
    /// Reads a manifest and refuses names that are no names.
    ///
    /// # Errors
    ///
    /// At [`Stage::Manifest`] or [`Stage::Names`].
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let manifest: Self = serde_json::from_slice(text).map_err(|error| {
            Fault::new(
                Stage::Manifest,
                format!("the manifest cannot be read: {error}"),
                "rebuild the plugin with a current hotsocket-plugin",
            )
        })?;
        token("plugin name", &manifest.plugin)?;
        printable(&manifest.version)?;
        let Self {
            protocols,
            extensions,
            policies,
            ..
        } = &manifest;
        if protocols.is_empty() && extensions.is_empty() && policies.is_empty() {
            return Err(Fault::new(
                Stage::Manifest,
                "the plugin has no protocol, no extension and no policy",
                "name at least one in export_plugin!",
            ));
        }
        let protocols = manifest.protocols.iter();
        distinct("protocol", protocols.map(|protocol| &*protocol.name))?;
        for protocol in &manifest.protocols {
            protocol.refuse_contradictions()?;
        }
        let extensions = manifest.extensions.iter();
        distinct("extension", extensions.map(|extension| &*extension.name))?;
        let policies = manifest.policies.iter();
        distinct("policy", policies.map(|policy| &*policy.name))?;
        Ok(manifest)
    }

    /// The names of the protocols that answer HTTP.
    #[must_use]
    pub fn answering_http(&self) -> Vec<String> {
        let answering = self.protocols.iter().filter(|protocol| protocol.http);
        answering.map(|protocol| protocol.name.clone()).collect()
    }

    /// How long a session of each protocol is, in bytes, as far as that is told.
    #[must_use]
    pub fn session_bytes(&self) -> BTreeMap<String, u64> {
        let protocols = self.protocols.iter();
        protocols
            .filter_map(|protocol| Some((protocol.name.clone(), protocol.session_bytes?)))
            .collect()
    }

    /// Whether the plugin provides that.
    #[must_use]
    pub fn provides(&self, what: Provided<'_>) -> bool {
        match what {
            Provided::Protocol(name) => self.protocols.iter().any(|own| own.name == name),
            Provided::Policy(name) => self.policies.iter().any(|own| own.name == name),
        }
    }

    /// All that it provides and one plugin only may provide.
    pub fn provided(&self) -> impl Iterator<Item = Provided<'_>> {
        let protocols = self.protocols.iter();
        let policies = self.policies.iter();
        let protocols = protocols.map(|own| Provided::Protocol(&own.name));
        protocols.chain(policies.map(|own| Provided::Policy(&own.name)))
    }
}

impl ProtocolManifest {
    fn refuse_contradictions(&self) -> Result<(), Fault> {
        let cause = if !self.websocket && !self.http {
            "has neither sessions nor HTTP"
        } else if self.body_bytes.is_some() && !self.http {
            "says how it wants bodies, but not that it answers HTTP"
        } else {
            return Ok(());
        };
        Err(Fault::new(
            Stage::Manifest,
            format!("the protocol {} {cause}", self.name),
            "rebuild the plugin with a current hotsocket-plugin",
        ))
    }
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
const fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
const fn is_no(value: &bool) -> bool {
    !*value
}

/// Tokens, each once.
fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for name in names {
        token(&format!("{what} name"), name)?;
        if !seen.insert(name) {
            return Err(Fault::new(
                Stage::Names,
                format!("the {what} {name} is there twice"),
                format!("give each {what} of the plugin a name of its own"),
            ));
        }
    }
    Ok(())
}

/// A token as RFC 7230, section 3.2.6 has it: what a subprotocol must be (RFC 6455, section 4.1).
fn token(what: &str, name: &str) -> Result<(), Fault> {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(is_token_byte) {
        return Ok(());
    }
    Err(Fault::new(
        Stage::Names,
        format!("the {what} {name:?} is no token"),
        format!(
            "use 1 to {NAME_BYTES} letters, digits and !#$%&'*+-.^_`|~, without spaces or slashes"
        ),
    ))
}

fn printable(version: &str) -> Result<(), Fault> {
    if !version.is_empty() && version.len() <= NAME_BYTES && !version.contains(char::is_control) {
        return Ok(());
    }
    Err(Fault::new(
        Stage::Manifest,
        format!("the version {version:?} is none"),
        format!("use 1 to {NAME_BYTES} bytes without control characters"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        Manifest::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_left_out_has_a_default_and_unknown_keys_are_ignored() {
        let manifest = Manifest::parse(
            br#"{"plugin":"chat","version":"1.2.0","color":"red","protocols":[
                {"name":"chat"},
                {"name":"chat.raw","id":7,"delivery":"pieces","rx_chunk":4096,"pongs":true}]}"#,
        )
        .unwrap();
        assert_eq!(manifest.protocols[0].delivery, Delivery::Messages);
        assert_eq!(manifest.protocols[1].rx_chunk, 4096);
        let provides = |name| manifest.provides(Provided::Protocol(name));
        assert!(provides("chat.raw") && !provides("raw"));
        assert!(!manifest.provides(Provided::Policy("chat.raw")));
    }

    #[test]
    fn a_protocol_says_which_extensions_may_be_used() {
        let allowed = |text: &str| {
            let text =
                format!(r#"{{"plugin":"p","version":"1","protocols":[{{"name":"a"{text}}}]}}"#);
            let manifest = Manifest::parse(text.as_bytes()).unwrap();
            let extensions = &manifest.protocols[0].extensions;
            ["x", "y"].map(|name| extensions.include(name))
        };
        assert_eq!(allowed(""), [true, true]);
        assert_eq!(allowed(r#","extensions":{"only":["x"]}"#), [true, false]);
        assert_eq!(allowed(r#","extensions":{"only":[]}"#), [false, false]);
        assert_eq!(allowed(r#","extensions":{"except":["x"]}"#), [false, true]);
    }

    #[test]
    fn a_protocol_has_sessions_answers_http_or_does_both() {
        let manifest = |text: &str| {
            let text =
                format!(r#"{{"plugin":"p","version":"1","protocols":[{{"name":"a"{text}}}]}}"#);
            Manifest::parse(text.as_bytes()).map(|manifest| manifest.protocols[0].clone())
        };
        let sessions = manifest("").unwrap();
        assert!(sessions.websocket && !sessions.http);
        let both = manifest(r#","http":true,"body_bytes":4096"#).unwrap();
        assert!(both.websocket && both.http && both.body_bytes == Some(4096));
        let only = manifest(r#","http":true,"websocket":false"#).unwrap();
        assert!(!only.websocket && only.http);
        let refused = |text: &str| manifest(text).unwrap_err().cause;
        assert_eq!(
            refused(r#","websocket":false"#),
            "the protocol a has neither sessions nor HTTP"
        );
        assert_eq!(
            refused(r#","body_bytes":1"#),
            "the protocol a says how it wants bodies, but not that it answers HTTP"
        );
    }

    #[test]
    fn a_name_that_is_no_token_is_refused() {
        for name in ["", "two words", "a/b", "naïve", "tab\\t"] {
            let text =
                format!(r#"{{"plugin":"{name}","version":"1","protocols":[{{"name":"p"}}]}}"#);
            assert_eq!(fault(&text).stage, Stage::Names, "{name:?}");
        }
        let text = r#"{"plugin":"p","version":"1","protocols":[{"name":"a,b"}]}"#;
        assert_eq!(fault(text).cause, "the protocol name \"a,b\" is no token");
    }

    #[test]
    fn a_plugin_has_protocols_or_extensions_and_each_once() {
        assert_eq!(
            fault(r#"{"plugin":"p","version":"1"}"#).cause,
            "the plugin has no protocol, no extension and no policy"
        );
        let twice = r#"{"plugin":"p","version":"1","protocols":[{"name":"a"},{"name":"a"}]}"#;
        assert_eq!(fault(twice).cause, "the protocol a is there twice");
        let twice = r#"{"plugin":"p","version":"1","extensions":[{"name":"x"},{"name":"x"}]}"#;
        assert_eq!(fault(twice).cause, "the extension x is there twice");
        let twice = r#"{"plugin":"p","version":"1","policies":[{"name":"y"},{"name":"y"}]}"#;
        assert_eq!(fault(twice).cause, "the policy y is there twice");
        let one = br#"{"plugin":"p","version":"1","policies":[{"name":"y"}]}"#;
        assert_eq!(Manifest::parse(one).unwrap().policies[0].name, "y");
        let one = br#"{"plugin":"p","version":"1","extensions":[{"name":"x"}]}"#;
        assert_eq!(Manifest::parse(one).unwrap().extensions[0].name, "x");
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"plugin":1}"#,
            r#"{"plugin":"p","version":"1","protocols":[{"name":"a","delivery":"pigeon"}]}"#,
            r#"{"plugin":"p","version":"1","protocols":[{"name":"a","extensions":{"never":[]}}]}"#,
            r#"{"plugin":"p","version":"","protocols":[{"name":"a"}]}"#,
        ] {
            assert_eq!(fault(text).stage, Stage::Manifest, "{text}");
        }
    }
}

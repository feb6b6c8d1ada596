//! What the manifest of a plugin says, as far as tests need it.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Manifest {
    pub(super) protocols: Vec<ManifestProtocol>,
    #[serde(default)]
    pub(super) extensions: Vec<ManifestExtension>,
    #[serde(default)]
    pub(super) policies: Vec<ManifestPolicy>,
}

#[derive(Deserialize)]
pub(super) struct ManifestProtocol {
    pub(super) name: String,
    pub(super) id: u32,
    /// The body of a request comes whole, up to so many bytes.
    pub(super) body_bytes: Option<u32>,
    #[serde(default)]
    pub(super) extensions: AllowedExtensions,
    #[serde(default)]
    pub(super) keep_headers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AllowedExtensions {
    #[default]
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

impl AllowedExtensions {
    pub(super) fn include(&self, name: &str) -> bool {
        let is_named = |names: &[String]| names.iter().any(|other| other == name);
        match self {
            Self::All => true,
            Self::Only(names) => is_named(names),
            Self::Except(names) => !is_named(names),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ManifestExtension {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct ManifestPolicy {
    pub(super) name: String,
}

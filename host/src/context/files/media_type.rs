//! Media types of files, by the extension of their names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::mount::FilesError;
use crate::wire::fields::{check, is_token};

const UNKNOWN: &str = "application/octet-stream";

/// The media types that were written in a config.
#[derive(Debug, Default)]
pub(crate) struct MediaTypes(BTreeMap<String, String>);

impl MediaTypes {
    /// Takes extensions with or without a dot, in any case of letters.
    pub(crate) fn new(written: BTreeMap<String, String>) -> Result<Self, FilesError> {
        let mut types = BTreeMap::new();
        for (extension, value) in written {
            if !is_media_type(&value) {
                return Err(FilesError::Type { extension, value });
            }
            types.insert(extension.trim_start_matches('.').to_lowercase(), value);
        }
        Ok(Self(types))
    }

    /// The type for a name or a path. Texts are taken for UTF-8 unless the type says otherwise by a parameter.
    pub(crate) fn of(&self, name: &[u8]) -> String {
        let extension = Path::new(OsStr::from_bytes(name)).extension();
        let extension = extension.and_then(OsStr::to_str).unwrap_or_default();
        let extension = extension.to_lowercase();
        let known = || mime_guess::from_ext(&extension).first_raw();
        let written = self.0.get(&extension).map(String::as_str);
        let media_type = written.or_else(known).unwrap_or(UNKNOWN);
        if media_type.starts_with("text/") && !media_type.contains(';') {
            format!("{media_type}; charset=utf-8")
        } else {
            media_type.to_owned()
        }
    }
}

/// RFC 9110 section 8.3.1; parameters are left to who writes them.
fn is_media_type(value: &str) -> bool {
    let bare = value.split(';').next().unwrap_or_default().trim_end();
    bare.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind.as_bytes()) && is_token(subtype.as_bytes()))
        && check("Content-Type", value.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_extension_and_texts_are_utf_8() {
        let written = [
            ("md", "text/plain; charset=iso-8859-1"),
            (".Log", "text/plain"),
            ("bin", "application/x-own"),
        ];
        let written = written.map(|(extension, value)| (extension.into(), value.into()));
        let types = MediaTypes::new(written.into()).unwrap();
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.CSS", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.tar.gz", "application/gzip"),
            ("a.md", "text/plain; charset=iso-8859-1"),
            ("a.LOG", "text/plain; charset=utf-8"),
            ("a.bin", "application/x-own"),
            ("README", UNKNOWN),
            (".html", UNKNOWN),
            ("a.html/b", UNKNOWN),
            ("a.", UNKNOWN),
            ("a.nobody-knows", UNKNOWN),
        ] {
            assert_eq!(types.of(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(types.of(b"a.\xff"), UNKNOWN);
    }
}

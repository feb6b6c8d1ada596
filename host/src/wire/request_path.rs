//! The path of a request as names beneath a place: decoded once, without anything that leads out. RFC 3986 sections
//! 2.1, 5.2.4 and 6.2.2.

/// Names beneath a place, decoded; bytes that need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath {
    names: Vec<u8>,
    /// Whether it ends where only a directory can be: with a slash or a dot segment. Not so for the empty path.
    pub is_directory: bool,
}

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// A percent sign without two hexadecimal digits.
    #[error("bad escape in the path")]
    Escape,
    /// `%00`: names of files end at a NUL, so no file is named so.
    #[error("NUL in the path")]
    Nul,
    /// `%2F`. A reader in front of us takes it for a part of a name, or for a separator; what it allowed or refused
    /// for the one would be served by us as the other. No file has it in its name.
    #[error("encoded slash in the path")]
    Slash,
    /// Dot segments that lead above the place, or a path that does not begin at it.
    #[error("the path leads out")]
    Outside,
}

impl BadPath {
    /// The status code of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Escape => 400,
            Self::Nul | Self::Slash | Self::Outside => 404,
        }
    }
}

impl RequestPath {
    /// Reads a path, still encoded, that begins with a slash or is empty. It is decoded once: `%2541` is the name `%41`.
    /// Empty and dot segments are resolved after that, encoded ones too, by text alone and before anything is looked up.
    ///
    /// # Errors
    ///
    /// [`BadPath`].
    pub fn decode(path: &str) -> Result<Self, BadPath> {
        let mut names = Vec::with_capacity(path.len());
        let Some(segments) = path.strip_prefix('/') else {
            let is_directory = false;
            let empty = path.is_empty().then_some(Self {
                names,
                is_directory,
            });
            return empty.ok_or(BadPath::Outside);
        };
        let mut is_directory = true;
        for segment in segments.split('/') {
            let end = names.len();
            if end > 0 {
                names.push(b'/');
            }
            let start = names.len();
            decode_segment(segment.as_bytes(), &mut names)?;
            is_directory = true;
            match &names[start..] {
                b"" | b"." => names.truncate(end),
                b".." if end == 0 => return Err(BadPath::Outside),
                b".." => {
                    let parent = names[..end].iter().rposition(|byte| *byte == b'/');
                    names.truncate(parent.unwrap_or(0));
                }
                _ => is_directory = false,
            }
        }
        Ok(Self {
            names,
            is_directory,
        })
    }

    /// The names, separated by single slashes; none at the beginning and none at the end. Empty for the place itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.names
    }
}

fn decode_segment(segment: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    let mut bytes = segment.iter();
    while let Some(byte) = bytes.next() {
        let decoded = if *byte == b'%' {
            let mut digit = || char::from(*bytes.next()?).to_digit(16);
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(BadPath::Escape);
            };
            // Two digits fit a byte.
            (high << 4 | low) as u8
        } else {
            *byte
        };
        match decoded {
            0 => return Err(BadPath::Nul),
            b'/' => return Err(BadPath::Slash),
            byte => out.push(byte),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(path: &str) -> Result<(String, bool), BadPath> {
        let path = RequestPath::decode(path)?;
        let names = String::from_utf8_lossy(path.as_bytes()).into_owned();
        Ok((names, path.is_directory))
    }

    #[test]
    fn a_path_is_decoded_once_and_its_segments_are_resolved() {
        for (path, names, is_directory) in [
            ("", "", false),
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b", "a/b", false),
            ("//a///b//", "a/b", true),
            ("/a%20b", "a b", false),
            ("/%C3%a4", "\u{e4}", false),
            ("/%2541", "%41", false),
            ("/%252e%252e/x", "%2e%2e/x", false),
            ("/a+b", "a+b", false),
            ("/a\\..\\b", "a\\..\\b", false),
            ("/./a/.", "a", true),
            ("/a/../b", "b", false),
            ("/a/b/../../c", "c", false),
            ("/a/%2e%2E/b", "b", false),
            ("/a/%2e/b", "a/b", false),
            ("/a/..", "", true),
            ("/a/b/..", "a", true),
            ("/...", "...", false),
            ("/..a/a..", "..a/a..", false),
        ] {
            let expected = Ok((names.to_owned(), is_directory));
            assert_eq!(decoded(path), expected, "{path}");
        }
    }

    #[test]
    fn what_leads_out_or_names_no_file_is_refused() {
        for (path, error) in [
            ("/..", BadPath::Outside),
            ("/../a", BadPath::Outside),
            ("/a/../../b", BadPath::Outside),
            ("/%2e%2e/a", BadPath::Outside),
            ("/.%2e/a", BadPath::Outside),
            ("/a/..//../b", BadPath::Outside),
            ("a", BadPath::Outside),
            ("*", BadPath::Outside),
            ("/a%2fb", BadPath::Slash),
            ("/..%2F..%2Fetc", BadPath::Slash),
            ("/a%00.html", BadPath::Nul),
            ("/%", BadPath::Escape),
            ("/%4", BadPath::Escape),
            ("/%4/1", BadPath::Escape),
            ("/%+41", BadPath::Escape),
            ("/%zz", BadPath::Escape),
            ("/%u0041", BadPath::Escape),
        ] {
            assert_eq!(decoded(path), Err(error), "{path}");
        }
        assert_eq!(BadPath::Escape.status(), 400);
        assert_eq!(BadPath::Outside.status(), 404);
    }
}

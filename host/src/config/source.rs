//! The text of a config file, and where in it something stands.

use std::path::Path;

use jsonc_parser::common::Range;

/// A config file as it was read.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

/// A piece of one line, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// The line, without control characters.
    pub(super) text: String,
    /// What stands below the part of the line before the piece; keeps its tabs, so that the caret lines up.
    pub(super) indent: String,
    /// Characters of the piece on this line, at least 1.
    pub(super) width: usize,
}

/// Longer lines are shown from near the piece on, up to so many characters.
const SHOWN_CHARS: usize = 120;

impl Source<'_> {
    /// Where `range` (in bytes of the text) begins. A range that does not fit the text is cut to it.
    pub(super) fn place(&self, range: Range) -> Place {
        let start = self.boundary(range.start);
        let end = self.boundary(range.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |i| start + i);

        let before: Vec<char> = self.text[line_start..start].chars().collect();
        let skipped = before.len().saturating_sub(SHOWN_CHARS / 2);
        let shown = || {
            self.text[line_start..line_end]
                .chars()
                .skip(skipped)
                .take(SHOWN_CHARS)
        };
        let room = shown()
            .count()
            .saturating_sub(before.len() - skipped)
            .max(1);
        Place {
            file: self.path.display().to_string(),
            line: self.text[..line_start].matches('\n').count() + 1,
            column: before.len() + 1,
            text: shown()
                .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
                .collect::<String>()
                .trim_end()
                .to_owned(),
            indent: before[skipped..]
                .iter()
                .map(|&c| if c == '\t' { '\t' } else { ' ' })
                .collect(),
            width: self.text[start..end.min(line_end)]
                .chars()
                .count()
                .clamp(1, room),
        }
    }

    /// `at`, or the last place before it where a character begins.
    fn boundary(&self, at: usize) -> usize {
        let mut places = (0..=at.min(self.text.len())).rev();
        places
            .find(|&place| self.text.is_char_boundary(place))
            .unwrap_or(0)
    }
}

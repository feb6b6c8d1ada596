//! What a program writes to its standard error, as lines for the log.

/// A longer line is logged in parts.
const MOST_LINE_BYTES: usize = 1024;
/// The most lines of one run, so that no program fills the log.
const MOST_LINES: usize = 1000;

/// Cuts what comes in pieces into lines.
#[derive(Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    count: usize,
}

impl Lines {
    /// Has `log` called for each line that is whole now.
    pub(crate) fn add(&mut self, bytes: &[u8], log: &mut dyn FnMut(&str)) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end(log);
                continue;
            }
            self.line.push(*byte);
            if self.line.len() == MOST_LINE_BYTES {
                self.end(log);
            }
        }
    }

    /// Has `log` called for the line that was begun, if any.
    pub(crate) fn end(&mut self, log: &mut dyn FnMut(&str)) {
        let line = String::from_utf8_lossy(self.line.trim_ascii_end());
        if !line.is_empty() {
            self.count += 1;
            match self.count {
                ..=MOST_LINES => log(&without_controls(&line)),
                count if count == MOST_LINES + 1 => log("(further lines are left out)"),
                _ => {}
            }
        }
        self.line.clear();
    }
}

/// No line of a program can look like a line of somebody else, or move the cursor of who reads it.
fn without_controls(line: &str) -> String {
    let shown = |char: char| {
        if char.is_control() && char != '\t' {
            '\u{fffd}'
        } else {
            char
        }
    };
    line.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut logged = Vec::new();
        let mut log = |line: &str| logged.push(line.to_owned());
        let mut lines = Lines::default();
        for piece in pieces {
            lines.add(piece, &mut log);
        }
        lines.end(&mut log);
        logged
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(lines(&[b"a", b"b\nc\r\n\n", b"d"]), ["ab", "c", "d"]);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(lines(&[b"\x1b[2Ja\tb\xff\n"]), ["\u{fffd}[2Ja\tb\u{fffd}"]);
    }

    #[test]
    fn neither_a_long_line_nor_many_lines_fill_the_log() {
        let long = lines(&[&[b'x'; 2500]]);
        assert_eq!(
            long.iter().map(String::len).collect::<Vec<_>>(),
            [1024, 1024, 452]
        );
        let many = lines(&[b"x\n".repeat(5000).as_slice()]);
        assert_eq!(many.len(), MOST_LINES + 1);
        assert_eq!(
            many.last().map(String::as_str),
            Some("(further lines are left out)")
        );
    }
}

//! An exchange as one line. What clients say is escaped, so that nobody can forge a line or a field of one.

use std::{
    fmt::Write,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::{Format, date::Date};

/// What is told of an exchange. Texts are as they came; an empty one was not there.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When its head had come.
    pub time: SystemTime,
    /// Who asked; `None` when that has no address.
    pub peer: Option<SocketAddr>,
    /// The name of its address, where that is looked up and known.
    pub peer_name: Option<&'a str>,
    /// The method; empty for a request that could not be read.
    pub method: &'a [u8],
    /// The request target.
    pub target: &'a [u8],
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub http_minor: u8,
    /// The status code of the answer.
    pub status: u16,
    /// Content that was sent, in bytes.
    pub sent_bytes: u64,
    /// From the head of the request to the end of the answer.
    pub duration: Duration,
    /// The Referer field.
    pub referer: &'a [u8],
    /// The User-Agent field.
    pub user_agent: &'a [u8],
    /// Whom the request was for.
    pub host: &'a [u8],
    /// The mountpoint that took it.
    pub mount: Option<&'a str>,
    /// By which rule it was refused.
    pub rule: Option<&'a str>,
}

/// The line, with its end. Each text takes at most `text_bytes`.
pub(super) fn of(entry: &Entry<'_>, format: Format, text_bytes: usize) -> Vec<u8> {
    let mut line = Line {
        out: String::with_capacity(256),
        text_bytes,
    };
    match format {
        Format::Combined => line.combined(entry),
        Format::Json => line.json(entry),
    }
    line.out.push('\n');
    line.out.into_bytes()
}

struct Line {
    out: String,
    text_bytes: usize,
}

impl Line {
    /// `peer - - [time] "request" status bytes "referer" "user agent"`, and the rule of one that was refused.
    fn combined(&mut self, entry: &Entry<'_>) {
        match entry.peer {
            Some(peer) => self.put(format_args!("{}", peer.ip().to_canonical())),
            None => self.out.push('-'),
        }
        let Date {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = Date::of(entry.time);
        let month = MONTHS[month - 1];
        self.put(format_args!(
            " - - [{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000] "
        ));
        if entry.method.is_empty() {
            self.out.push_str("\"-\"");
        } else {
            self.out.push('"');
            self.plain(entry.method);
            self.out.push(' ');
            self.plain(entry.target);
            self.put(format_args!(" HTTP/1.{}\"", entry.http_minor));
        }
        self.put(format_args!(" {} {}", entry.status, entry.sent_bytes));
        let rule = entry.rule.map(str::as_bytes);
        for text in [Some(entry.referer), Some(entry.user_agent), rule]
            .into_iter()
            .flatten()
        {
            self.out.push_str(" \"");
            match text {
                b"" => self.out.push('-'),
                text => self.plain(text),
            }
            self.out.push('"');
        }
    }

    /// One object whose keys are always the same; null for what was not there.
    fn json(&mut self, entry: &Entry<'_>) {
        let Date {
            year,
            month,
            day,
            hour,
            minute,
            second,
            millisecond,
        } = Date::of(entry.time);
        self.put(format_args!(
            "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z\""
        ));
        match entry.peer {
            Some(peer) => self.put(format_args!(
                ",\"peer\":\"{}\",\"port\":{}",
                peer.ip().to_canonical(),
                peer.port()
            )),
            None => self.out.push_str(",\"peer\":null,\"port\":null"),
        }
        self.member("peer_name", entry.peer_name.unwrap_or_default().as_bytes());
        self.member("method", entry.method);
        self.member("target", entry.target);
        self.put(format_args!(
            ",\"http\":\"1.{}\",\"status\":{},\"sent_bytes\":{},\"duration_ms\":{}.{:03}",
            entry.http_minor,
            entry.status,
            entry.sent_bytes,
            entry.duration.as_millis(),
            entry.duration.subsec_micros() % 1000
        ));
        self.member("referer", entry.referer);
        self.member("user_agent", entry.user_agent);
        self.member("host", entry.host);
        self.member("mount", entry.mount.unwrap_or_default().as_bytes());
        self.member("rule", entry.rule.unwrap_or_default().as_bytes());
        self.out.push('}');
    }

    fn member(&mut self, name: &str, text: &[u8]) {
        self.put(format_args!(",\"{name}\":"));
        if text.is_empty() {
            self.out.push_str("null");
            return;
        }
        self.out.push('"');
        self.text(text, |out, c| match c {
            Char::Good('"') => out.push_str("\\\""),
            Char::Good('\\') => out.push_str("\\\\"),
            Char::Good(c) => out.push(c),
            Char::Control(c) => put_u16(out, c),
            // JSON is UTF-8; what is none is shown as combined lines do.
            Char::Bad(byte) => put(out, format_args!("\\\\x{byte:02X}")),
        });
        self.out.push('"');
    }

    /// Printable ASCII as it is, and all else as `\xHH`, quotes and backslashes too.
    fn plain(&mut self, text: &[u8]) {
        self.text(text, |out, c| match c {
            Char::Good(c) if matches!(c, ' '..='~') && c != '"' && c != '\\' => out.push(c),
            Char::Good(c) | Char::Control(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    put(out, format_args!("\\x{byte:02X}"));
                }
            }
            Char::Bad(byte) => put(out, format_args!("\\x{byte:02X}")),
        });
    }

    /// Appends what `show` makes of each character, until the text has had its room.
    fn text(&mut self, text: &[u8], mut show: impl FnMut(&mut String, Char)) {
        let start = self.out.len();
        for chunk in text.utf8_chunks() {
            let good = chunk.valid().chars().map(|c| match c.is_control() {
                true => Char::Control(c),
                false => Char::Good(c),
            });
            let bad = chunk.invalid().iter().map(|byte| Char::Bad(*byte));
            for c in good.chain(bad) {
                let end = self.out.len();
                show(&mut self.out, c);
                if self.out.len() - start > self.text_bytes {
                    self.out.truncate(end);
                    self.out.push_str("...");
                    return;
                }
            }
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        put(&mut self.out, text);
    }
}

/// A piece of what somebody said.
#[derive(Clone, Copy)]
enum Char {
    Good(char),
    /// Could end a line or move a cursor.
    Control(char),
    /// No UTF-8.
    Bad(u8),
}

/// `\u001b`. A control character has no more than 16 bits.
fn put_u16(out: &mut String, c: char) {
    put(out, format_args!("\\u{:04x}", u32::from(c)));
}

/// A `String` takes all that is written.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            time: UNIX_EPOCH + Duration::from_millis(951_827_696_007),
            peer: Some("192.0.2.1:5000".parse().unwrap()),
            peer_name: Some("one.example.org"),
            method: b"GET",
            target: b"/a?b=c",
            http_minor: 1,
            status: 200,
            sent_bytes: 12,
            duration: Duration::from_micros(1_234_567),
            referer: b"https://example.org/",
            user_agent: b"curl/8",
            host: b"example.org",
            mount: Some("/a"),
            rule: None,
        }
    }

    fn line(entry: &Entry<'_>, format: Format) -> String {
        String::from_utf8(of(entry, format, 2048)).unwrap()
    }

    #[test]
    fn a_combined_line_is_as_others_write_it() {
        assert_eq!(
            line(&entry(), Format::Combined),
            "192.0.2.1 - - [29/Feb/2000:12:34:56 +0000] \"GET /a?b=c HTTP/1.1\" 200 12 \
             \"https://example.org/\" \"curl/8\"\n"
        );
        let unread = Entry {
            peer: None,
            method: b"",
            target: b"",
            status: 400,
            referer: b"",
            user_agent: b"",
            rule: Some("bad request: no Host field"),
            ..entry()
        };
        assert_eq!(
            line(&unread, Format::Combined),
            "- - - [29/Feb/2000:12:34:56 +0000] \"-\" 400 12 \"-\" \"-\" \"bad request: no Host field\"\n"
        );
        let mapped = Entry {
            peer: Some("[::ffff:192.0.2.1]:1".parse().unwrap()),
            ..entry()
        };
        assert!(line(&mapped, Format::Combined).starts_with("192.0.2.1 - - "));
    }

    #[test]
    fn a_json_line_has_all_keys() {
        assert_eq!(
            line(&entry(), Format::Json),
            "{\"time\":\"2000-02-29T12:34:56.007Z\",\"peer\":\"192.0.2.1\",\"port\":5000,\
             \"peer_name\":\"one.example.org\",\"method\":\"GET\",\"target\":\"/a?b=c\",\"http\":\"1.1\",\"status\":200,\"sent_bytes\":12,\"duration_ms\":1234.567,\
             \"referer\":\"https://example.org/\",\"user_agent\":\"curl/8\",\"host\":\"example.org\",\
             \"mount\":\"/a\",\"rule\":null}\n"
        );
    }

    #[test]
    fn no_client_can_forge_a_line_or_a_field() {
        let evil: &[u8] = b"a\r\n127.0.0.1 - - \"\\\x1b[2J\x00\x7f\xff\xc3\xc2\x9b\xe2\x80\xa8\xc3\xbc\",\"x\":\"";
        let forged = Entry {
            method: evil,
            target: evil,
            referer: evil,
            user_agent: evil,
            host: evil,
            ..entry()
        };
        let combined = line(&forged, Format::Combined);
        assert_eq!(combined.matches('\n').count(), 1, "{combined}");
        assert_eq!(combined.matches('"').count(), 6, "{combined}");
        assert!(
            combined
                .trim_end()
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~'))
        );
        let shown = r"a\x0D\x0A127.0.0.1 - - \x22\x5C\x1B[2J\x00\x7F\xFF\xC3\xC2\x9B\xE2\x80\xA8\xC3\xBC\x22,";
        assert!(combined.contains(shown), "{combined}");

        let json = line(&forged, Format::Json);
        assert_eq!(json.matches('\n').count(), 1, "{json}");
        assert!(!json.trim_end().contains(char::is_control), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read.as_object().unwrap().len(), 15);
        let said =
            "a\r\n127.0.0.1 - - \"\\\u{1b}[2J\0\u{7f}\\xFF\\xC3\u{9b}\u{2028}\u{fc}\",\"x\":\"";
        for key in ["method", "target", "referer", "user_agent", "host"] {
            assert_eq!(read[key], said, "{key}");
        }
    }

    #[test]
    fn a_long_text_is_cut_to_its_room() {
        let long = [b'\n'; 100];
        let entry = Entry {
            user_agent: &long,
            ..entry()
        };
        let combined = String::from_utf8(of(&entry, Format::Combined, 21)).unwrap();
        assert!(
            combined.ends_with("\"https://example.org/\" \"\\x0A\\x0A\\x0A\\x0A\\x0A...\"\n"),
            "{combined}"
        );
        let json = String::from_utf8(of(&entry, Format::Json, 21)).unwrap();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["user_agent"], "\n\n\n...");
    }
}

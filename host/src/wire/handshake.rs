//! The opening handshake as the server has it. RFC 6455 section 4.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

use super::fields::Fields;
use super::header_list::{ExtensionOffer, extensions, has_element, tokens};
use super::request_head::RequestHead;
use super::response_head::put_text_field;

/// Section 1.3: what a server appends to the key, so that its answer cannot come from anything else.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What every answer that accepts begins with.
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
/// The only version there is.
const VERSION: &[u8] = b"13";

/// An opening handshake that may be accepted.
#[derive(Debug)]
pub struct Upgrade<'a> {
    /// The value of `Sec-WebSocket-Accept` that answers its key.
    pub accept: Accept,
    /// The subprotocols it offers, the preferred one first.
    pub subprotocols: Vec<&'a str>,
    /// The extensions it offers, the preferred one first.
    pub extensions: Vec<ExtensionOffer<'a>>,
    /// The page it comes from, if a browser sent it.
    pub origin: Option<&'a str>,
}

/// Why a request is no opening handshake, or not one that can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not ask for a WebSocket: an ordinary request.
    #[error("this is a WebSocket server: connect with a WebSocket client")]
    NotUpgrade,
    /// It breaks a rule of section 4.1.
    #[error("bad opening handshake: {0}")]
    Malformed(&'static str),
    /// Its method is not GET.
    #[error("bad opening handshake: its method must be GET")]
    Method,
    /// Its version is missing or not 13.
    #[error("WebSocket version not supported: use Sec-WebSocket-Version: 13")]
    Version,
}

impl Refusal {
    /// The status code of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::NotUpgrade | Self::Version => 426,
            Self::Malformed(_) => 400,
            Self::Method => 405,
        }
    }

    /// Fields that the answer must have (section 4.4, RFC 9110 sections 7.8, 15.5.6 and 15.5.22).
    pub const fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::NotUpgrade => &[("Upgrade", "websocket"), ("Connection", "Upgrade")],
            Self::Version => &[
                ("Sec-WebSocket-Version", "13"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            ],
            Self::Method => &[("Allow", "GET")],
            Self::Malformed(_) => &[],
        }
    }
}

/// Judges a request (section 4.2.1).
///
/// # Errors
/// [`Refusal`], with the answer to give.
pub fn judge_request<'a>(head: &RequestHead<'a>) -> Result<Upgrade<'a>, Refusal> {
    if !head
        .fields("Upgrade")
        .any(|value| has_element(value, "websocket"))
    {
        return Err(Refusal::NotUpgrade);
    }
    let said = Said::of(head);
    if !said.connection_upgrades {
        return Err(Refusal::Malformed("Connection does not say Upgrade"));
    }
    if head.minor_version < 1 {
        return Err(Refusal::Malformed("HTTP version below 1.1"));
    }
    if head.method != "GET" {
        return Err(Refusal::Method);
    }
    // What follows the head would be taken for frames by us and for content by whoever stands between.
    if said.has_content {
        return Err(Refusal::Malformed("it has content"));
    }
    // Before the key: the drafts had neither this version nor this key.
    let version = said.version.get("two Sec-WebSocket-Version fields")?;
    if version != Some(VERSION) {
        return Err(Refusal::Version);
    }
    let key = said.key.get("two Sec-WebSocket-Key fields")?;
    let key = key.ok_or(Refusal::Malformed("no Sec-WebSocket-Key field"))?;
    if !is_key(key) {
        return Err(Refusal::Malformed(
            "Sec-WebSocket-Key is not 16 bytes in base64",
        ));
    }
    let origin = said.origin.get("two Origin fields")?;
    let origin = origin
        .map(std::str::from_utf8)
        .transpose()
        .map_err(|_| Refusal::Malformed("Origin is not UTF-8"))?;
    Ok(Upgrade {
        accept: accept_of(key),
        subprotocols: offered_subprotocols(&said.subprotocols)?,
        extensions: offered_extensions(&said.extensions)?,
        origin,
    })
}

/// What the fields of a handshake say beside `Upgrade`, found in one walk through them.
#[derive(Default)]
struct Said<'a> {
    connection_upgrades: bool,
    has_content: bool,
    version: Only<'a>,
    key: Only<'a>,
    origin: Only<'a>,
    subprotocols: Vec<&'a [u8]>,
    extensions: Vec<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn of(head: &RequestHead<'a>) -> Self {
        let mut said = Self::default();
        for (name, value) in (0..).map_while(|at| head.field_at(at)) {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            // Their lengths tell most of them apart.
            match name.len() {
                6 if is("Origin") => said.origin.add(value),
                10 if is("Connection") => {
                    said.connection_upgrades |= has_element(value, "upgrade");
                }
                14 if is("Content-Length") => said.has_content |= value != b"0",
                17 if is("Sec-WebSocket-Key") => said.key.add(value),
                17 if is("Transfer-Encoding") => said.has_content = true,
                21 if is("Sec-WebSocket-Version") => said.version.add(value),
                22 if is("Sec-WebSocket-Protocol") => said.subprotocols.push(value),
                24 if is("Sec-WebSocket-Extensions") => said.extensions.push(value),
                _ => {}
            }
        }
        said
    }
}

/// The value of a field that may stand at most once.
#[derive(Default)]
struct Only<'a> {
    value: Option<&'a [u8]>,
    is_repeated: bool,
}

impl<'a> Only<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.is_repeated |= self.value.replace(value).is_some();
    }

    fn get(&self, twice: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
        match self.is_repeated {
            true => Err(Refusal::Malformed(twice)),
            false => Ok(self.value),
        }
    }
}

/// Appends the 101 answer (section 4.2.2). `accept` answers the key, `extensions` is the value of their field, empty for
/// none; `fields` come behind them.
pub fn put_switching_protocols(
    out: &mut Vec<u8>,
    accept: &[u8],
    subprotocol: Option<&str>,
    extensions: &str,
    fields: &Fields,
) {
    out.extend_from_slice(SWITCHING);
    out.extend_from_slice(b"Sec-WebSocket-Accept: ");
    out.extend_from_slice(accept);
    out.extend_from_slice(b"\r\n");
    if let Some(subprotocol) = subprotocol {
        put_text_field(out, "Sec-WebSocket-Protocol", subprotocol);
    }
    if !extensions.is_empty() {
        put_text_field(out, "Sec-WebSocket-Extensions", extensions);
    }
    out.extend_from_slice(fields.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn offered_subprotocols<'a>(fields: &[&'a [u8]]) -> Result<Vec<&'a str>, Refusal> {
    let offered = fields.iter().copied().flat_map(tokens);
    offered
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::Malformed("Sec-WebSocket-Protocol is not a list of tokens"))
}

fn offered_extensions<'a>(fields: &[&'a [u8]]) -> Result<Vec<ExtensionOffer<'a>>, Refusal> {
    let mut offers = Vec::new();
    for value in fields {
        extensions(value, &mut offers)
            .map_err(|_| Refusal::Malformed("Sec-WebSocket-Extensions is not a list of them"))?;
    }
    Ok(offers)
}

/// Section 4.2.1: a nonce of sixteen bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && BASE64.decode_slice(key, &mut nonce) == Ok(16)
}

/// The value of `Sec-WebSocket-Accept`: twenty bytes in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u8; 28]);

impl Accept {
    /// As it stands in the field.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Section 4.2.2: the answer to a key.
pub(super) fn accept_of(key: &[u8]) -> Accept {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut text = [0; 28];
    let written = BASE64.encode_slice(digest, &mut text);
    debug_assert_eq!(written, Ok(text.len()), "twenty bytes take 28");
    Accept(text)
}

#[cfg(test)]
mod tests {
    use super::super::request_head::HeadParsed;
    use super::*;
    use crate::limits::Limits;

    /// The example of section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    const FIELDS: [(&str, &str); 5] = [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];

    fn request(line: &str, fields: &[(&str, &str)]) -> String {
        let field = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
        format!(
            "{line}\r\n{}\r\n",
            fields.iter().map(field).collect::<String>()
        )
    }

    fn with_head<R>(request: &str, look: impl FnOnce(&RequestHead<'_>) -> R) -> R {
        match RequestHead::parse(request.as_bytes(), &Limits::default()) {
            HeadParsed::Done(head) => look(&head),
            other => panic!("{request:?}: {other:?}"),
        }
    }

    fn refusal(line: &str, fields: &[(&str, &str)]) -> Refusal {
        with_head(&request(line, fields), |head| {
            judge_request(head).unwrap_err()
        })
    }

    /// The fields with one of them changed, or left out if the value is empty.
    fn changed<'a>(name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        let change = |field: (&'static str, &'static str)| {
            if field.0 == name {
                (field.0, value)
            } else {
                field
            }
        };
        FIELDS
            .into_iter()
            .map(change)
            .filter(|field| !field.1.is_empty())
            .collect()
    }

    fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        FIELDS.iter().chain(more).copied().collect()
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let fields = with(&[
            ("Origin", "http://example.com"),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
            ("Sec-WebSocket-Protocol", "third"),
            ("Sec-WebSocket-Extensions", "foo; a=1, bar"),
        ]);
        with_head(&request("GET /chat HTTP/1.1", &fields), |head| {
            let upgrade = judge_request(head).unwrap();
            assert_eq!(upgrade.accept.as_bytes(), ACCEPT.as_bytes());
            assert_eq!(upgrade.subprotocols, ["chat", "superchat", "third"]);
            assert_eq!(upgrade.extensions.len(), 2);
            assert_eq!(upgrade.origin, Some("http://example.com"));
        });
    }

    #[test]
    fn the_answer_switches_protocols() {
        let mut out = Vec::new();
        let mut fields = Fields::new();
        fields.set("Server", "s");
        put_switching_protocols(&mut out, ACCEPT.as_bytes(), Some("chat"), "foo", &fields);
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
            Sec-WebSocket-Extensions: foo\r\nServer: s\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn each_broken_rule_has_its_answer() {
        let get = "GET / HTTP/1.1";
        assert_eq!(refusal(get, &changed("Upgrade", "")), Refusal::NotUpgrade);
        assert_eq!(
            refusal(get, &changed("Upgrade", "h2c")),
            Refusal::NotUpgrade
        );
        assert_eq!(refusal(get, &changed("Connection", "close")).status(), 400);
        assert_eq!(refusal("GET / HTTP/1.0", &FIELDS).status(), 400);
        assert_eq!(refusal("POST / HTTP/1.1", &FIELDS), Refusal::Method);
        assert_eq!(
            refusal(get, &changed("Sec-WebSocket-Version", "")),
            Refusal::Version
        );
        assert_eq!(
            refusal(get, &changed("Sec-WebSocket-Version", "8")),
            Refusal::Version
        );
        for key in [
            "",
            "c2hvcnQ=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "not base64 at all, no no!",
            "dGhlIHNhbXBsZSBub25jZSBsb25n",
        ] {
            assert_eq!(
                refusal(get, &changed("Sec-WebSocket-Key", key)).status(),
                400,
                "{key}"
            );
        }
        for more in [
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
            ("Content-Length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Sec-WebSocket-Protocol", "a b"),
            ("Sec-WebSocket-Extensions", "a;"),
        ] {
            assert_eq!(refusal(get, &with(&[more])).status(), 400, "{more:?}");
        }
        let origins = [("Origin", "http://a"), ("Origin", "http://b")];
        assert_eq!(refusal(get, &with(&origins)).status(), 400);
    }

    #[test]
    fn a_handshake_of_the_drafts_gets_the_version_to_use() {
        let fields = [
            ("Host", "a"),
            ("Upgrade", "WebSocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5"),
        ];
        let refusal = refusal("GET / HTTP/1.1", &fields);
        assert_eq!(refusal.status(), 426);
        assert!(refusal.fields().contains(&("Sec-WebSocket-Version", "13")));
    }
}

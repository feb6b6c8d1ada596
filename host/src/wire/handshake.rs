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
    pub accept: String,
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
    if !head
        .fields("Connection")
        .any(|value| has_element(value, "upgrade"))
    {
        return Err(Refusal::Malformed("Connection does not say Upgrade"));
    }
    if head.minor_version < 1 {
        return Err(Refusal::Malformed("HTTP version below 1.1"));
    }
    if head.method != "GET" {
        return Err(Refusal::Method);
    }
    // What follows the head would be taken for frames by us and for content by whoever stands between.
    let has_content = head.field("Transfer-Encoding").is_some()
        || head.fields("Content-Length").any(|value| value != b"0");
    if has_content {
        return Err(Refusal::Malformed("it has content"));
    }
    // Before the key: the drafts had neither this version nor this key.
    let version = only(
        head,
        "Sec-WebSocket-Version",
        "two Sec-WebSocket-Version fields",
    )?;
    if version != Some(VERSION) {
        return Err(Refusal::Version);
    }
    let key = only(head, "Sec-WebSocket-Key", "two Sec-WebSocket-Key fields")?
        .ok_or(Refusal::Malformed("no Sec-WebSocket-Key field"))?;
    if !is_key(key) {
        return Err(Refusal::Malformed(
            "Sec-WebSocket-Key is not 16 bytes in base64",
        ));
    }
    let origin = only(head, "Origin", "two Origin fields")?
        .map(std::str::from_utf8)
        .transpose()
        .map_err(|_| Refusal::Malformed("Origin is not UTF-8"))?;
    Ok(Upgrade {
        accept: accept_of(key),
        subprotocols: offered_subprotocols(head)?,
        extensions: offered_extensions(head)?,
        origin,
    })
}

/// Appends the 101 answer (section 4.2.2). `extensions` is the value of their field, empty for none; `fields` come
/// behind them.
pub fn put_switching_protocols(
    out: &mut Vec<u8>,
    accept: &str,
    subprotocol: Option<&str>,
    extensions: &str,
    fields: &Fields,
) {
    out.extend_from_slice(SWITCHING);
    put_text_field(out, "Sec-WebSocket-Accept", accept);
    if let Some(subprotocol) = subprotocol {
        put_text_field(out, "Sec-WebSocket-Protocol", subprotocol);
    }
    if !extensions.is_empty() {
        put_text_field(out, "Sec-WebSocket-Extensions", extensions);
    }
    out.extend_from_slice(fields.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The value of a field that may stand at most once.
fn only<'a>(
    head: &RequestHead<'a>,
    name: &str,
    twice: &'static str,
) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = head.fields(name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::Malformed(twice)),
        (value, None) => Ok(value),
    }
}

fn offered_subprotocols<'a>(head: &RequestHead<'a>) -> Result<Vec<&'a str>, Refusal> {
    head.fields("Sec-WebSocket-Protocol")
        .flat_map(tokens)
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::Malformed("Sec-WebSocket-Protocol is not a list of tokens"))
}

fn offered_extensions<'a>(head: &RequestHead<'a>) -> Result<Vec<ExtensionOffer<'a>>, Refusal> {
    let mut offers = Vec::new();
    for value in head.fields("Sec-WebSocket-Extensions") {
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

/// Section 4.2.2: the answer to a key.
pub(super) fn accept_of(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
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
            assert_eq!(upgrade.accept, ACCEPT);
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
        put_switching_protocols(&mut out, ACCEPT, Some("chat"), "foo", &fields);
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

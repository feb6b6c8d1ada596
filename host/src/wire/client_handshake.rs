//! The opening handshake as the client has it. RFC 6455 section 4.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::handshake::accept_of;
use super::header_list::{ExtensionOffer, extensions, has_element};
use super::response_head::put_field;

/// The longest response head that a client reads.
const RESPONSE_HEAD_BYTES: usize = 16 << 10;
const RESPONSE_FIELD_COUNT: usize = 64;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClientHandshake<'a> {
    /// Host and port, as in the URL.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Sixteen random bytes, new for each connection.
    pub nonce: [u8; 16],
    /// The subprotocols to offer, the preferred one first.
    pub subprotocols: &'a [&'a str],
    /// The value of the extensions field, empty for none.
    pub extensions: &'a str,
    /// Further fields, such as Origin.
    pub fields: &'a [(&'a str, &'a str)],
}

/// A server's answer that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// Bytes of the response head; frames follow.
    pub len: usize,
    /// The subprotocol it chose, one of those offered.
    pub subprotocol: Option<&'a str>,
    /// The extensions it chose, each of a name that was offered. Their parameters are not judged here.
    pub extensions: Vec<ExtensionOffer<'a>>,
}

/// Why a server's answer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It answered with another status, such as a refusal or a redirect.
    #[error("the server answered with status {0} in place of 101")]
    Status(u16),
    /// It breaks a rule of section 4.1.
    #[error("bad answer to the opening handshake: {0}")]
    Malformed(&'static str),
}

impl ClientHandshake<'_> {
    /// Appends the request (section 4.1).
    pub fn put_request(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("GET {} HTTP/1.1\r\n", self.target).as_bytes());
        put_field(out, "Host", self.host);
        put_field(out, "Upgrade", "websocket");
        put_field(out, "Connection", "Upgrade");
        put_field(out, "Sec-WebSocket-Key", BASE64.encode(self.nonce));
        put_field(out, "Sec-WebSocket-Version", "13");
        if !self.subprotocols.is_empty() {
            put_field(out, "Sec-WebSocket-Protocol", self.subprotocols.join(", "));
        }
        if !self.extensions.is_empty() {
            put_field(out, "Sec-WebSocket-Extensions", self.extensions);
        }
        for (name, value) in self.fields {
            put_field(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Judges the answer (section 4.1); `None` while its head is not complete.
    ///
    /// # Errors
    /// [`AnswerError`]; the connection is of no use then.
    pub fn judge_response<'a>(&self, input: &'a [u8]) -> Result<Option<Accepted<'a>>, AnswerError> {
        let mut fields = [httparse::EMPTY_HEADER; RESPONSE_FIELD_COUNT];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(input) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if input.len() < RESPONSE_HEAD_BYTES => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(AnswerError::Malformed("head too large")),
            Err(_) => return Err(AnswerError::Malformed("not an HTTP response")),
        };
        match response.code {
            Some(101) => {}
            status => return Err(AnswerError::Status(status.unwrap_or_default())),
        }
        self.judge_fields(len, response.headers)
    }

    fn judge_fields<'a>(
        &self,
        len: usize,
        fields: &[httparse::Header<'a>],
    ) -> Result<Option<Accepted<'a>>, AnswerError> {
        let named = |name: &'static str| {
            fields
                .iter()
                .filter(move |field| field.name.eq_ignore_ascii_case(name))
                .map(|field| field.value)
        };
        if !named("Upgrade").any(|value| has_element(value, "websocket")) {
            return Err(AnswerError::Malformed("Upgrade is not websocket"));
        }
        if !named("Connection").any(|value| has_element(value, "upgrade")) {
            return Err(AnswerError::Malformed("Connection does not say Upgrade"));
        }
        let accept = accept_of(BASE64.encode(self.nonce).as_bytes());
        if !named("Sec-WebSocket-Accept").eq([accept.as_bytes()]) {
            return Err(AnswerError::Malformed(
                "Sec-WebSocket-Accept does not answer the key",
            ));
        }
        let mut chosen = named("Sec-WebSocket-Protocol");
        let subprotocol = match (chosen.next(), chosen.next()) {
            (None, _) => None,
            (Some(value), None) => Some(
                std::str::from_utf8(value)
                    .ok()
                    .filter(|value| self.subprotocols.contains(value))
                    .ok_or(AnswerError::Malformed("a subprotocol that was not offered"))?,
            ),
            _ => return Err(AnswerError::Malformed("two subprotocols")),
        };
        let mut accepted = Vec::new();
        for value in named("Sec-WebSocket-Extensions") {
            extensions(value, &mut accepted)
                .map_err(|_| AnswerError::Malformed("Sec-WebSocket-Extensions"))?;
        }
        if !accepted.iter().all(|extension| self.offers(extension.name)) {
            return Err(AnswerError::Malformed("an extension that was not offered"));
        }
        Ok(Some(Accepted {
            len,
            subprotocol,
            extensions: accepted,
        }))
    }

    fn offers(&self, extension: &str) -> bool {
        let mut offered = Vec::new();
        let parsed = extensions(self.extensions.as_bytes(), &mut offered);
        parsed.is_ok() && offered.iter().any(|offer| offer.name == extension)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Fields;
    use super::super::handshake::{judge_request, put_switching_protocols};
    use super::super::request_head::{HeadParsed, RequestHead};
    use super::*;
    use crate::limits::Limits;

    /// The answer to the nonce of section 1.3.
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    const CLIENT: ClientHandshake<'_> = ClientHandshake {
        host: "server.example.com",
        target: "/chat?a",
        nonce: *b"the sample nonce",
        subprotocols: &["chat", "superchat"],
        extensions: "foo; a=1",
        fields: &[("Origin", "http://example.com")],
    };

    fn answer(subprotocol: Option<&str>, extensions: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_switching_protocols(&mut out, ACCEPT, subprotocol, extensions, &Fields::new());
        out
    }

    #[test]
    fn client_and_server_agree() {
        let mut sent = Vec::new();
        CLIENT.put_request(&mut sent);
        let HeadParsed::Done(head) = RequestHead::parse(&sent, &Limits::default()) else {
            panic!("{sent:?}");
        };
        let upgrade = judge_request(&head).unwrap();
        assert_eq!(upgrade.subprotocols, CLIENT.subprotocols);
        assert_eq!((head.path(), upgrade.accept.as_str()), ("/chat", ACCEPT));
        let answered = answer(Some("chat"), "foo");
        for cut in 0..answered.len() {
            assert_eq!(CLIENT.judge_response(&answered[..cut]), Ok(None));
        }
        let accepted = CLIENT.judge_response(&answered).unwrap().unwrap();
        assert_eq!(
            (accepted.len, accepted.subprotocol),
            (answered.len(), Some("chat"))
        );
        assert_eq!(accepted.extensions[0].name, "foo");
    }

    #[test]
    fn a_client_refuses_what_it_did_not_ask_for() {
        let refused = |answer: &[u8]| CLIENT.judge_response(answer).unwrap_err();
        assert!(matches!(
            refused(&answer(Some("other"), "")),
            AnswerError::Malformed(_)
        ));
        assert!(matches!(
            refused(&answer(None, "bar")),
            AnswerError::Malformed(_)
        ));
        let text = String::from_utf8(answer(None, "")).unwrap();
        for (from, to) in [
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Connection: Upgrade", "Connection: close"),
            ("s3pPLM", "s3pPLN"),
            ("Sec-WebSocket-Accept", "X-Accept"),
        ] {
            let answer = text.replace(from, to);
            assert!(
                matches!(refused(answer.as_bytes()), AnswerError::Malformed(_)),
                "{to}"
            );
        }
        assert_eq!(
            refused(b"HTTP/1.1 403 Forbidden\r\n\r\n"),
            AnswerError::Status(403)
        );
        assert!(matches!(refused(&[b'x'; 100]), AnswerError::Malformed(_)));
    }
}

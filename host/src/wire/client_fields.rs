//! Fields that the caller of a client adds to a request: none that end their line, and none that the client sets itself.

use super::fields::{BadField, Fields, check};

/// Fields of a request, those of the caller alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFields(Fields);

/// Why a field is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFieldError {
    /// RFC 9110 section 5.1.
    #[error("field name `{0}` is no token: use letters, digits and hyphens")]
    Name(String),
    /// RFC 9110 section 5.5.
    #[error(
        "the value of field `{0}` has a control character, or a blank at its ends: leave it out"
    )]
    Value(String),
    /// It frames the request, or belongs to the opening handshake.
    #[error("field `{0}` is set by the client itself: {1}")]
    Own(String, &'static str),
}

/// What the client sets itself, and how a caller has a say all the same.
const OWN: &[(&str, &str)] = &[
    ("Connection", "it follows from the request"),
    ("Content-Length", "it follows from the body"),
    ("Expect", "ask the request to wait for 100"),
    ("Host", "give another host to the request"),
    ("HTTP2-Settings", "HTTP/1.1 is spoken"),
    ("Keep-Alive", "it follows from the request"),
    (
        "Proxy-Authorization",
        "write name and password into the URL of the proxy",
    ),
    ("Proxy-Connection", "it means nothing"),
    ("Sec-WebSocket-Accept", "a server sends it"),
    (
        "Sec-WebSocket-Extensions",
        "offer extensions to the request",
    ),
    ("Sec-WebSocket-Key", "it is new for each connection"),
    (
        "Sec-WebSocket-Protocol",
        "offer subprotocols to the request",
    ),
    ("Sec-WebSocket-Version", "it is 13"),
    ("TE", "only chunks are read"),
    ("Trailer", "it follows from the body"),
    ("Transfer-Encoding", "it follows from the body"),
    ("Upgrade", "it follows from the scheme of the URL"),
];

/// What shows who asks: not for another host than the one it was meant for.
const SECRET: &[&str] = &["Authorization", "Cookie", "Cookie2", "WWW-Authenticate"];

impl ClientFields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Fields::new())
    }

    /// Adds a field.
    ///
    /// # Errors
    ///
    /// [`ClientFieldError`], with the name of the field; nothing is added.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), ClientFieldError> {
        match check(name, value) {
            Err(BadField::Name) => return Err(ClientFieldError::Name(name.to_owned())),
            Err(_) => return Err(ClientFieldError::Value(name.to_owned())),
            Ok(()) if value.trim_ascii() != value => {
                return Err(ClientFieldError::Value(name.to_owned()));
            }
            Ok(()) => {}
        }
        let own = OWN.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        if let Some((own, mend)) = own {
            return Err(ClientFieldError::Own((*own).to_owned(), mend));
        }
        self.0.push(name, value);
        Ok(())
    }

    /// These fields for a host that they were not meant for: without those that show who asks.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self(self.0.without(SECRET))
    }

    /// These fields for a request that has lost its body: without those that describe it (RFC 9110 section 15.4).
    #[must_use]
    pub fn without_content(&self) -> Self {
        let describes = |name: &[u8]| {
            name.get(..8)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"))
        };
        let mut kept = Fields::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !describes(name)) {
            kept.push(&String::from_utf8_lossy(name), value);
        }
        Self(kept)
    }

    /// Whether there is a field of that name, in any case of letters.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    /// The lines as they leave, each with its end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_fields_are_taken_and_those_of_the_client_refused_by_name() {
        let mut fields = ClientFields::new();
        fields.add("X-Key", b"a: b\xff").unwrap();
        assert_eq!(fields.as_bytes(), b"X-Key: a: b\xff\r\n");
        for (name, _) in OWN {
            let error = fields.add(&name.to_ascii_uppercase(), b"x").unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        for (name, value) in [("", "a"), ("a b", ""), ("a:", ""), ("a\r\nb", "")] {
            let error = fields.add(name, value.as_bytes());
            assert_eq!(error, Err(ClientFieldError::Name(name.into())));
        }
        for value in ["a\r\nHost: b", "a\0", "\n", " a", "a\t"] {
            let error = fields.add("A", value.as_bytes());
            assert_eq!(error, Err(ClientFieldError::Value("A".into())), "{value:?}");
        }
        assert_eq!(fields.as_bytes(), b"X-Key: a: b\xff\r\n");
    }

    #[test]
    fn what_is_for_one_host_or_one_body_can_be_left_out() {
        let mut fields = ClientFields::new();
        for name in [
            "Cookie",
            "authorization",
            "Accept",
            "Content-Type",
            "Content",
        ] {
            fields.add(name, b"1").unwrap();
        }
        let open = fields.without_secrets();
        assert_eq!(
            open.as_bytes(),
            b"Accept: 1\r\nContent-Type: 1\r\nContent: 1\r\n"
        );
        assert_eq!(
            open.without_content().as_bytes(),
            b"Accept: 1\r\nContent: 1\r\n"
        );
        assert!(!fields.without_content().has("content-type"));
    }
}

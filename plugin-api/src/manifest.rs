//! The manifest, written as JSON while the plugin is compiled.

use crate::{
    BodyDelivery, Delivery, Extensions,
    export::{Export, ExportedExtension, ExportedPolicy},
};

/// What a plugin file says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    plugin: &'static str,
    version: &'static str,
    protocols: &'static [Export],
    extensions: &'static [ExportedExtension],
    policies: &'static [ExportedPolicy],
}

impl Manifest {
    /// The manifest of the package `package`. A leading `hotsocket-` is no part of a plugin's name.
    ///
    /// # Panics
    ///
    /// At compile time, when the name of a protocol, an extension or a policy is no token, or used twice.
    #[must_use]
    pub const fn new(
        package: &'static str,
        version: &'static str,
        protocols: &'static [Export],
        extensions: &'static [ExportedExtension],
        policies: &'static [ExportedPolicy],
    ) -> Self {
        let mut i = 0;
        while i < protocols.len() {
            assert!(
                is_token(protocols[i].name) || !protocols[i].websocket,
                "Protocol::NAME must be a token: one or more letters, digits and !#$%&'*+-.^_`|~"
            );
            assert!(
                is_token(protocols[i].name),
                "HttpHandler::NAME must be a token: one or more letters, digits and !#$%&'*+-.^_`|~"
            );
            let mut other = 0;
            while other < i {
                assert!(
                    !equal(protocols[i].name, protocols[other].name),
                    "two protocols or HTTP handlers of this plugin have the same NAME"
                );
                other += 1;
            }
            check_allowed(protocols[i].extensions);
            check_kept(protocols[i].keep_headers);
            i += 1;
        }
        let mut i = 0;
        while i < extensions.len() {
            assert!(
                is_token(extensions[i].name),
                "Extension::NAME must be a token: one or more letters, digits and !#$%&'*+-.^_`|~"
            );
            let mut other = 0;
            while other < i {
                assert!(
                    !equal(extensions[i].name, extensions[other].name),
                    "two extensions of this plugin have the same NAME"
                );
                other += 1;
            }
            i += 1;
        }
        let mut i = 0;
        while i < policies.len() {
            assert!(
                is_token(policies[i].name),
                "Policy::NAME must be a token: one or more letters, digits and !#$%&'*+-.^_`|~"
            );
            let mut other = 0;
            while other < i {
                assert!(
                    !equal(policies[i].name, policies[other].name),
                    "two policies of this plugin have the same NAME"
                );
                other += 1;
            }
            i += 1;
        }
        Self {
            plugin: without_prefix(package, "hotsocket-"),
            version,
            protocols,
            extensions,
            policies,
        }
    }

    /// Bytes of the JSON.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a manifest is never empty")]
    pub const fn len(&self) -> usize {
        let mut counter = Json::<0>::new();
        self.write(&mut counter);
        counter.len
    }

    /// The JSON, `N` being [`len`](Self::len).
    #[must_use]
    pub const fn json<const N: usize>(&self) -> [u8; N] {
        let mut json = Json::<N>::new();
        self.write(&mut json);
        json.bytes
    }

    const fn write<const N: usize>(&self, json: &mut Json<N>) {
        json.push("{\"plugin\":\"");
        json.push(self.plugin);
        json.push("\",\"version\":\"");
        json.push(self.version);
        json.push("\",\"protocols\":[");
        let mut i = 0;
        while i < self.protocols.len() {
            if i > 0 {
                json.push(",");
            }
            json.push_protocol(&self.protocols[i]);
            i += 1;
        }
        json.push("]");
        if !self.extensions.is_empty() {
            json.push(",\"extensions\":[");
            let mut i = 0;
            while i < self.extensions.len() {
                json.push(if i == 0 {
                    "{\"name\":\""
                } else {
                    ",{\"name\":\""
                });
                json.push(self.extensions[i].name);
                json.push("\"}");
                i += 1;
            }
            json.push("]");
        }
        if !self.policies.is_empty() {
            json.push(",\"policies\":[");
            let mut i = 0;
            while i < self.policies.len() {
                json.push(if i == 0 {
                    "{\"name\":\""
                } else {
                    ",{\"name\":\""
                });
                json.push(self.policies[i].name);
                json.push("\"}");
                i += 1;
            }
            json.push("]");
        }
        json.push("}");
    }
}

/// JSON in the making. What is beyond `N` bytes is counted only. Nothing is escaped: tokens, the name of a package and
/// its version hold nothing that would have to be.
struct Json<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Json<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() {
            self.push_byte(text[i]);
            i += 1;
        }
    }

    const fn push_number(&mut self, number: u64) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        self.push_byte(b'0' + (number % 10) as u8);
    }

    const fn push_protocol(&mut self, protocol: &Export) {
        self.push("{\"name\":\"");
        self.push(protocol.name);
        self.push("\",\"id\":");
        self.push_number(protocol.id as u64);
        let (delivery, rx_chunk) = match protocol.delivery {
            Delivery::Messages => ("messages", 0),
            Delivery::Pieces { rx_chunk } => ("pieces", rx_chunk),
        };
        self.push(",\"delivery\":\"");
        self.push(delivery);
        self.push("\",\"rx_chunk\":");
        self.push_number(rx_chunk as u64);
        self.push(",\"pongs\":");
        self.push(if protocol.pongs { "true" } else { "false" });
        match protocol.extensions {
            Extensions::All => {}
            Extensions::None => self.push_allowed("only", &[]),
            Extensions::Only(names) => self.push_allowed("only", names),
            Extensions::Except(names) => self.push_allowed("except", names),
        }
        if !protocol.keep_headers.is_empty() {
            self.push(",\"keep_headers\":");
            self.push_names(protocol.keep_headers);
        }
        if protocol.websocket {
            self.push(",\"session_bytes\":");
            self.push_number(protocol.session_bytes as u64);
        } else {
            self.push(",\"websocket\":false");
        }
        if let Some(body) = protocol.http {
            self.push(",\"http\":true");
            if let BodyDelivery::Whole { most_bytes } = body {
                self.push(",\"body_bytes\":");
                self.push_number(most_bytes as u64);
            }
        }
        self.push("}");
    }

    const fn push_allowed(&mut self, key: &str, names: &[&str]) {
        self.push(",\"extensions\":{\"");
        self.push(key);
        self.push("\":");
        self.push_names(names);
        self.push("}");
    }

    const fn push_names(&mut self, names: &[&str]) {
        self.push("[");
        let mut i = 0;
        while i < names.len() {
            self.push(if i == 0 { "\"" } else { ",\"" });
            self.push(names[i]);
            self.push("\"");
            i += 1;
        }
        self.push("]");
    }

    const fn push_byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }
}

/// A name that is no token would match no extension.
const fn check_allowed(extensions: Extensions) {
    let (Extensions::Only(names) | Extensions::Except(names)) = extensions else {
        return;
    };
    let mut i = 0;
    while i < names.len() {
        assert!(
            is_token(names[i]),
            "Protocol::EXTENSIONS must name tokens: letters, digits and !#$%&'*+-.^_`|~"
        );
        i += 1;
    }
}

/// A name that is no token would match no field.
const fn check_kept(names: &[&str]) {
    let mut i = 0;
    while i < names.len() {
        assert!(
            is_token(names[i]),
            "Protocol::KEEP_HEADERS must name tokens: letters, digits and !#$%&'*+-.^_`|~"
        );
        i += 1;
    }
}

/// A token as HTTP has it (RFC 9110, section 5.6.2).
pub(crate) const fn is_token(name: &str) -> bool {
    let name = name.as_bytes();
    let mut i = 0;
    while i < name.len() {
        let allowed = name[i].is_ascii_alphanumeric()
            || matches!(
                name[i],
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        if !allowed {
            return false;
        }
        i += 1;
    }
    !name.is_empty()
}

const fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && starts_with(a.as_bytes(), b.as_bytes())
}

const fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    if text.len() < prefix.len() {
        return false;
    }
    let mut i = 0;
    while i < prefix.len() {
        if text[i] != prefix[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn without_prefix(text: &'static str, prefix: &str) -> &'static str {
    if starts_with(text.as_bytes(), prefix.as_bytes()) && text.len() > prefix.len() {
        text.split_at(prefix.len()).1
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_other_names() {
        for name in ["echo", "chat.v2", "a", "!#$%&'*+-.^_`|~", "X-1"] {
            assert!(is_token(name), "{name}");
        }
        for name in ["", "two words", "a,b", "a/b", "\"echo\"", "é", "a\0", "(a)"] {
            assert!(!is_token(name), "{name}");
        }
    }

    #[test]
    fn the_plugin_is_named_after_its_package() {
        assert_eq!(without_prefix("hotsocket-echo", "hotsocket-"), "echo");
        assert_eq!(without_prefix("hotsocket-", "hotsocket-"), "hotsocket-");
        assert_eq!(without_prefix("chat", "hotsocket-"), "chat");
    }

    #[test]
    fn numbers_are_decimal() {
        let mut json = Json::<14>::new();
        json.push_number(0);
        json.push(",");
        json.push_number(u32::MAX.into());
        json.push(",");
        json.push_number(7);
        assert_eq!(&json.bytes, b"0,4294967295,7");
    }
}

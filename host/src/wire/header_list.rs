//! Fields that are lists: tokens, and extensions with their parameters. RFC 9110 section 5.6, RFC 6455 section 9.1.

use std::borrow::Cow;

/// The field does not follow its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// An extension as offered or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionOffer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its parameters in their order; repeated ones are kept.
    pub parameters: Vec<ExtensionParameter<'a>>,
}

/// A parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionParameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, if it has one: a token, whether it was quoted or not.
    pub value: Option<Cow<'a, str>>,
}

/// Whether these bytes are a token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
        | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// The tokens of a list. Empty elements are skipped, as RFC 9110 section 5.6.1.2 asks of a recipient.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = Result<&str, Malformed>> {
    value
        .split(|byte| *byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
        .map(|element| {
            if is_token(element) {
                std::str::from_utf8(element).map_err(|_| Malformed)
            } else {
                Err(Malformed)
            }
        })
}

/// Whether a list has this element, in any case of letters. Elements need not be tokens (`Upgrade: h2c/1`).
pub fn has_element(value: &[u8], wanted: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|element| trim(element).eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Appends the extensions of a `Sec-WebSocket-Extensions` field.
///
/// # Errors
/// [`Malformed`]; the peer is to be refused then (RFC 6455 section 9.1).
pub fn extensions<'a>(
    value: &'a [u8],
    list: &mut Vec<ExtensionOffer<'a>>,
) -> Result<(), Malformed> {
    let mut rest = Scanner(value);
    loop {
        while rest.takes(b',') {}
        if rest.is_at_end() {
            return Ok(());
        }
        let name = rest.token()?;
        let mut parameters = Vec::new();
        while rest.takes(b';') {
            let name = rest.token()?;
            let value = if rest.takes(b'=') {
                Some(rest.value()?)
            } else {
                None
            };
            parameters.push(ExtensionParameter { name, value });
        }
        if !rest.is_at_end() && !rest.takes(b',') {
            return Err(Malformed);
        }
        list.push(ExtensionOffer { name, parameters });
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// What is left of a field. Blanks between its parts are skipped.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.0.is_empty()
    }

    fn takes(&mut self, separator: u8) -> bool {
        self.skip_blanks();
        match self.0 {
            [first, rest @ ..] if *first == separator => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        self.skip_blanks();
        let is_end = |byte: &u8| !is_token_byte(*byte);
        let end = self.0.iter().position(is_end).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() {
            return Err(Malformed);
        }
        std::str::from_utf8(token).map_err(|_| Malformed)
    }

    /// A token, or a quoted string whose content is a token.
    fn value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if !self.takes(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut content = String::new();
        loop {
            let (byte, rest) = match self.0 {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    break;
                }
                [b'\\', byte, rest @ ..] => (*byte, rest),
                [byte, rest @ ..] => (*byte, rest),
                [] => return Err(Malformed),
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            content.push(char::from(byte));
            self.0 = rest;
        }
        if content.is_empty() {
            return Err(Malformed);
        }
        Ok(Cow::Owned(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(value: &str) -> Result<Vec<ExtensionOffer<'_>>, Malformed> {
        let mut list = Vec::new();
        extensions(value.as_bytes(), &mut list).map(|()| list)
    }

    fn written(list: &[ExtensionOffer<'_>]) -> String {
        let parameter = |parameter: &ExtensionParameter<'_>| match &parameter.value {
            Some(value) => format!(";{}={value}", parameter.name),
            None => format!(";{}", parameter.name),
        };
        let offer = |offer: &ExtensionOffer<'_>| {
            offer.name.to_owned() + &offer.parameters.iter().map(parameter).collect::<String>()
        };
        list.iter().map(offer).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn tokens_come_in_order_and_empty_elements_are_skipped() {
        let list: Vec<_> = tokens(b" chat , ,superchat,").collect();
        assert_eq!(list, [Ok("chat"), Ok("superchat")]);
        assert!(tokens(b"a b").any(|token| token.is_err()));
        assert!(tokens(b"\"a\"").any(|token| token.is_err()));
        assert_eq!(tokens(b"").count(), 0);
    }

    #[test]
    fn an_element_is_found_in_any_case() {
        assert!(has_element(b"keep-alive, Upgrade", "upgrade"));
        assert!(!has_element(b"upgrades", "upgrade"));
    }

    #[test]
    fn extensions_are_read_with_their_parameters() {
        for (value, expected) in [
            ("", ""),
            ("foo", "foo"),
            ("foo , bar; baz=2", "foo,bar;baz=2"),
            ("a;x=\"1\\0\";y, ,b ; z = t", "a;x=10;y,b;z=t"),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
                "permessage-deflate;client_max_window_bits;server_max_window_bits=10",
            ),
        ] {
            assert_eq!(written(&offers(value).unwrap()), expected, "{value}");
        }
    }

    #[test]
    fn malformed_extensions_are_refused() {
        for value in [
            "foo bar",
            "foo;",
            ";foo",
            "foo;=1",
            "foo;a=",
            "foo;a=\"",
            "foo;a=\"\"",
            "foo;a=\"b c\"",
            "foo;a=\"b\\",
            "foo=1",
            "(",
            "foo;a=b=c",
            "f\u{f6}o",
        ] {
            assert_eq!(offers(value), Err(Malformed), "{value}");
        }
    }
}

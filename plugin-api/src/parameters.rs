//! The parameters of an extension.

use std::{borrow::Cow, fmt};

use crate::manifest::is_token;

const SEPARATOR: &str = "; ";

/// The parameters of an offer or of the answer to one, in their order: names, some with a value.
///
/// Names and values are tokens (RFC 6455, section 9.1). What an extension gets is parsed already, values without the
/// quotes they may have had; nothing says that a name stands there only once.
///
/// ```
/// use hotsocket_plugin::Parameters;
///
/// let answer = Parameters::new().with("server_no_context_takeover").with_value("server_max_window_bits", 10);
/// assert_eq!(answer.get("server_max_window_bits"), Some(Some("10")));
/// assert_eq!(answer.get("server_no_context_takeover"), Some(None));
/// assert_eq!(answer.get("x"), None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// As the ABI has it: `name` or `name=value`, separated, without quotes.
    text: Cow<'a, str>,
}

impl<'a> Parameters<'a> {
    /// No parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: Cow::Borrowed(""),
        }
    }

    /// These and one without a value.
    ///
    /// # Panics
    ///
    /// If `name` is no token.
    #[must_use]
    pub fn with(mut self, name: &str) -> Self {
        self.push(name, None);
        self
    }

    /// These and one with a value.
    ///
    /// # Panics
    ///
    /// If `name` or `value` is no token.
    #[must_use]
    pub fn with_value(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.push(name, Some(&value.to_string()));
        self
    }

    /// Adds one.
    ///
    /// # Panics
    ///
    /// If `name` or `value` is no token.
    pub fn push(&mut self, name: &str, value: Option<&str>) {
        for token in [Some(name), value].into_iter().flatten() {
            assert!(
                is_token(token),
                "{token:?} cannot stand in a parameter: no token"
            );
        }
        let text = self.text.to_mut();
        if !text.is_empty() {
            text.push_str(SEPARATOR);
        }
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            text.push_str(value);
        }
    }

    /// The names with their values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.text
            .split(SEPARATOR)
            .filter(|parameter| !parameter.is_empty())
            .map(|parameter| match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter, None),
            })
    }

    /// The value of the first parameter of that name: `Some(None)` for one without a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.iter()
            .find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Those of the host, which has parsed them.
    pub(crate) const fn from_host(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// As in Sec-WebSocket-Extensions, behind the name.
impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, Option<V>)> for Parameters<'_> {
    fn from_iter<I: IntoIterator<Item = (N, Option<V>)>>(list: I) -> Self {
        let mut parameters = Self::new();
        for (name, value) in list {
            parameters.push(name.as_ref(), value.as_ref().map(AsRef::as_ref));
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let list = [("a", None), ("b", Some("1")), ("a", Some("x"))];
        let written: Parameters<'_> = list.into_iter().collect();
        assert_eq!(written.to_string(), "a; b=1; a=x");
        let read = Parameters::from_host("a; b=1; a=x");
        assert_eq!(read.iter().collect::<Vec<_>>(), list);
        assert_eq!(read, written);
        assert_eq!(Parameters::from_host("").iter().count(), 0);
        assert!(Parameters::new().is_empty());
    }

    #[test]
    #[should_panic(expected = "\"a; b\" cannot stand in a parameter")]
    fn a_value_that_is_no_token_is_not_written() {
        let _ = Parameters::new().with_value("x", "a; b");
    }
}

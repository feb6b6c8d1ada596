//! For whom a proxy asks: `Forwarded` (RFC 7239) and the older `X-Forwarded-For`.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::wire::header_list::{Malformed, is_token};

/// Someone who asked a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Its address; port 0 when none is told.
    Address(SocketAddr),
    /// It is unknown, or the proxy keeps it to itself.
    Hidden,
}

/// Hands over who is named by a field `Forwarded`, in the order written: the nearest one last.
///
/// # Errors
///
/// [`Malformed`]; nothing of the field is to be believed then.
pub fn forwarded(value: &[u8], each: &mut impl FnMut(Node)) -> Result<(), Malformed> {
    let mut rest = value;
    loop {
        let mut named = None;
        let mut is_empty = true;
        loop {
            rest = rest.trim_ascii_start();
            if !matches!(rest, [] | [b';' | b',', ..]) {
                is_empty = false;
                let (name, text) = pair(&mut rest)?;
                if name.eq_ignore_ascii_case(b"for") {
                    // A parameter may occur only once in an element.
                    if named.is_some() {
                        return Err(Malformed);
                    }
                    named = Some(node(&text)?);
                }
                rest = rest.trim_ascii_start();
            }
            match rest {
                [b';', behind @ ..] => rest = behind,
                [] | [b',', ..] => break,
                _ => return Err(Malformed),
            }
        }
        if !is_empty {
            each(named.unwrap_or(Node::Hidden));
        }
        match rest {
            [_comma, behind @ ..] => rest = behind,
            [] => return Ok(()),
        }
    }
}

/// Hands over who is named by a field `X-Forwarded-For`, in the order written: the nearest one last. What is no address
/// is [`Node::Hidden`], and no more than that: a proxy puts a comma before what it adds, whatever a client has written.
pub fn x_forwarded_for(value: &[u8], each: &mut impl FnMut(Node)) {
    let elements = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    for element in elements.filter(|element| !element.is_empty()) {
        // Brackets are left out by most.
        let bare = std::str::from_utf8(element)
            .ok()
            .and_then(|t| t.parse().ok());
        each(match bare {
            Some(address) => Node::Address(SocketAddr::new(IpAddr::V6(address), 0)),
            None => node(element).unwrap_or(Node::Hidden),
        });
    }
}

/// Takes `token=value` off, where the value is a token or a quoted string.
fn pair<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], Cow<'a, [u8]>), Malformed> {
    let equals = rest.iter().position(|byte| *byte == b'=');
    let (name, value) = rest.split_at(equals.ok_or(Malformed)?);
    if !is_token(name) {
        return Err(Malformed);
    }
    let value = &value[1..];
    if let [b'"', quoted @ ..] = value {
        *rest = quoted;
        return Ok((name, Cow::Owned(quoted_string(rest)?)));
    }
    let is_end = |byte: &u8| matches!(byte, b';' | b',' | b' ' | b'\t');
    let end = value.iter().position(is_end).unwrap_or(value.len());
    let (token, behind) = value.split_at(end);
    *rest = behind;
    if is_token(token) {
        Ok((name, Cow::Borrowed(token)))
    } else {
        Err(Malformed)
    }
}

/// Takes the rest of a quoted string off, behind the first quote.
fn quoted_string(rest: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::new();
    loop {
        match *rest {
            [b'"', behind @ ..] => {
                *rest = behind;
                return Ok(text);
            }
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                text.push(*byte);
                *rest = behind;
            }
            [] => return Err(Malformed),
        }
    }
}

/// RFC 7239 section 6: a name and perhaps a port.
fn node(text: &[u8]) -> Result<Node, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    if let Some(text) = text.strip_prefix('[') {
        let (address, rest) = text.split_once(']').ok_or(Malformed)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Malformed)?;
        let rest = Some(rest).filter(|rest| !rest.is_empty());
        let port = rest.map(|rest| rest.strip_prefix(':').ok_or(Malformed));
        let port = port_of(port.transpose()?)?;
        return Ok(Node::Address(SocketAddr::new(address.into(), port)));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let port = port_of(port)?;
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Ok(Node::Address(SocketAddr::new(address.into(), port)));
    }
    if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) {
        return Ok(Node::Hidden);
    }
    Err(Malformed)
}

/// The port, or 0 when there is none or it is kept back.
fn port_of(text: Option<&str>) -> Result<u16, Malformed> {
    match text {
        None => Ok(0),
        Some(text) if is_obfuscated(text) => Ok(0),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_| Malformed)
        }
        Some(_) => Err(Malformed),
    }
}

fn is_obfuscated(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() > 1 && text.starts_with('_') && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = fn(&[u8], &mut dyn FnMut(Node)) -> Result<(), Malformed>;

    const FORWARDED: Read = |value, mut each| forwarded(value, &mut each);
    const X_FORWARDED_FOR: Read = |value, mut each| {
        x_forwarded_for(value, &mut each);
        Ok(())
    };

    /// The nodes, as text.
    fn nodes(read: Read, value: &str) -> Result<String, Malformed> {
        let mut all = Vec::new();
        read(value.as_bytes(), &mut |node| {
            all.push(match node {
                Node::Address(address) => address.to_string(),
                Node::Hidden => "?".to_owned(),
            });
        })?;
        Ok(all.join(" "))
    }

    #[test]
    fn forwarded_names_who_asked_whom_the_nearest_last() {
        for (value, expected) in [
            ("for=192.0.2.60", "192.0.2.60:0"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0"),
            (
                "By=x; FOR=\"192.0.2.60:80\" ;host=\"a;b,c\\\"\"",
                "192.0.2.60:80",
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                "[2001:db8:cafe::17]:4711",
            ),
            ("for=\"[2001:db8::1]\"", "[2001:db8::1]:0"),
            (
                "for=192.0.2.43, for=198.51.100.17",
                "192.0.2.43:0 198.51.100.17:0",
            ),
            (", ,for=192.0.2.43,,;", "192.0.2.43:0"),
            ("for=unknown,for=_gazonk,proto=http", "? ? ?"),
            ("for=\"192.0.2.43:_x\"", "192.0.2.43:0"),
            ("for=\"1\\92.0.2.1\"", "192.0.2.1:0"),
            ("", ""),
        ] {
            assert_eq!(nodes(FORWARDED, value).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn a_malformed_forwarded_is_not_believed() {
        for value in [
            "for",
            "for=",
            "=1",
            "for=a.example",
            "for=192.0.2.1:80",
            "for=[::1]",
            "for=\"::1\"",
            "for=\"[::1\"",
            "for=\"[::1]80\"",
            "for=\"[::1]:\"",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\\",
            "for=\"192.0.2.1:65536\"",
            "for=\"192.0.2.1:+1\"",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1 for=192.0.2.2",
            "for =192.0.2.1",
            "for=_",
            "192.0.2.1",
        ] {
            assert_eq!(nodes(FORWARDED, value), Err(Malformed), "{value}");
        }
    }

    #[test]
    fn x_forwarded_for_is_a_list_of_addresses_with_or_without_port() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1:0"),
            (
                "192.0.2.1:5000, 2001:db8::1",
                "192.0.2.1:5000 [2001:db8::1]:0",
            ),
            ("[2001:db8::1]:80,[::1],", "[2001:db8::1]:80 [::1]:0"),
            ("unknown, 192.0.2.1", "? 192.0.2.1:0"),
            ("a.example, 192.0.2.1 192.0.2.2", "? ?"),
            ("for=192.0.2.1, 192.0.2.1, \"::1\"", "? 192.0.2.1:0 ?"),
            ("192.0.2.256", "?"),
        ] {
            assert_eq!(nodes(X_FORWARDED_FOR, value).as_deref(), Ok(expected));
        }
    }
}

//! Origins as browsers write them.

/// `text` in the form a browser sends (lower case, no default port), or `*` or `null`; `None` when it is no origin.
pub(super) fn parse_origin(text: &str) -> Option<String> {
    if text == "*" || text == "null" {
        return Some(text.to_owned());
    }
    let (scheme, authority) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = authority.to_ascii_lowercase();
    let name = |c: u8| c.is_ascii_alphanumeric() || b"+-.".contains(&c);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(name) {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (authority.as_str(), None),
    };
    if !is_host(host) {
        return None;
    }
    let port =
        port.filter(|port| !matches!((scheme.as_str(), port), ("http", 80) | ("https", 443)));
    Some(port.map_or_else(
        || format!("{scheme}://{host}"),
        |port| format!("{scheme}://{host}:{port}"),
    ))
}

fn is_host(host: &str) -> bool {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_origin;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        let meant = |text| parse_origin(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(meant("*"), "*");
        assert_eq!(meant("null"), "null");
        assert_eq!(meant("https://Example.ORG"), "https://example.org");
        assert_eq!(meant("https://example.org:443"), "https://example.org");
        assert_eq!(meant("http://example.org:8080"), "http://example.org:8080");
        assert_eq!(meant("http://[::1]:80"), "http://[::1]");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "example.org",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a:b",
            "://a",
            "http://[x]",
        ] {
            assert_eq!(parse_origin(text), None, "{text}");
        }
    }
}

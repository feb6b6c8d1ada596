//! The environment of a program: what RFC 3875, section 4.1, says, and what programs came to expect beside it.
//!
//! Left out on purpose: `HTTP_PROXY`, which programs take for the proxy of their own requests; the credentials of
//! Authorization, which other users of the machine could read; and fields with an underscore in their name, which
//! could pass for others. `PATH_TRANSLATED` needs a directory of documents, and there is none.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// What a program is told about its request. A missing value is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) query: &'a str,
    pub(crate) http_minor: u8,
    pub(crate) content_length: Option<u64>,
    pub(crate) host: &'a str,
    pub(crate) local_port: Option<&'a str>,
    pub(crate) peer: Option<(&'a str, u16)>,
    pub(crate) is_encrypted: bool,
    pub(crate) software: &'a str,
}

/// Variables, by name.
pub(crate) type Variables = BTreeMap<OsString, OsString>;

/// The variables of a request but those of the script.
pub(crate) fn variables<'a>(
    facts: &Facts<'_>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Variables {
    let mut variables = Variables::new();
    let mut set = |name: &str, value: &str| variables.insert(name.into(), value.into());
    set("PATH", "/usr/local/bin:/usr/bin:/bin");
    set("GATEWAY_INTERFACE", "CGI/1.1");
    set("SERVER_PROTOCOL", &format!("HTTP/1.{}", facts.http_minor));
    set("SERVER_SOFTWARE", facts.software);
    set("REQUEST_METHOD", facts.method);
    set("REQUEST_URI", facts.target);
    set("QUERY_STRING", facts.query);
    set("SERVER_NAME", name_of(facts.host));
    let default_port = if facts.is_encrypted { "443" } else { "80" };
    set("SERVER_PORT", facts.local_port.unwrap_or(default_port));
    if facts.is_encrypted {
        set("HTTPS", "on");
    }
    if let Some((address, port)) = facts.peer {
        set("REMOTE_ADDR", address);
        set("REMOTE_HOST", address);
        set("REMOTE_PORT", &port.to_string());
    }
    if let Some(length) = facts.content_length.filter(|length| *length > 0) {
        set("CONTENT_LENGTH", &length.to_string());
    }
    for (name, value) in fields {
        if let Some((name, separator)) = variable_of(name) {
            add(&mut variables, &name, separator, value);
        }
    }
    variables
}

/// Sets a variable, or adds to what it has already.
fn add(variables: &mut Variables, name: &str, separator: &str, value: &[u8]) {
    match variables.get_mut(OsStr::new(name)) {
        Some(before) => {
            before.push(separator);
            before.push(OsStr::from_bytes(value));
        }
        None => {
            variables.insert(name.into(), OsStr::from_bytes(value).into());
        }
    }
}

/// The variable of a field, and what stands between two values of it; none for a field that is not passed on.
fn variable_of(name: &str) -> Option<(Cow<'static, str>, &'static str)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !name.bytes().all(is_plain) || KEPT_BACK.iter().any(|kept| kept.eq_ignore_ascii_case(name)) {
        return None;
    }
    if name.eq_ignore_ascii_case("Content-Type") {
        return Some((Cow::Borrowed("CONTENT_TYPE"), ", "));
    }
    // A comma may be part of a cookie.
    let is_cookie = name.eq_ignore_ascii_case("Cookie");
    let variable = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
    Some((variable.into(), if is_cookie { "; " } else { ", " }))
}

/// Fields that no program sees: those that could hurt, that are told otherwise, and that are for one connection only.
const KEPT_BACK: [&str; 10] = [
    "Authorization",
    "Proxy-Authorization",
    "Proxy",
    "Content-Length",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// `name:port` or `[address]:port` without the port.
fn name_of(host: &str) -> &str {
    let behind_bracket = host.rfind(']').map_or(0, |at| at + 1);
    let colon = host[behind_bracket..].find(':');
    colon.map_or(host, |at| &host[..behind_bracket + at])
}

/// A path with its `%` escapes undone; none when a zero byte is in it, which no variable can have.
pub(crate) fn decoded(path: &str) -> Option<OsString> {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    (!decoded.contains(&0)).then(|| OsString::from_vec(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'v>(variables: &'v Variables, name: &str) -> Option<&'v str> {
        variables
            .get(OsStr::new(name))
            .map(|value| value.to_str().expect("UTF-8"))
    }

    fn of_fields(fields: &[(&str, &str)]) -> Variables {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        variables(&Facts::default(), fields)
    }

    #[test]
    fn a_request_is_told_in_the_variables_of_the_rfc() {
        let facts = Facts {
            method: "POST",
            target: "/a/b?c=%20d",
            query: "c=%20d",
            http_minor: 1,
            content_length: Some(5),
            host: "example.org:8080",
            local_port: Some("7681"),
            peer: Some(("192.0.2.1", 5000)),
            is_encrypted: true,
            software: "Hotsocket/1",
        };
        let variables = variables(&facts, [("content-type", &b"text/plain"[..])].into_iter());
        for (name, value) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_SOFTWARE", "Hotsocket/1"),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "7681"),
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/a/b?c=%20d"),
            ("QUERY_STRING", "c=%20d"),
            ("CONTENT_LENGTH", "5"),
            ("CONTENT_TYPE", "text/plain"),
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REMOTE_PORT", "5000"),
            ("HTTPS", "on"),
        ] {
            assert_eq!(get(&variables, name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_request_without_a_body_has_no_length_but_always_a_query() {
        let facts = Facts {
            content_length: Some(0),
            ..Facts::default()
        };
        let variables = variables(&facts, std::iter::empty());
        assert_eq!(get(&variables, "CONTENT_LENGTH"), None);
        assert_eq!(get(&variables, "QUERY_STRING"), Some(""));
        assert_eq!(get(&variables, "HTTPS"), None);
        assert_eq!(get(&variables, "SERVER_PORT"), Some("80"));
    }

    #[test]
    fn several_fields_of_a_name_are_one_variable() {
        let variables = of_fields(&[
            ("Accept", "a/b"),
            ("cookie", "a=1"),
            ("ACCEPT", "c/d"),
            ("Cookie", "b=2"),
        ]);
        assert_eq!(get(&variables, "HTTP_ACCEPT"), Some("a/b, c/d"));
        assert_eq!(get(&variables, "HTTP_COOKIE"), Some("a=1; b=2"));
    }

    #[test]
    fn what_could_hurt_is_not_passed_on() {
        let plain = of_fields(&[]);
        for name in [
            "Proxy",
            "PROXY",
            "Authorization",
            "Proxy-Authorization",
            "X_Forwarded-For",
            "Upgrade",
        ] {
            assert_eq!(of_fields(&[(name, "value")]), plain, "{name}");
        }
    }

    #[test]
    fn the_server_is_named_without_its_port() {
        assert_eq!(name_of("example.org"), "example.org");
        assert_eq!(name_of("example.org:80"), "example.org");
        assert_eq!(name_of("[::1]:80"), "[::1]");
        assert_eq!(name_of("[::1]"), "[::1]");
    }

    #[test]
    fn a_path_is_decoded_and_has_no_zero_byte() {
        assert_eq!(
            decoded("/a%2fb%C3%A9").as_deref(),
            Some(OsStr::new("/a/b\u{e9}"))
        );
        assert_eq!(decoded("/a%00"), None);
    }
}

//! What URLs mean, and what is none.

use super::url::*;
use super::url_host::HostError;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn seed_4_21_a_url_keeps_its_input_and_the_slash_of_its_path() {
    let text = "ws://Example.org:8080/chat/room?a=1&b=%20".to_owned();
    let url = url(&text);
    assert_eq!(url.as_str(), text);
    assert_eq!(url.scheme(), Scheme::Ws);
    assert_eq!(url.host().name(), Some("example.org"));
    assert_eq!(url.port(), 8080);
    assert_eq!(url.path(), "/chat/room");
    assert_eq!(url.query(), Some("a=1&b=%20"));
    assert_eq!(url.target(), "/chat/room?a=1&b=%20");
}

#[test]
fn the_port_follows_from_the_scheme_and_then_stands_in_no_host_field() {
    for (text, port, field) in [
        ("ws://a", 80, "a"),
        ("WSS://a", 443, "a"),
        ("http://a:80/", 80, "a"),
        ("https://a:80", 80, "a:80"),
        ("https://[::1]", 443, "[::1]"),
        ("ws://[::1]:9", 9, "[::1]:9"),
        ("ws://127.0.0.1:007", 7, "127.0.0.1:7"),
    ] {
        let url = url(text);
        assert_eq!((url.port(), url.host_field().as_str()), (port, field));
    }
    assert_eq!(url("wss://a").authority(), "a:443");
}

#[test]
fn a_target_begins_with_a_slash_and_has_no_fragment() {
    for (text, target) in [
        ("ws://a", "/"),
        ("ws://a?", "/?"),
        ("ws://a?b/c?d", "/?b/c?d"),
        ("ws://a//b/../c", "//b/../c"),
        ("ws://a/%23;x=@:", "/%23;x=@:"),
        ("http://a/b#c?d", "/b"),
        ("http://a#c", "/"),
    ] {
        assert_eq!(url(text).target(), target, "{text}");
    }
    assert_eq!(url("http://u:p@a/b?c#d").absolute_target(), "http://a/b?c");
}

#[test]
fn what_is_no_url_is_refused_with_its_cause() {
    let character = |found, at| UrlError::Character { found, at };
    for (text, error) in [
        ("", UrlError::NoScheme),
        ("//a", UrlError::NoScheme),
        ("1ws://a", UrlError::NoScheme),
        ("localhost:80", UrlError::Scheme("localhost".into())),
        ("ftp://a", UrlError::Scheme("ftp".into())),
        ("ws:a", UrlError::NoHost),
        ("ws:/a", UrlError::NoHost),
        ("ws://", HostError::Empty.into()),
        ("ws:///a", HostError::Empty.into()),
        ("ws://:80", HostError::Empty.into()),
        ("ws://a:", UrlError::Port(String::new())),
        ("ws://a:0", UrlError::Port("0".into())),
        ("ws://a:+1", UrlError::Port("+1".into())),
        ("ws://a:65536", UrlError::Port("65536".into())),
        ("ws://a:b", UrlError::Port("b".into())),
        ("ws://::1/", HostError::Malformed(":".into()).into()),
        ("ws://u@a", UrlError::WebSocketCredentials),
        ("wss://u:p@a", UrlError::WebSocketCredentials),
        ("http://a%@b", UrlError::Credentials),
        ("http://a@b@c", UrlError::Credentials),
        ("ws://a/#", UrlError::Fragment),
        ("wss://a#b", UrlError::Fragment),
        ("ws://a/b c", character(' ', 8)),
        (" ws://a", UrlError::NoScheme),
        ("ws://a/\r\nX: y", character('\r', 7)),
        ("ws://a/\0", character('\0', 7)),
        ("ws://a\\b", character('\\', 6)),
        ("ws://a/\u{e9}", character('\u{e9}', 7)),
        ("ws://\u{e9}/", HostError::NotAscii("\u{e9}".into()).into()),
    ] {
        assert_eq!(Url::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn credentials_of_http_are_kept_and_not_printed() {
    let url = url("http://me:se%63ret@a/b");
    assert_eq!(url.credentials().unwrap().basic(), "Basic bWU6c2VjcmV0");
    for shown in [format!("{url}"), format!("{url:?}")] {
        assert_eq!(shown, "http://a/b");
    }
}

#[test]
fn references_mean_what_rfc_3986_says() {
    // Section 5.4, with a scheme that we know.
    let base = url("http://a/b/c/d;p?q");
    for (reference, meant) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("g?y#s", "http://a/b/c/g?y#s"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y#s"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/./x", "http://a/b/c/g#s/./x"),
        ("https://b:1/x/../y", "https://b:1/y"),
        ("/a//..", "http://a/a/"),
        ("//b", "http://b"),
        ("caf\u{e9}?\u{e9}", "http://a/b/c/caf%C3%A9?%C3%A9"),
    ] {
        let resolved = base.resolve(reference).unwrap();
        assert_eq!(resolved.as_str(), meant, "{reference}");
    }
    assert_eq!(
        base.resolve("mailto:a@b"),
        Err(UrlError::Scheme("mailto".into()))
    );
    assert_eq!(base.resolve("http:g"), Err(UrlError::NoHost));
    assert!(base.resolve("a b").is_err());
    assert_eq!(
        url("ws://a:8?q").resolve("b").unwrap().as_str(),
        "ws://a:8/b"
    );
}

#[test]
fn another_scheme_brings_its_port() {
    let url = url("https://a/b?c");
    let other = url.with_scheme(url.scheme().to_websocket()).unwrap();
    assert_eq!((other.as_str(), other.port()), ("wss://a/b?c", 443));
    assert!(!other.is_same_origin(&url) && url.is_same_origin(&url));
}

#[test]
fn no_character_at_any_place_makes_it_panic() {
    let good = "http://u:p@[::1]:80/a/../b?c#d";
    for place in 0..good.len() {
        for c in (0..=0x100).filter_map(char::from_u32) {
            let text = format!("{}{c}{}", &good[..place], &good[place..]);
            if let Ok(url) = Url::parse(&text) {
                assert_eq!(url.as_str(), text);
                assert!(url.target().starts_with('/'));
            }
            let _ = Url::parse(good).unwrap().resolve(&text);
        }
    }
}

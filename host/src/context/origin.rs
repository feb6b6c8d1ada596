//! Whose pages may open a WebSocket here (RFC 6455 section 10.2): a page of another site must not talk to a server
//! that its visitor can reach.

/// The origins that the config allows beside the host's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    /// As a browser writes them, `scheme://host[:port]` or `null`; `*` stands for all.
    pub origins: Vec<String>,
}

impl AllowedOrigins {
    /// Whether a page of `origin` may open a WebSocket on the server that it calls `host`.
    #[must_use]
    pub fn allow(&self, origin: &str, host: &str) -> bool {
        is_own(origin, host)
            || self
                .origins
                .iter()
                .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

/// Whether host and port of the origin are those of the Host field.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    let bare = |name: &str| {
        let name = name.strip_suffix(default_port).unwrap_or(name);
        name.to_ascii_lowercase()
    };
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_is_allowed_without_config() {
        let none = AllowedOrigins::default();
        assert!(none.allow("http://127.0.0.1:7681", "127.0.0.1:7681"));
        assert!(none.allow("https://Example.com", "example.com"));
        assert!(none.allow("https://example.com", "example.com:443"));
        assert!(none.allow("http://[::1]:80", "[::1]"));
        for origin in [
            "http://example.com:8080",
            "http://evil.com",
            "null",
            "",
            "http://",
            "example.com",
        ] {
            assert!(!none.allow(origin, "example.com"), "{origin}");
        }
        assert!(!none.allow("http://", ""));
    }

    #[test]
    fn the_config_allows_by_name_or_all() {
        let some = AllowedOrigins {
            origins: vec!["https://app.example".into(), "null".into()],
        };
        assert!(some.allow("https://app.example", "ws.example"));
        assert!(some.allow("null", "ws.example"));
        assert!(!some.allow("http://app.example", "ws.example"));
        let all = AllowedOrigins {
            origins: vec!["*".into()],
        };
        assert!(all.allow("http://anywhere", "ws.example"));
    }
}

//! Where an answer sends a client, and what goes along: RFC 9110 section 15.4, with the caution of browsers.

use crate::{
    limits::Limits,
    wire::{
        answer_head::HeldAnswer,
        client_fields::ClientFields,
        url::{Scheme, Url, UrlError},
    },
};

/// The redirects of one request.
#[derive(Clone, Debug)]
pub struct Redirects {
    left: u64,
    may_downgrade: bool,
    /// Still the host that was asked first.
    is_at_home: bool,
}

/// The next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Whom it is for.
    pub url: Url,
    /// Its method.
    pub method: String,
    /// Whether it has the body of the one before. What was streamed cannot be given again: whoever has no copy of it
    /// takes the redirect for the answer.
    pub keeps_body: bool,
    /// Whether all hosts up to here had the scheme, name and port of the first. If not, credentials stay behind:
    /// [`Redirect::fields`] has none, and the credentials of the first URL are not to be sent.
    pub keeps_secrets: bool,
    /// The caller's fields that go along.
    pub fields: ClientFields,
}

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Above `limits.redirects_count`.
    #[error("the server redirects again and again: see limits.redirects_count")]
    TooMany,
    /// Several fields, or bytes that are no text.
    #[error("the server redirects, but its field Location cannot be read")]
    Location,
    /// It names nothing that could be connected to.
    #[error("the server redirects to `{to}`: {cause}")]
    Url {
        /// What it names.
        to: String,
        /// What is wrong with that.
        cause: UrlError,
    },
    /// From TLS to none.
    #[error("the server redirects to {0}, which is not encrypted: allow that if it is meant")]
    Downgrade(String),
    /// With name and password, which are then the server's choice and not the caller's.
    #[error("the server redirects to {0} with a name and a password of its own")]
    Credentials(String),
    /// From HTTP to a WebSocket.
    #[error("the server redirects a request in HTTP to {0}")]
    WebSocket(String),
}

impl Redirects {
    /// For a request: so many are followed, and from TLS to none only if that is allowed.
    #[must_use]
    pub fn new(limits: &Limits, may_downgrade: bool) -> Self {
        Self {
            left: limits.redirects_count,
            may_downgrade,
            is_at_home: true,
        }
    }

    /// What follows from an answer to a request for `url`; `None` when it is no redirect. A WebSocket stays one: `https`
    /// means `wss` to it, and `http` means `ws`.
    ///
    /// # Errors
    ///
    /// [`RedirectError`]; the answer is then the last one.
    pub fn follow(
        &mut self,
        (method, url): (&str, &Url),
        fields: &ClientFields,
        answer: &HeldAnswer,
    ) -> Result<Option<Redirect>, RedirectError> {
        if !matches!(answer.status, 301..=303 | 307 | 308) {
            return Ok(None);
        }
        let Some(to) = location(answer)? else {
            return Ok(None);
        };
        let next = resolve(url, to)?;
        if url.scheme().is_secure() && !next.scheme().is_secure() && !self.may_downgrade {
            return Err(RedirectError::Downgrade(next.to_string()));
        }
        self.left = self.left.checked_sub(1).ok_or(RedirectError::TooMany)?;
        self.is_at_home &= url.is_same_origin(&next);
        let (method, keeps_body) = next_method(method, answer.status);
        let mut fields = fields.clone();
        if !self.is_at_home {
            fields = fields.without_secrets();
        }
        if !keeps_body {
            fields = fields.without_content();
        }
        Ok(Some(Redirect {
            url: next,
            method: method.to_owned(),
            keeps_body,
            keeps_secrets: self.is_at_home,
            fields,
        }))
    }
}

/// The value of Location; none if the field is missing or empty.
fn location(answer: &HeldAnswer) -> Result<Option<&str>, RedirectError> {
    let is_meant = |name: &[u8]| name.eq_ignore_ascii_case(b"Location");
    let mut values = answer.fields.iter().filter(|(name, _)| is_meant(name));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(RedirectError::Location),
        (Some((_, value)), None) => match std::str::from_utf8(value) {
            Ok("") => Ok(None),
            Ok(to) => Ok(Some(to)),
            Err(_) => Err(RedirectError::Location),
        },
    }
}

/// The URL that is meant, with a scheme for what is wanted of it.
fn resolve(url: &Url, to: &str) -> Result<Url, RedirectError> {
    let bad = |cause| RedirectError::Url {
        to: to.to_owned(),
        cause,
    };
    let wants_websocket = url.scheme().is_websocket();
    // A fragment, which is of no interest here, would be refused of a WebSocket URL.
    let to_there = to.split('#').next().unwrap_or_default();
    let next = url.resolve(to_there).map_err(bad)?;
    if next.credentials().is_some() {
        return Err(RedirectError::Credentials(next.to_string()));
    }
    match next.scheme() {
        Scheme::Http | Scheme::Https if wants_websocket => {
            next.with_scheme(next.scheme().to_websocket()).map_err(bad)
        }
        Scheme::Ws | Scheme::Wss if !wants_websocket => {
            Err(RedirectError::WebSocket(next.to_string()))
        }
        _ => Ok(next),
    }
}

/// The method of the next request, and whether it has the body of the one before: 307 and 308 change nothing, 303 asks for
/// something else, and 301 and 302 make a GET of a POST, as they always have.
fn next_method(method: &str, status: u16) -> (&str, bool) {
    match (status, method) {
        (303, "HEAD") => ("HEAD", false),
        (303, _) | (301 | 302, "POST") => ("GET", false),
        _ => (method, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::answer_head::{AnswerHead, AnswerParsed};

    fn answer(status: u16, fields: &str) -> HeldAnswer {
        let input = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        match AnswerHead::parse(input.as_bytes(), &Limits::default()) {
            AnswerParsed::Done(head) => head.held(),
            other => panic!("{other:?}"),
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn fields() -> ClientFields {
        let mut fields = ClientFields::new();
        for (name, value) in [("Cookie", "a"), ("Content-Type", "b"), ("Accept", "c")] {
            fields.add(name, value.as_bytes()).unwrap();
        }
        fields
    }

    fn follow_with(
        redirects: &mut Redirects,
        asked: (&str, &str),
        status: u16,
        to: &str,
    ) -> Result<Option<Redirect>, RedirectError> {
        let answer = answer(status, &format!("Location: {to}\r\n"));
        redirects.follow((asked.0, &url(asked.1)), &fields(), &answer)
    }

    fn follow(
        asked: (&str, &str),
        status: u16,
        to: &str,
    ) -> Result<Option<Redirect>, RedirectError> {
        let mut redirects = Redirects::new(&Limits::default(), false);
        follow_with(&mut redirects, asked, status, to)
    }

    #[test]
    fn each_status_says_what_becomes_of_method_and_body() {
        for (status, method, next, keeps_body) in [
            (301, "GET", "GET", true),
            (301, "POST", "GET", false),
            (302, "POST", "GET", false),
            (302, "PUT", "PUT", true),
            (303, "POST", "GET", false),
            (303, "PUT", "GET", false),
            (303, "HEAD", "HEAD", false),
            (307, "POST", "POST", true),
            (308, "POST", "POST", true),
        ] {
            let redirect = follow((method, "http://a/b"), status, "c")
                .unwrap()
                .unwrap();
            assert_eq!(
                (redirect.method.as_str(), redirect.keeps_body),
                (next, keeps_body)
            );
            assert_eq!(redirect.fields.has("Content-Type"), keeps_body, "{status}");
            assert_eq!(redirect.url.as_str(), "http://a/c");
        }
        for status in [200, 300, 304, 305, 306, 309, 404] {
            assert_eq!(
                follow(("GET", "http://a"), status, "c"),
                Ok(None),
                "{status}"
            );
        }
        assert_eq!(follow(("GET", "http://a"), 302, ""), Ok(None));
        let mut redirects = Redirects::new(&Limits::default(), false);
        let without = redirects.follow(("GET", &url("http://a")), &fields(), &answer(302, ""));
        assert_eq!(without, Ok(None));
    }

    #[test]
    fn credentials_stay_behind_and_do_not_come_back() {
        let mut redirects = Redirects::new(&Limits::default(), true);
        let mut step = |from: &str, to: &str| {
            follow_with(&mut redirects, ("GET", from), 307, to)
                .unwrap()
                .unwrap()
        };
        let kept = step("https://a/b", "https://a:443/c");
        assert!(kept.keeps_secrets && kept.fields.has("Cookie"));
        let lost = step("https://a/c", "https://b/");
        assert!(!lost.keeps_secrets && !lost.fields.has("Cookie"));
        assert!(lost.fields.has("Accept"));
        let back = step("https://b/", "https://a/b");
        assert!(!back.keeps_secrets && !back.fields.has("Cookie"));
        for to in ["http://a/", "https://a:444/", "https://a.a/"] {
            let mut redirects = Redirects::new(&Limits::default(), true);
            let other = follow_with(&mut redirects, ("GET", "https://a"), 307, to);
            assert!(!other.unwrap().unwrap().keeps_secrets, "{to}");
        }
    }

    #[test]
    fn a_redirect_from_tls_to_none_is_refused_unless_it_is_allowed() {
        for (from, to) in [
            ("https://a", "http://a/b"),
            ("wss://a", "ws://b"),
            ("wss://a", "http://b"),
        ] {
            let refused = follow(("GET", from), 302, to).unwrap_err();
            assert!(matches!(refused, RedirectError::Downgrade(_)), "{to}");
            let mut redirects = Redirects::new(&Limits::default(), true);
            let allowed = follow_with(&mut redirects, ("GET", from), 302, to);
            assert!(allowed.unwrap().is_some());
        }
        assert!(
            follow(("GET", "http://a"), 302, "https://a")
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_websocket_stays_one() {
        for (from, to, meant) in [
            ("ws://a/b", "c?d", "ws://a/c?d"),
            ("ws://a/b", "https://c/d#e", "wss://c/d"),
            ("ws://a/b", "http://c:81", "ws://c:81"),
            ("wss://a", "wss://b/", "wss://b/"),
        ] {
            let redirect = follow(("GET", from), 302, to).unwrap().unwrap();
            assert_eq!(redirect.url.as_str(), meant);
        }
        let refused = follow(("GET", "http://a"), 302, "ws://a").unwrap_err();
        assert!(matches!(refused, RedirectError::WebSocket(_)));
    }

    #[test]
    fn where_a_redirect_cannot_lead_is_told() {
        let refused = |to: &str| follow(("GET", "http://a"), 302, to).unwrap_err();
        for to in ["ftp://a", "http://", "a b", "http://127.1/"] {
            let error = refused(to);
            assert!(matches!(error, RedirectError::Url { .. }), "{to}");
            assert!(error.to_string().contains(to), "{error}");
        }
        let error = refused("http://u:secret@a/");
        assert!(matches!(error, RedirectError::Credentials(_)));
        assert!(!error.to_string().contains("secret"));
        let mut redirects = Redirects::new(&Limits::default(), false);
        let two = answer(302, "Location: /a\r\nLocation: /b\r\n");
        let error = redirects.follow(("GET", &url("http://a")), &fields(), &two);
        assert_eq!(error, Err(RedirectError::Location));
    }

    #[test]
    fn redirects_are_bounded() {
        let limits = Limits {
            redirects_count: 2,
            ..Limits::default()
        };
        let mut redirects = Redirects::new(&limits, false);
        for _ in 0..2 {
            assert!(follow_with(&mut redirects, ("GET", "http://a"), 302, "/").is_ok());
        }
        let error = follow_with(&mut redirects, ("GET", "http://a"), 302, "/");
        assert_eq!(error, Err(RedirectError::TooMany));
    }
}

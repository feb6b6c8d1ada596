//! Fields that the host adds to every answer when the config says so.

use crate::wire::fields::Fields;

/// Which fields the host adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnFields {
    /// [`SECURITY_FIELDS`].
    pub security: bool,
    /// A Server field. Off by default: it helps nobody but those who look for hosts to attack.
    pub server: bool,
}

/// What browsers are asked to be careful with. Those are chosen that break no page that was not written for them: each
/// leaves a site all it does with itself. A Content-Security-Policy depends on the page and so is nobody's default.
pub const SECURITY_FIELDS: &[(&str, &str)] = &[
    // A file that somebody has uploaded as text or image is not run as a script because it looks like one.
    ("X-Content-Type-Options", "nosniff"),
    // Pages of other sites cannot lay ours invisibly under the pointer.
    ("X-Frame-Options", "SAMEORIGIN"),
    // Other sites learn our origin, and not the paths and queries in which secrets stand.
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    // Pages of other sites that open ours get no hold of its window.
    ("Cross-Origin-Opener-Policy", "same-origin"),
];

/// And over TLS, since without it the field means nothing: the site is asked for by https from now on. Two years, which a
/// visitor who comes once a year renews in time; the names below this one are not ours to speak for.
pub const TRANSPORT_FIELD: (&str, &str) = ("Strict-Transport-Security", "max-age=63072000");

/// The value of the Server field: no version, which is only of use to those who know what is wrong with it.
const SERVER: &str = "hotsocket";

impl OwnFields {
    /// Adds what `fields`, of answers over TLS or not, does not have already.
    pub fn complete(self, fields: &mut Fields, is_encrypted: bool) {
        let security = if self.security { SECURITY_FIELDS } else { &[] };
        let transport = (self.security && is_encrypted).then_some(TRANSPORT_FIELD);
        let server = self.server.then_some(("Server", SERVER));
        for (name, value) in security.iter().copied().chain(transport).chain(server) {
            if !fields.has(name) {
                fields.set(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnFields, SECURITY_FIELDS};
    use crate::wire::fields::Fields;

    #[test]
    fn nothing_is_added_that_was_not_asked_for() {
        let mut fields = Fields::new();
        OwnFields::default().complete(&mut fields, false);
        assert!(fields.is_empty());
    }

    #[test]
    fn only_answers_over_tls_ask_for_tls_from_now_on() {
        let own = OwnFields {
            security: true,
            server: false,
        };
        for is_encrypted in [false, true] {
            let mut fields = Fields::new();
            own.complete(&mut fields, is_encrypted);
            assert_eq!(fields.has("Strict-Transport-Security"), is_encrypted);
        }
    }

    #[test]
    fn what_an_answer_has_already_is_not_overwritten() {
        let mut fields = Fields::new();
        fields.set("x-frame-options", "DENY");
        let own = OwnFields {
            security: true,
            server: true,
        };
        own.complete(&mut fields, false);
        assert_eq!(fields.get("X-Frame-Options"), Some(&b"DENY"[..]));
        assert_eq!(fields.get("Server"), Some(&b"hotsocket"[..]));
        assert_eq!(fields.get("X-Content-Type-Options"), Some(&b"nosniff"[..]));
        assert_eq!(fields.iter().count(), SECURITY_FIELDS.len() + 1);
    }
}

//! The page at `/`, where a browser can talk to the protocols that come with the host.

/// The page; its one gap is an attribute value.
const PAGE: &str = include_str!("page.html");
const GAP: &str = "@PROTOCOLS@";

/// The fields that belong to the page. The policy lets the page's own style and script run, known by their hashes, and
/// nothing else.
pub const PAGE_FIELDS: &[(&str, &str)] = &[
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
];

const POLICY: &str = "default-src 'none'; style-src 'sha256-tUbI1C37bvwV6VAEDyysAXL1S1MxoXhGkGvHP2QdUTE='; script-src 'sha256-O4cQrr5XHPStgb3GwzGFfYaWx/cR0twch4X/s8RL2rs='; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page of a host that serves these protocols.
#[must_use]
pub fn page<'a>(protocols: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let names: serde_json::Value = protocols.into_iter().collect();
    PAGE.replacen(GAP, &escaped(&names.to_string()), 1)
        .into_bytes()
}

/// `text` as it stands in an attribute value in double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use sha2::{Digest, Sha256};

    use super::{GAP, PAGE, POLICY, page};

    fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
        text.split_once(start)
            .and_then(|(_, rest)| rest.split_once(end))
            .unwrap()
            .0
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_of_the_page() {
        for (start, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
            let hash = BASE64_STANDARD.encode(Sha256::digest(between(PAGE, start, end)));
            assert!(
                POLICY.contains(&format!("'sha256-{hash}'")),
                "write sha256-{hash} for {start} into the policy"
            );
        }
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for reference in [
            "src=",
            "http://",
            "https://",
            "@import",
            "url(",
            " style=\"",
            "onclick=\"",
        ] {
            assert!(!PAGE.contains(reference), "{reference}");
        }
    }

    #[test]
    fn the_protocols_stand_in_the_page() {
        let text = String::from_utf8(page(["echo", "chat"])).unwrap();
        assert_eq!(
            between(&text, "data-protocols=\"", "\""),
            "[&quot;echo&quot;,&quot;chat&quot;]"
        );
        assert!(!text.contains(GAP));
    }

    #[test]
    fn a_name_cannot_leave_its_place() {
        let text = String::from_utf8(page(["\"><script>&'@PROTOCOLS@"])).unwrap();
        let value = between(&text, "data-protocols=\"", "\"");
        assert_eq!(
            value,
            "[&quot;\\&quot;&gt;&lt;script&gt;&amp;&#39;@PROTOCOLS@&quot;]"
        );
    }
}

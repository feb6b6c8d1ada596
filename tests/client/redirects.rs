//! Servers that send us elsewhere.

use serde_json::json;

use super::{Caller, liar::Liar, upstream, url};

#[test]
fn seed_7_6_redirects_are_followed_up_to_a_limit_and_told_each_time() {
    let (upstream, liar) = (upstream(), Liar::new());
    let mut caller = Caller::start();
    let there = url(&upstream, "/echo");
    let http = there.replace("ws:", "http:");
    caller.connect(&json!({"url": liar.url("/"), "fields": {"Cookie": "a"}, "say": ["x"]}));
    liar.accept().answer("302 Found", "Location: /next\r\n", "");
    caller.expect(&format!("redirect {}", liar.url("/next")));
    let asked = liar.accept();
    assert_eq!(asked.field("Cookie"), Some("a"));
    asked.answer(
        "307 Temporary Redirect",
        &format!("Location: {http}\r\n"),
        "",
    );
    caller.expect(&format!("redirect {there}"));
    caller.expect(&format!("open Client {there} None None None"));
    caller.expect("text x");

    caller.connect(&json!({"url": liar.url("/"), "redirects": 1}));
    for nth in 0..2 {
        liar.accept()
            .answer("302 Found", "Location: /again\r\n", "");
        let told = caller.told();
        let begin = ["redirect ", "error Status Some(302) 1 false"][nth];
        assert!(told.starts_with(begin), "{told}");
    }
}

#[test]
fn a_protocol_may_refuse_to_follow() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/"), "stays": true}));
    liar.accept().answer("302 Found", "Location: /next\r\n", "");
    caller.expect(&format!("redirect {}", liar.url("/next")));
    let told = caller.told();
    assert!(told.starts_with("error Status Some(302) 1 false"), "{told}");
    assert!(told.ends_with("is not wanted"), "{told}");
    caller.expect_no_orders();
}

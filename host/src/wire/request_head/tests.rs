use super::*;

const GOOD: &str = "GET /chat?room=1&x HTTP/1.1\r\nHost: example.org:80\r\nA: 1\r\na:  2 \r\n\r\n";

fn parse(input: &str) -> HeadParsed<'_> {
    RequestHead::parse(input.as_bytes(), &Limits::default())
}

fn head(input: &str) -> RequestHead<'_> {
    match parse(input) {
        HeadParsed::Done(head) => head,
        other => panic!("{input:?}: {other:?}"),
    }
}

fn wrong_with(input: &str, limits: &Limits) -> HeadError {
    match RequestHead::parse(input.as_bytes(), limits) {
        HeadParsed::Wrong(error) => error,
        other => panic!("{input:?}: {other:?}"),
    }
}

fn wrong(input: &str) -> HeadError {
    wrong_with(input, &Limits::default())
}

#[test]
fn a_head_is_read_and_what_follows_is_left() {
    let input = GOOD.to_owned() + "rest";
    let head = head(&input);
    assert_eq!(
        (head.method, head.minor_version, head.len),
        ("GET", 1, GOOD.len())
    );
    assert_eq!((head.path(), head.query()), ("/chat", Some("room=1&x")));
    assert_eq!(head.host(), "example.org:80");
    assert_eq!(head.fields("a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.field("none"), None);
}

#[test]
fn a_head_is_partial_until_its_last_byte() {
    for cut in 0..GOOD.len() {
        assert!(matches!(parse(&GOOD[..cut]), HeadParsed::Partial), "{cut}");
    }
}

#[test]
fn the_absolute_form_names_the_host() {
    let head = head("GET http://other:1/p?q HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!(
        (head.host(), head.path(), head.query()),
        ("other:1", "/p", Some("q"))
    );
    let head = self::head("GET ws://other?q HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!((head.host(), head.query()), ("other", Some("q")));
}

#[test]
fn http_1_0_needs_no_host_and_1_1_needs_exactly_one() {
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").host(), "");
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a:80:90\r\n",
        "Host: a:b\r\n",
        "Host: [a.example]\r\n",
        "Host: [::1]a\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
    ] {
        let error = wrong(&format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(error.status(), 400, "{fields}");
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    for input in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
    ] {
        assert_eq!(wrong(input).status(), 400, "{input:?}");
    }
    for target in ["a:1", "/", "http://a/"] {
        let input = format!("CONNECT {target} HTTP/1.1\r\nHost: a:1\r\n\r\n");
        assert_eq!(wrong(&input).status(), 501, "{target}");
    }
}

#[test]
fn a_version_that_is_not_served_is_told_apart_from_none_however_much_has_come() {
    for (line, status) in [
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/0.9", 505),
        ("GET /a b HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.x", 400),
        ("GET / HTTP/01.1", 400),
        ("GET / HTTP/2.00", 400),
    ] {
        let input = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(wrong(&input).status(), status, "{line}");
        for cut in 0..input.len() {
            match parse(&input[..cut]) {
                HeadParsed::Partial => {}
                HeadParsed::Wrong(error) => assert_eq!(error.status(), status, "{line} {cut}"),
                HeadParsed::Done(_) => panic!("{line} {cut}"),
            }
        }
    }
}

#[test]
fn limits_have_their_own_answers() {
    let limits = Limits {
        request_head_bytes: 100,
        request_target_bytes: 20,
        request_field_count: 2,
        ..Limits::default()
    };
    let target = "x".repeat(20);
    let long_target = format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wrong_with(&long_target, &limits).status(), 414);
    assert_eq!(wrong_with(&long_target[..26], &limits).status(), 414);
    let old = long_target.replace("HTTP/1.1", "HTTP/0.9");
    assert_eq!(wrong_with(&old[..33], &limits).status(), 414);
    let long_value = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
        target.repeat(5)
    );
    assert_eq!(wrong_with(&long_value, &limits).status(), 431);
    assert_eq!(wrong_with(&long_value[..100], &limits).status(), 431);
    let one = Limits {
        request_field_bytes: 10,
        ..Limits::default()
    };
    let long_field = "GET / HTTP/1.1\r\nHost: a\r\nName: 1234567\r\n\r\n";
    assert_eq!(wrong_with(long_field, &one), HeadError::FieldTooLarge);
    assert_eq!(HeadError::FieldTooLarge.status(), 431);
    let many = "GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC: c\r\n\r\n";
    assert_eq!(wrong_with(many, &limits).status(), 431);
}

#[test]
fn fields_of_one_name_may_have_a_bound_of_their_own_which_holds_over_all_their_lines() {
    let mut limits = Limits::default();
    limits.per_field_bytes.add("Cookie", 8);
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    for good in [
        "Cookie: 12345678\r\n",
        "cookie: 1234\r\nCOOKIE: 5678\r\n",
        "Cookies: 123456789\r\n",
    ] {
        let head = head(good);
        let parsed = RequestHead::parse(head.as_bytes(), &limits);
        assert!(matches!(parsed, HeadParsed::Done(_)), "{good}");
    }
    for long in [
        "Cookie: 123456789\r\n",
        "cookie: 1234\r\nA: a\r\nCOOKIE: 56789\r\n",
    ] {
        let error = wrong_with(&head(long), &limits);
        assert_eq!(error.status(), 431, "{long}");
        assert_eq!(
            error.to_string(),
            "request field `Cookie` too large: see limits.per_field_bytes, which is 8 for it"
        );
    }
}

#[test]
fn no_byte_at_any_place_makes_it_panic() {
    for place in 0..GOOD.len() {
        for byte in 0..=255 {
            let mut input = GOOD.as_bytes().to_vec();
            input[place] = byte;
            if let HeadParsed::Done(head) = RequestHead::parse(&input, &Limits::default()) {
                let _ = (head.host(), head.path(), head.query());
            }
        }
    }
}

#[test]
fn a_letter_that_no_target_has_is_found_wherever_it_stands() {
    for byte in 0..=255_u8 {
        for place in 0..20 {
            let mut target = [b'a'; 20];
            target[place] = byte;
            let fits = byte.is_ascii_graphic() && byte != b'#';
            assert_eq!(has_letters_of_a_target(&target), fits, "{byte} at {place}");
        }
    }
}

//! Which offers and responses are taken, and what then holds.

use permessage_deflate::{Agreed, Options, Refusal, accept, confirm, offer};

use crate::support::bits;

/// The parameters of a field's text; quotes do not occur.
fn parameters(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let parameters = text
        .split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    parameters.map(|text| match text.split_once('=') {
        None => (text, None),
        Some((name, value)) => (name, Some(value)),
    })
}

fn options(server_takeover: bool, client_takeover: bool, server: u8, client: u8) -> Options {
    Options {
        server_context_takeover: server_takeover,
        client_context_takeover: client_takeover,
        server_max_window_bits: bits(server),
        client_max_window_bits: bits(client),
        ..Options::default()
    }
}

const SMALL: &str = "server_no_context_takeover; client_no_context_takeover";

#[test]
fn a_server_answers_what_it_will_do() {
    let open = options(true, true, 15, 15);
    let small = Options::default();
    let narrow = options(true, true, 10, 11);
    for (offered, options, answer, [ours, peers], [our_bits, peer_bits]) in [
        ("", &open, "", [true, true], [15, 15]),
        ("", &small, SMALL, [false, false], [15, 15]),
        ("client_max_window_bits", &open, "", [true, true], [15, 15]),
        (
            "server_no_context_takeover",
            &open,
            "server_no_context_takeover",
            [false, true],
            [15, 15],
        ),
        (
            "client_no_context_takeover",
            &open,
            "client_no_context_takeover",
            [true, false],
            [15, 15],
        ),
        (
            "server_max_window_bits=15",
            &open,
            "server_max_window_bits=15",
            [true, true],
            [15, 15],
        ),
        (
            "server_max_window_bits=8",
            &open,
            "server_max_window_bits=8",
            [true, true],
            [8, 15],
        ),
        (
            "client_max_window_bits=9",
            &open,
            "client_max_window_bits=9",
            [true, true],
            [15, 9],
        ),
        (
            "client_max_window_bits",
            &narrow,
            "server_max_window_bits=10; client_max_window_bits=11",
            [true, true],
            [10, 11],
        ),
        (
            "client_max_window_bits=8; server_max_window_bits=12",
            &narrow,
            "server_max_window_bits=10; client_max_window_bits=8",
            [true, true],
            [10, 8],
        ),
        // A window that cannot be asked for must not be kept.
        (
            "",
            &narrow,
            "client_no_context_takeover; server_max_window_bits=10",
            [true, false],
            [10, 15],
        ),
    ] {
        let accepted = accept(parameters(offered), options).expect(offered);
        assert_eq!(accepted.response.to_string(), answer, "to {offered:?}");
        let agreed = Agreed {
            our_takeover: ours,
            our_window_bits: bits(our_bits),
            peer_takeover: peers,
            peer_window_bits: bits(peer_bits),
        };
        assert_eq!(accepted.agreed, agreed, "to {offered:?}");
    }
}

#[test]
fn an_offer_with_a_fault_is_declined() {
    for (offered, reason) in [
        ("x", r#"unknown parameter "x""#),
        (
            "Server_No_Context_Takeover",
            r#"unknown parameter "Server_No_Context_Takeover""#,
        ),
        (
            "server_no_context_takeover=1",
            "server_no_context_takeover takes no value",
        ),
        (
            "client_no_context_takeover=",
            "client_no_context_takeover takes no value",
        ),
        (
            "server_no_context_takeover; server_no_context_takeover",
            "server_no_context_takeover is repeated",
        ),
        (
            "client_no_context_takeover; client_no_context_takeover",
            "client_no_context_takeover is repeated",
        ),
        (
            "server_max_window_bits=9; server_max_window_bits=9",
            "server_max_window_bits is repeated",
        ),
        (
            "client_max_window_bits; client_max_window_bits=9",
            "client_max_window_bits is repeated",
        ),
        (
            "server_max_window_bits",
            "server_max_window_bits needs a number from 8 to 15",
        ),
    ] {
        let refusal = accept(parameters(offered), &Options::default()).expect_err(offered);
        assert_eq!(refusal.to_string(), reason);
    }
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        for value in [
            "", "7", "16", "08", "010", "+9", "9 ", "1e1", "108", "-8", "a", "\u{669}",
        ] {
            let offered = [(name, Some(value))];
            let refusal = accept(offered, &Options::default()).expect_err(value);
            assert_eq!(
                refusal.to_string(),
                format!("{name} needs a number from 8 to 15")
            );
        }
        for value in 8..=15 {
            let offered =
                [(name, Some(&*value.to_string()))].map(|(n, v)| (n, v.map(str::to_owned)));
            let offered = offered.iter().map(|(n, v)| (*n, v.as_deref()));
            accept(offered, &Options::default()).expect("a window");
        }
    }
}

#[test]
fn a_client_offers_what_its_options_demand() {
    for (options, text) in [
        (options(true, true, 15, 15), "client_max_window_bits"),
        (
            Options::default(),
            "server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (
            options(true, true, 10, 9),
            "server_max_window_bits=10; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(offer(&options).to_string(), text);
    }
}

#[test]
fn a_client_takes_a_response_that_keeps_to_its_offer() {
    let open = options(true, true, 15, 15);
    let narrow = options(true, true, 10, 11);
    for (response, options, [ours, peers], [our_bits, peer_bits]) in [
        ("", &open, [true, true], [15, 15]),
        (SMALL, &open, [false, false], [15, 15]),
        (
            "server_no_context_takeover",
            &Options::default(),
            [false, false],
            [15, 15],
        ),
        (
            "server_max_window_bits=8; client_max_window_bits=9",
            &open,
            [true, true],
            [9, 8],
        ),
        ("server_max_window_bits=10", &narrow, [true, true], [11, 10]),
        (
            "server_max_window_bits=9; client_max_window_bits=15",
            &narrow,
            [true, true],
            [11, 9],
        ),
    ] {
        let agreed = Agreed {
            our_takeover: ours,
            our_window_bits: bits(our_bits),
            peer_takeover: peers,
            peer_window_bits: bits(peer_bits),
        };
        assert_eq!(
            confirm(parameters(response), options),
            Ok(agreed),
            "{response:?}"
        );
    }
}

#[test]
fn a_client_fails_on_a_response_beyond_its_offer() {
    let open = options(true, true, 15, 15);
    let narrow = options(true, true, 10, 15);
    for (response, options, reason) in [
        (
            "",
            &Options::default(),
            "server_no_context_takeover was demanded but is missing",
        ),
        (
            "",
            &narrow,
            "server_max_window_bits was demanded but is missing",
        ),
        (
            "server_max_window_bits=11",
            &narrow,
            "server_max_window_bits is larger than offered",
        ),
        (
            "client_max_window_bits",
            &open,
            "client_max_window_bits needs a number from 8 to 15",
        ),
        (
            "client_max_window_bits=16",
            &open,
            "client_max_window_bits needs a number from 8 to 15",
        ),
        (
            "server_max_window_bits",
            &open,
            "server_max_window_bits needs a number from 8 to 15",
        ),
        ("x=1", &open, r#"unknown parameter "x""#),
        (
            "server_max_window_bits=9; server_max_window_bits=9",
            &open,
            "server_max_window_bits is repeated",
        ),
    ] {
        let refusal: Refusal = confirm(parameters(response), options).expect_err(response);
        assert_eq!(refusal.to_string(), reason);
    }
}

#[test]
fn both_sides_understand_each_other_under_all_options() {
    let takeovers = [(false, false), (false, true), (true, false), (true, true)];
    let all = takeovers.iter().flat_map(|(server, client)| {
        let bits = (8..=15).flat_map(|s| (8..=15).map(move |c| (s, c)));
        bits.map(|(s, c)| options(*server, *client, s, c))
    });
    let all: Vec<Options> = all.collect();
    for client in &all {
        for server in &all {
            let text = offer(client).to_string();
            let accepted = accept(parameters(&text), server).expect("a good offer");
            let response = accepted.response.to_string();
            let confirmed = confirm(parameters(&response), client).expect("a good response");
            let mirrored = Agreed {
                our_takeover: confirmed.peer_takeover,
                our_window_bits: confirmed.peer_window_bits,
                peer_takeover: confirmed.our_takeover,
                peer_window_bits: confirmed.our_window_bits,
            };
            assert_eq!(accepted.agreed, mirrored, "{text} | {response}");
        }
    }
}

#[test]
fn equal_keys_mean_equal_bytes() {
    let agreed = |takeover, window| Agreed {
        our_takeover: takeover,
        our_window_bits: bits(window),
        peer_takeover: true,
        peer_window_bits: bits(15),
    };
    let options = Options::default();
    let key = |agreed: Agreed| agreed.key(&options).map(|key| key.number());
    assert_eq!(key(agreed(true, 15)), None);
    assert_eq!(key(agreed(false, 15)), key(agreed(false, 15)));
    assert_ne!(key(agreed(false, 15)), key(agreed(false, 14)));
    assert_eq!(
        key(agreed(false, 8)),
        key(agreed(false, 9)),
        "both are made with 9 bits"
    );
    let other = Options {
        threshold_bytes: 1,
        ..Options::default()
    };
    assert_ne!(
        agreed(false, 15).key(&other).map(|key| key.number()),
        key(agreed(false, 15))
    );
}

//! The negotiation of permessage-deflate, on both sides.

use permessage_deflate::{ClientBits, Options, Parameters, WindowBits, accept, confirm, offer};

const NAMES: [&str; 8] = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
    "server_max_window_bits",
    "client_max_window_bits",
    "x",
    "",
];
const VALUES: [Option<&str>; 16] = [
    None,
    None,
    None,
    Some("8"),
    Some("9"),
    Some("10"),
    Some("11"),
    Some("12"),
    Some("13"),
    Some("14"),
    Some("15"),
    Some("16"),
    Some("7"),
    Some("08"),
    Some(""),
    Some("+9"),
];

type List<'a> = Vec<(&'a str, Option<&'a str>)>;

/// A list of parameters, as text or a byte for each name and value.
fn list(input: &[u8]) -> Option<List<'_>> {
    let (kind, rest) = input.split_first()?;
    if kind & 1 == 0 {
        let parameter = |byte: &u8| {
            let (value, name) = (byte >> 3 & 15, byte & 7);
            (NAMES[usize::from(name)], VALUES[usize::from(value)])
        };
        return Some(rest.iter().map(parameter).collect());
    }
    let text = std::str::from_utf8(rest).ok()?;
    let parameter = |text| match str::split_once(text, '=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    Some(text.split("; ").map(parameter).collect())
}

fn options(flags: u8) -> Options {
    let bits = |bits| WindowBits::new(8 + (bits & 7)).unwrap();
    Options {
        server_context_takeover: flags & 1 == 0,
        client_context_takeover: flags & 2 == 0,
        server_max_window_bits: bits(flags >> 2),
        client_max_window_bits: bits(flags >> 5),
        ..Options::default()
    }
}

/// A list as it stands in a field, which is where the next one reads it from.
fn sent(parameters: &Parameters) -> Vec<(String, Option<String>)> {
    let text = parameters.to_string();
    let parameter = |text: &str| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    };
    text.split("; ")
        .filter(|text| !text.is_empty())
        .map(parameter)
        .collect()
}

fn borrowed(list: &[(String, Option<String>)]) -> impl Iterator<Item = (&str, Option<&str>)> {
    list.iter()
        .map(|(name, value)| (name.as_str(), value.as_deref()))
}

/// Any list is accepted by the rules or refused, as an offer and as an answer; our two ends always agree, and on the same.
pub(crate) fn deflate_offer(input: &[u8]) {
    let [client_flags, server_flags, rest @ ..] = input else {
        return;
    };
    let (client, server) = (options(*client_flags), options(*server_flags));
    our_ends_agree(&client, &server);
    if let Some(list) = list(rest) {
        as_an_offer(&list, &server);
        as_an_answer(&list, &client);
    }
}

fn our_ends_agree(client: &Options, server: &Options) {
    let offered = sent(&offer(client));
    let accepted = accept(borrowed(&offered), server).expect("our own offer");
    let answer = sent(&accepted.response);
    let confirmed = confirm(borrowed(&answer), client).expect("our own answer");
    let (here, there) = (accepted.agreed, confirmed);
    assert_eq!(here.our_takeover, there.peer_takeover);
    assert_eq!(here.our_window_bits, there.peer_window_bits);
    assert!(here.peer_takeover || !there.our_takeover);
    assert!(here.peer_window_bits >= there.our_window_bits);
}

fn as_an_offer(list: &List<'_>, server: &Options) {
    let Ok(offer) = Parameters::parse(list.iter().copied()) else {
        assert!(accept(list.iter().copied(), server).is_err());
        return;
    };
    let accepted = accept(list.iter().copied(), server).expect("what is well formed does");
    let (response, agreed) = (accepted.response, accepted.agreed);

    // The answer holds to the offer. client_max_window_bits is the one that must have been offered; section 7.1.
    assert!(response.server_no_context_takeover || !offer.server_no_context_takeover);
    assert!(response.client_no_context_takeover || !offer.client_no_context_takeover);
    if let Some(offered) = offer.server_max_window_bits {
        assert!(
            response
                .server_max_window_bits
                .is_some_and(|bits| bits <= offered)
        );
    }
    match (
        offer.client_max_window_bits,
        response.client_max_window_bits,
    ) {
        (_, None) | (Some(ClientBits::Any), Some(ClientBits::Max(_))) => {}
        (Some(ClientBits::Max(offered)), Some(ClientBits::Max(bits))) => assert!(bits <= offered),
        other => panic!("an answer that was not asked for: {other:?}"),
    }

    // What is done is what the answer says, and no more than the options allow.
    let bits = |bits: Option<WindowBits>| bits.unwrap_or(WindowBits::MAX);
    let client_bits = response.client_max_window_bits.map(|bits| match bits {
        ClientBits::Max(bits) => bits,
        ClientBits::Any => panic!("an answer without a value"),
    });
    assert_eq!(agreed.our_takeover, !response.server_no_context_takeover);
    assert_eq!(
        agreed.our_window_bits,
        bits(response.server_max_window_bits)
    );
    assert_eq!(agreed.peer_takeover, !response.client_no_context_takeover);
    assert_eq!(agreed.peer_window_bits, bits(client_bits));
    assert!(server.server_context_takeover || !agreed.our_takeover);
    assert!(server.client_context_takeover || !agreed.peer_takeover);
    assert!(agreed.our_window_bits <= server.server_max_window_bits);
    assert!(!agreed.peer_takeover || agreed.peer_window_bits <= server.client_max_window_bits);

    // It is read as it was written, and a client that demands nothing lives with it.
    let answer = sent(&response);
    assert_eq!(Parameters::parse(borrowed(&answer)), Ok(response));
    let confirmed = confirm(borrowed(&answer), &options(0b1111_1100)).expect("our own answer");
    assert_eq!(confirmed.peer_takeover, agreed.our_takeover);
    assert_eq!(confirmed.our_takeover, agreed.peer_takeover);
    assert_eq!(confirmed.peer_window_bits, agreed.our_window_bits);
    assert_eq!(confirmed.our_window_bits, agreed.peer_window_bits);
}

fn as_an_answer(list: &List<'_>, client: &Options) {
    let Ok(agreed) = confirm(list.iter().copied(), client) else {
        return;
    };
    assert!(Parameters::parse(list.iter().copied()).is_ok());
    assert!(client.server_context_takeover || !agreed.peer_takeover);
    assert!(client.client_context_takeover || !agreed.our_takeover);
    assert!(agreed.peer_window_bits <= client.server_max_window_bits);
    assert!(agreed.our_window_bits <= client.client_max_window_bits);
}

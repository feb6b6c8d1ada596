//! Who asks: the peer of the transport, or whom a proxy asks for that is trusted.

use std::net::{IpAddr, SocketAddr};

use crate::{
    net::peer::Peer,
    wire::{
        forwarded::{self, Node},
        header_list::Malformed,
        network::Network,
        request_head::RequestHead,
    },
};

/// What a field says of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The field is not there.
    Nothing,
    /// It is malformed, or does not tell an address.
    Nobody,
    Client(SocketAddr),
}

/// The client that `peer` asks for, when it is a proxy of these networks and says so. Where both fields are there they
/// have to agree: many a proxy writes one of them only, and passes on whatever a client has written in the other.
pub(super) fn client(head: &RequestHead<'_>, peer: Peer, trusted: &[Network]) -> Option<Peer> {
    // Without trusted proxies nothing is looked at.
    if trusted.is_empty() || !is_trusted(trusted, peer) {
        return None;
    }
    let standard = told(head, "Forwarded", trusted, |value, each| {
        forwarded::forwarded(value, &mut |node| each(node))
    });
    let older = told(head, "X-Forwarded-For", trusted, |value, each| {
        forwarded::x_forwarded_for(value, &mut |node| each(node))
    });
    let client = match (standard, older) {
        (Said::Client(client), Said::Nothing) | (Said::Nothing, Said::Client(client)) => client,
        (Said::Client(client), Said::Client(other)) if client.ip() == other.ip() => client,
        _ => return None,
    };
    Some(Peer::Inet(client))
}

/// Whether `peer` is in one of these networks.
pub(super) fn is_trusted(trusted: &[Network], peer: Peer) -> bool {
    peer.address()
        .is_some_and(|address| is_within(trusted, address.ip()))
}

fn is_within(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The right-most address in the fields of that name that is not trusted itself; the left-most one when all are.
fn told(
    head: &RequestHead<'_>,
    name: &str,
    trusted: &[Network],
    read: impl Fn(&[u8], &mut dyn FnMut(Node)) -> Result<(), Malformed>,
) -> Said {
    let mut nearest = None;
    for value in head.fields(name) {
        let read = read(value, &mut |node| match node {
            Node::Address(address) if nearest.is_some() && is_within(trusted, address.ip()) => {}
            _ => nearest = Some(node),
        });
        if read.is_err() {
            return Said::Nobody;
        }
    }
    match nearest {
        None => Said::Nothing,
        Some(Node::Hidden) => Said::Nobody,
        Some(Node::Address(address)) => Said::Client(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limits, wire::request_head::HeadParsed};

    /// Who asks when 10.0.0.1 sends these fields and 10/8 is trusted.
    fn asks(fields: &str) -> String {
        asked_by("10.0.0.1:1", fields)
    }

    fn asked_by(peer: &str, fields: &str) -> String {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let HeadParsed::Done(head) = RequestHead::parse(text.as_bytes(), &Limits::default()) else {
            panic!("{text}");
        };
        let peer = Peer::Inet(peer.parse().unwrap());
        let trusted = [Network::parse("10.0.0.0/8").unwrap()];
        client(&head, peer, &trusted).unwrap_or(peer).to_string()
    }

    #[test]
    fn the_nearest_address_that_is_not_trusted_asks() {
        for (fields, client) in [
            ("", "10.0.0.1:1"),
            ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1:0"),
            (
                "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2\r\n",
                "192.0.2.1:0",
            ),
            (
                "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n",
                "192.0.2.1:0",
            ),
            ("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3:0"),
            (
                "Forwarded: for=6.6.6.6, for=\"192.0.2.1:9\", for=10.0.0.2\r\n",
                "192.0.2.1:9",
            ),
            (
                "Forwarded: for=192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\n",
                "192.0.2.1:0",
            ),
        ] {
            assert_eq!(asks(fields), client, "{fields}");
        }
    }

    #[test]
    fn what_is_malformed_hidden_or_contradicted_is_not_believed() {
        for fields in [
            "X-Forwarded-For: 192.0.2.1, nobody\r\n",
            "X-Forwarded-For: nobody\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "X-Forwarded-For: 192.0.2.1, unknown\r\n",
            "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2\r\n",
            "Forwarded: for=nobody\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "Forwarded: for=_hidden\r\n",
            "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n",
        ] {
            assert_eq!(asks(fields), "10.0.0.1:1", "{fields}");
        }
    }

    #[test]
    fn of_another_peer_the_fields_mean_nothing() {
        let fields = "X-Forwarded-For: 192.0.2.1\r\n";
        assert_eq!(asked_by("11.0.0.1:1", fields), "11.0.0.1:1");
        assert_eq!(asked_by("[::ffff:10.0.0.1]:1", fields), "192.0.2.1:0");
    }
}

//! Who asks: the peer of the transport, or whom a proxy asks for that is trusted.

use std::net::{IpAddr, SocketAddr};

use crate::{
    net::peer::Peer,
    wire::{
        forwarded::{self, Node},
        network::Network,
        request_head::RequestHead,
    },
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// The peer of the transport, for itself.
    Itself,
    /// A proxy, for this client.
    For(Peer),
    /// A proxy, for somebody whom it does not name, or not so that it can be believed. Clients can bring that about, so
    /// nothing may be allowed for what the proxy itself may do.
    ForNobodyKnown,
}

/// What a field says of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The field is not there.
    Nothing,
    /// It is malformed, or does not tell an address.
    Nobody,
    Client(SocketAddr),
}

/// Whom `peer` asks for, when it is a proxy of these networks. Where both fields are there they have to agree: many a
/// proxy writes one of them only, and passes on whatever a client has written in the other.
pub(super) fn asks(head: &RequestHead<'_>, peer: Peer, trusted: &[Network]) -> Asks {
    // Without trusted proxies nothing is looked at.
    if trusted.is_empty() || !is_trusted(trusted, peer) {
        return Asks::Itself;
    }
    let standard = told(head, "Forwarded", trusted, |value, each| {
        // Where an element of it ends is not known any more once one is malformed.
        let read = forwarded::forwarded(value, &mut |node| each(node));
        read.unwrap_or_else(|_| each(Node::Hidden));
    });
    let older = told(head, "X-Forwarded-For", trusted, |value, each| {
        forwarded::x_forwarded_for(value, &mut |node| each(node));
    });
    match (standard, older) {
        (Said::Nothing, Said::Nothing) => Asks::Itself,
        (Said::Client(client), Said::Nothing) | (Said::Nothing, Said::Client(client)) => {
            Asks::For(client.into())
        }
        (Said::Client(client), Said::Client(other)) if client.ip() == other.ip() => {
            Asks::For(client.into())
        }
        _ => Asks::ForNobodyKnown,
    }
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
    read: impl Fn(&[u8], &mut dyn FnMut(Node)),
) -> Said {
    let mut nearest = None;
    for value in head.fields(name) {
        read(value, &mut |node| match node {
            Node::Address(address) if nearest.is_some() && is_within(trusted, address.ip()) => {}
            _ => nearest = Some(node),
        });
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
        match super::asks(&head, peer, &trusted) {
            Asks::Itself => peer.to_string(),
            Asks::For(client) => client.to_string(),
            Asks::ForNobodyKnown => "?".to_owned(),
        }
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
            "X-Forwarded-For: 192.0.2.1, nobody, 10.0.0.2\r\n",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: nobody\r\n",
            "Forwarded: nobody, for=192.0.2.1\r\n",
            "Forwarded: for=192.0.2.1, for=\"10.0.0.2\r\n",
            "X-Forwarded-For: 192.0.2.1, unknown\r\n",
            "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2\r\n",
            "Forwarded: for=nobody\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "Forwarded: for=_hidden\r\n",
            "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n",
        ] {
            assert_eq!(asks(fields), "?", "{fields}");
        }
    }

    #[test]
    fn what_a_client_has_written_before_what_its_proxy_added_changes_nothing() {
        for fields in [
            "X-Forwarded-For: nobody, 192.0.2.1\r\n",
            "X-Forwarded-For: , unknown,\"10.0.0.1, 192.0.2.1, 10.0.0.2\r\n",
            "X-Forwarded-For: nobody\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "Forwarded: nobody\r\nForwarded: for=192.0.2.1\r\n",
            "Forwarded: for=\"10.0.0.3\r\nForwarded: for=192.0.2.1, for=10.0.0.2\r\n",
        ] {
            assert_eq!(asks(fields), "192.0.2.1:0", "{fields}");
        }
    }

    #[test]
    fn of_another_peer_the_fields_mean_nothing() {
        let fields = "X-Forwarded-For: 192.0.2.1\r\n";
        assert_eq!(asked_by("11.0.0.1:1", fields), "11.0.0.1:1");
        assert_eq!(asked_by("[::ffff:10.0.0.1]:1", fields), "192.0.2.1:0");
    }
}

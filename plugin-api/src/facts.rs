//! Facts of a connection, as sessions and requests read them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Role, Tls, TlsVersion, Transport, abi};

/// Who can ask the host for facts by their keys.
pub(crate) trait Facts {
    fn number(&self, key: u32) -> Option<u64>;

    fn bytes(&self, key: u32) -> Option<&[u8]>;

    fn words(&self, key: u32) -> Option<&str> {
        str::from_utf8(self.bytes(key)?).ok()
    }

    fn peer(&self) -> Option<SocketAddr> {
        let port = self.number(abi::FACT_PEER_PORT)?.try_into().ok()?;
        let ip = self.bytes(abi::FACT_PEER_IP)?;
        let ip = match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
            (Ok(ip), _) => IpAddr::V4(Ipv4Addr::from(ip)),
            (_, Ok(ip)) => IpAddr::V6(Ipv6Addr::from(ip)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    fn peer_name(&self) -> Option<&str> {
        self.words(abi::FACT_PEER_NAME)
    }

    fn protocol_id(&self) -> u32 {
        self.number(abi::FACT_PROTOCOL_ID)
            .and_then(|id| id.try_into().ok())
            .unwrap_or_default()
    }

    fn role(&self) -> Role {
        match self.number(abi::FACT_ROLE) {
            Some(abi::ROLE_CLIENT) => Role::Client,
            _ => Role::Server,
        }
    }

    fn transport(&self) -> Transport {
        match self.number(abi::FACT_TRANSPORT) {
            Some(abi::TRANSPORT_TCP) => Transport::Tcp,
            Some(abi::TRANSPORT_UNIX) => Transport::Unix,
            _ => Transport::Other,
        }
    }

    fn is_encrypted(&self) -> bool {
        self.number(abi::FACT_ENCRYPTED) == Some(1)
    }

    fn tls(&self) -> Option<Tls<'_>> {
        let version = self.number(abi::FACT_TLS_VERSION)?;
        Some(Tls {
            version: match version {
                0x0303 => TlsVersion::Tls12,
                0x0304 => TlsVersion::Tls13,
                _ => TlsVersion::Other,
            },
            suite: self.words(abi::FACT_TLS_SUITE).unwrap_or_default(),
            server_name: self.words(abi::FACT_SERVER_NAME),
            application_protocol: self.bytes(abi::FACT_APPLICATION_PROTOCOL),
            peer_certificate: self.bytes(abi::FACT_PEER_CERTIFICATE),
            is_peer_checked: self.number(abi::FACT_PEER_CHECKED) == Some(1),
        })
    }
}

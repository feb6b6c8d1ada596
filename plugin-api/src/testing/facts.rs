//! Facts of a connection of the test host.

use std::net::IpAddr;

use super::session::Handshake;
use crate::abi;

/// What is known of a connection before there is a session.
pub(super) struct KnownFacts {
    handshake: Handshake,
    peer_ip: Option<Vec<u8>>,
    protocol: String,
    protocol_id: u32,
    role: u64,
}

impl KnownFacts {
    pub(super) fn new(handshake: Handshake, protocol: &str, protocol_id: u32, role: u64) -> Self {
        let peer_ip = handshake.peer.map(|peer| match peer.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        });
        Self {
            handshake,
            peer_ip,
            protocol: protocol.to_owned(),
            protocol_id,
            role,
        }
    }

    pub(super) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// What was said last by that name.
    pub(super) fn tag(&self, name: &[u8]) -> Option<&[u8]> {
        let mut tags = self.handshake.tags.iter().rev();
        let (_, value) = tags.find(|(other, _)| other.as_bytes() == name)?;
        Some(value)
    }

    pub(super) fn number(&self, key: u32) -> Option<u64> {
        let peer = self.handshake.peer;
        match key {
            abi::FACT_PEER_PORT => peer.map(|peer| peer.port().into()),
            abi::FACT_ROLE => Some(self.role),
            abi::FACT_TRANSPORT if peer.is_some() => Some(abi::TRANSPORT_TCP),
            abi::FACT_TRANSPORT => Some(abi::TRANSPORT_UNIX),
            abi::FACT_ENCRYPTED => Some(self.handshake.encrypted.into()),
            abi::FACT_TLS_VERSION => self.handshake.encrypted.then_some(0x0304),
            abi::FACT_PEER_CHECKED => {
                let is_checked = self.handshake.peer_certificate.is_some();
                self.handshake.encrypted.then_some(is_checked.into())
            }
            abi::FACT_PROTOCOL_ID => Some(self.protocol_id.into()),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, key: u32) -> Option<&[u8]> {
        let text = match key {
            abi::FACT_VHOST => "test",
            abi::FACT_PATH => &self.handshake.path,
            abi::FACT_QUERY => self.handshake.query.as_deref()?,
            abi::FACT_SUBPROTOCOL => self.handshake.subprotocol.as_deref()?,
            abi::FACT_PEER_NAME => self.handshake.peer_name.as_deref()?,
            abi::FACT_PROTOCOL => &self.protocol,
            abi::FACT_TLS_SUITE if self.handshake.encrypted => "TLS13_AES_256_GCM_SHA384",
            abi::FACT_PEER_CERTIFICATE if self.handshake.encrypted => {
                return self.handshake.peer_certificate.as_deref();
            }
            abi::FACT_PEER_IP => return self.peer_ip.as_deref(),
            _ => return None,
        };
        Some(text.as_bytes())
    }
}

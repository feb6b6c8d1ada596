//! Network interfaces by name, and the addresses that they have at this moment.

use std::{
    io,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};

use crate::net::listener::InetSettings;

/// All addresses of a network interface, to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Its name, as in `eth0`.
    pub name: String,
    /// What is set for each of them: its port, of which 0 is a free one at each, and keepalive. The IP address in it means
    /// nothing.
    pub each: InetSettings,
}

/// Why an interface has no addresses to listen at.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceFault {
    /// There is no interface of that name; these are there.
    #[error("this machine has no network interface of that name; it has {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// It has neither an IPv4 nor an IPv6 address.
    #[error(
        "the network interface has no address yet; give it one, or start the host after the network is up"
    )]
    Bare,
    /// The system does not tell.
    #[error("the network interfaces cannot be listed")]
    Unlisted(#[source] io::Error),
}

impl InterfaceSettings {
    /// Its addresses of IPv4 and IPv6; those that hold on this link only with the number of the interface.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or it has no address.
    pub fn addresses(&self) -> Result<Vec<InetSettings>, InterfaceFault> {
        let all = getifaddrs().map_err(|errno| InterfaceFault::Unlisted(errno.into()))?;
        let (mut known, mut found, mut is_known) = (Vec::new(), Vec::new(), false);
        for entry in all {
            if !is_called(&entry.interface_name, &self.name) {
                known.push(entry.interface_name);
                continue;
            }
            is_known = true;
            let address = entry.address.as_ref();
            let address = address.and_then(|address| inet(address, self.each.address.port()));
            found.extend(address.filter(|address| !found.contains(address)));
        }
        if !is_known {
            known.sort();
            known.dedup();
            return Err(InterfaceFault::Unknown(known));
        }
        if found.is_empty() {
            return Err(InterfaceFault::Bare);
        }
        let settings = found.into_iter().map(|address| InetSettings {
            address,
            ..self.each
        });
        Ok(settings.collect())
    }
}

/// Whether an entry is of the interface. Further addresses of IPv4 may have a label of their own, as `eth0:1`.
fn is_called(entry: &str, name: &str) -> bool {
    let label = entry.strip_prefix(name);
    label.is_some_and(|label| label.is_empty() || label.starts_with(':'))
}

/// An address of the internet, if it is one; others are those of the hardware.
fn inet(address: &SockaddrStorage, port: u16) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::new(v4.ip(), port).into());
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(v6.ip(), port, 0, v6.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(name: &str) -> Result<Vec<InetSettings>, InterfaceFault> {
        let settings = InterfaceSettings {
            name: name.into(),
            each: InetSettings {
                keepalive_s: 7,
                ..SocketAddr::from(([0, 0, 0, 0], 80)).into()
            },
        };
        settings.addresses()
    }

    #[test]
    fn the_loopback_interface_has_the_address_that_everybody_knows() {
        let found = addresses("lo").unwrap();
        let usual = InetSettings {
            address: "127.0.0.1:80".parse().unwrap(),
            ..found[0]
        };
        assert_eq!(usual.keepalive_s, 7);
        assert!(found.contains(&usual), "{found:?}");
    }

    #[test]
    fn an_interface_that_is_not_there_is_told_beside_those_that_are() {
        let fault = addresses("l").unwrap_err();
        assert!(
            matches!(&fault, InterfaceFault::Unknown(known) if known.contains(&"lo".into())),
            "{fault}"
        );
    }

    #[test]
    fn a_label_belongs_to_its_interface() {
        assert!(is_called("eth0", "eth0") && is_called("eth0:1", "eth0"));
        assert!(!is_called("eth01", "eth0") && !is_called("eth", "eth0"));
    }
}

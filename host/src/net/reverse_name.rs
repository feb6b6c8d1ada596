//! The name of an address, by the resolver of the system: the hosts file, DNS, or whatever `nsswitch.conf` names.
//!
//! Whoever owns an address may say any name for it, so a name counts only when it leads back to the address. That the
//! resolver is the system's is the point: names are those that `getent hosts` shows. Its calls are C, and
//! `dns-lookup` wraps the one that the standard library lacks.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// The longest name of DNS, in bytes.
const MOST_NAME_BYTES: usize = 253;

/// The name of an address, in small letters; none when there is none, or it does not lead back. Waits for the resolver,
/// which may take many seconds.
#[must_use]
pub fn reverse_name(address: IpAddr) -> Option<String> {
    // No name is an error here, and the service is of no interest.
    let flags = libc::NI_NAMEREQD | libc::NI_NUMERICSERV;
    let (name, _) = dns_lookup::getnameinfo(&SocketAddr::new(address, 0), flags).ok()?;
    let name = host_name(&name)?;
    let leads_back = (&*name, 0).to_socket_addrs().ok()?;
    let mut leads_back = leads_back.map(|found| found.ip().to_canonical());
    leads_back.any(|found| found == address).then_some(name)
}

/// A text as the name of a host, if it is one. What stands in DNS may be anything.
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_good)
    };
    // One that ends in a number would be read as an address.
    let last = name.rsplit('.').next()?;
    let is_number = last.starts_with(|c: char| c.is_ascii_digit());
    let is_name = name.len() <= MOST_NAME_BYTES && !is_number && name.split('.').all(is_label);
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_the_name_of_the_hosts_file() {
        let name = reverse_name([127, 0, 0, 1].into());
        assert_eq!(name.as_deref(), Some("localhost"));
    }

    #[test]
    fn only_names_of_hosts_are_names() {
        assert_eq!(
            host_name("Mail.Example.ORG.").as_deref(),
            Some("mail.example.org")
        );
        assert_eq!(host_name("a_b-1.example").as_deref(), Some("a_b-1.example"));
        let long = format!("{}example", "a.".repeat(124));
        for text in [
            "",
            ".",
            "a..b",
            "127.0.0.1",
            "host.1",
            "a b",
            "a\nb",
            "\u{e4}.example",
            "<b>.example",
            &long,
            &"a".repeat(64),
        ] {
            assert_eq!(host_name(text), None, "{text:?}");
        }
    }
}

//! What the entries of `listen` stand for at this moment: an interface is the addresses that it has.

use crate::{
    config::{ListenAddress, ListenerConfig},
    net::listener::InetSettings,
    server::listeners::StartError,
};

/// The listeners that `listen` means, with an address for each address of an interface. One that another entry names
/// by itself goes by that entry.
///
/// # Errors
///
/// The first interface that is not there or has no address.
pub(super) fn resolve(listen: &[ListenerConfig]) -> Result<Vec<ListenerConfig>, StartError> {
    let mut meant: Vec<ListenerConfig> = Vec::new();
    for entry in listen {
        let ListenAddress::Interface(interface) = &entry.address else {
            meant.push(entry.clone());
            continue;
        };
        let addresses = interface.addresses();
        let addresses = addresses.map_err(|fault| StartError::Interface {
            address: entry.address.clone(),
            fault,
        })?;
        for settings in addresses {
            if !is_named(listen, &settings) && !is_named(&meant, &settings) {
                meant.push(ListenerConfig {
                    address: ListenAddress::Inet(settings),
                    ..entry.clone()
                });
            }
        }
    }
    Ok(meant)
}

/// Whether one of them is this address. Of free ports there is one for each.
fn is_named(listen: &[ListenerConfig], settings: &InetSettings) -> bool {
    let is_same = |entry: &ListenerConfig| match &entry.address {
        ListenAddress::Inet(other) => other.address == settings.address,
        _ => false,
    };
    settings.address.port() != 0 && listen.iter().any(is_same)
}

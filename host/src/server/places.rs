//! What the entries of `listen` stand for at this moment: an interface is the addresses that it has, and `systemd` the
//! sockets that were passed.

use crate::{
    config::{ListenAddress, ListenerConfig, PassedSettings},
    net::{
        inherited::{Inherited, InheritedPlace, InheritedSocket},
        listener::InetSettings,
        unix_socket::{DEFAULT_MODE, UnixSettings},
    },
    server::start_error::StartError,
};

/// The listeners that `listen` means, with an address or a path each. One that several entries stand for goes by the
/// entry that names it by itself, or else by the first.
///
/// # Errors
///
/// The first interface that is not there or has no address, or the first entry for sockets that were not passed.
pub(super) fn resolve(
    listen: &[ListenerConfig],
    inherited: &Inherited,
) -> Result<Vec<ListenerConfig>, StartError> {
    let mut meant: Vec<ListenerConfig> = Vec::new();
    for entry in listen {
        let places = match &entry.address {
            ListenAddress::Interface(interface) => {
                let addresses = interface.addresses();
                let addresses = addresses.map_err(|fault| StartError::Interface {
                    address: Box::new(entry.address.clone()),
                    fault,
                })?;
                addresses.into_iter().map(ListenAddress::Inet).collect()
            }
            ListenAddress::Passed(passed) => passed_places(passed, listen, inherited)?,
            _ => {
                meant.push(entry.clone());
                continue;
            }
        };
        for address in places {
            let is_named = |other: &ListenerConfig| other.address.is_same_place(&address);
            if !listen.iter().any(is_named) && !meant.iter().any(is_named) {
                meant.push(ListenerConfig {
                    address,
                    ..entry.clone()
                });
            }
        }
    }
    Ok(meant)
}

/// Where the sockets listen that an entry stands for: those of its name, or those that no other entry has the name of.
fn passed_places(
    entry: &PassedSettings,
    listen: &[ListenerConfig],
    inherited: &Inherited,
) -> Result<Vec<ListenAddress>, StartError> {
    let is_meant = |socket: &&InheritedSocket| match &entry.name {
        Some(name) => socket.name == *name,
        None => !listen.iter().any(|other| is_called(other, &socket.name)),
    };
    let found: Vec<_> = inherited.iter().filter(is_meant).collect();
    if found.is_empty() {
        return Err(StartError::NotPassed {
            address: Box::new(ListenAddress::Passed(entry.clone())),
            names: inherited.iter().map(|socket| socket.name.clone()).collect(),
        });
    }
    let places = found.into_iter().map(|socket| match place_of(socket) {
        ListenAddress::Inet(settings) => ListenAddress::Inet(InetSettings {
            address: settings.address,
            ..entry.each
        }),
        other => other,
    });
    Ok(places.collect())
}

/// Whether an entry stands for sockets of this name.
fn is_called(entry: &ListenerConfig, name: &str) -> bool {
    matches!(&entry.address, ListenAddress::Passed(passed) if passed.name.as_deref() == Some(name))
}

/// Where a socket listens that was passed.
pub(super) fn place_of(socket: &InheritedSocket) -> ListenAddress {
    match &socket.place {
        InheritedPlace::Inet(address) => ListenAddress::Inet((*address).into()),
        // Mode and owner are those of the file that is there.
        InheritedPlace::Unix(path) => ListenAddress::Unix(UnixSettings {
            path: path.clone(),
            mode: DEFAULT_MODE,
            owner: None,
            group: None,
        }),
    }
}

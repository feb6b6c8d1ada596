//! Why a host does not start, with what would mend it.

use std::io;

use crate::{
    config::{ConfigError, ListenAddress},
    control::ControlError,
    net::{
        inherited::InheritedFault, interface::InterfaceFault, tls::TlsFault, token::MAX_LISTENERS,
    },
    plugin::refusal::Refusal,
    server::{open_site::SiteError, privileges::PrivilegeError},
};

/// Why a host does not start, or does not take another list of addresses.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}; {}", bind_mend(address, source))]
    Bind {
        /// Which one.
        address: ListenAddress,
        /// What the system says.
        source: io::Error,
    },
    /// A network interface has nothing to listen at.
    #[error("cannot listen on {address}; {fault}")]
    Interface {
        /// Which one.
        address: Box<ListenAddress>,
        /// Why not.
        fault: InterfaceFault,
    },
    /// No socket was passed that an entry stands for.
    #[error("cannot listen on {address}; {}", passed_mend(names))]
    NotPassed {
        /// The entry.
        address: Box<ListenAddress>,
        /// What those are called that were passed.
        names: Vec<String>,
    },
    /// Something was passed to the process that cannot be listened on.
    #[error(transparent)]
    Inherited(#[from] InheritedFault),
    /// An address cannot be bound by the user that the host has become.
    #[error(
        "cannot listen on {address}, since the host has become user {user} (`run_as`), who may not do that; restart \
         the host to listen there"
    )]
    GivenUp {
        /// Which one.
        address: Box<ListenAddress>,
        /// Who we are.
        user: String,
        /// What the system says.
        source: io::Error,
    },
    /// There are too many addresses.
    #[error(
        "cannot listen on {0} addresses; a host listens on at most {MAX_LISTENERS}: let one that is for all \
         interfaces, as 0.0.0.0, take the place of several"
    )]
    Many(usize),
    /// The system has no more of something.
    #[error("cannot make a service thread; is the limit of open files or threads too low?")]
    Poll(#[source] io::Error),
    /// The parts of the config do not fit together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that the config names for HTTP cannot be opened.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// There is nowhere to copy plugin files to, or a plugin that is linked into the program does not start.
    #[error(transparent)]
    Plugin(#[from] Refusal),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The host cannot become the user of `run_as`.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
}

fn passed_mend(names: &[String]) -> String {
    if names.is_empty() {
        return "no socket was passed to this process; start it by a .socket unit of systemd, or write an address".into();
    }
    let names = crate::logging::escaped(&names.join("`, `"));
    format!(
        "the sockets that were passed are called `{names}`; write one of these names, or `systemd` for all"
    )
}

fn bind_mend(address: &ListenAddress, error: &io::Error) -> &'static str {
    match address {
        ListenAddress::Unix(_) => unix_mend(error),
        _ => inet_mend(error),
    }
}

fn unix_mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another host is live there; end it, or choose another path with --listen"
        }
        io::ErrorKind::AlreadyExists => {
            "what lies there is no socket; remove it, or choose another path with --listen"
        }
        io::ErrorKind::NotFound => {
            "is its directory missing? make it, or choose another path with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "may this user read and write its directory, and give files away? choose another path with --listen, or \
             leave out `owner` and `group`"
        }
        _ => "choose another path with --listen",
    }
}

fn inet_mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "is another host running there? choose another address with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no network interface of this machine has it; choose another address with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for privileged processes; choose another port with --listen"
        }
        _ => "choose another address with --listen",
    }
}

//! Addresses to listen on, as flags, the environment and the file write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::run_as::RunAs;
use crate::net::interface::InterfaceSettings;
use crate::net::listener::InetSettings;
use crate::net::unix_socket::{DEFAULT_MODE, MOST_PATH_BYTES, UnixSettings};

pub(super) const EXAMPLE: &str = "127.0.0.1:7681";
pub(super) const UNIX_EXAMPLE: &str = "/run/hotsocket.sock";
pub(super) const PASSED: &str = "systemd";
pub(super) const INTERFACE_EXAMPLE: &str = "eth0";

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and port; port 0 is a free one.
    Inet(InetSettings),
    /// A unix socket.
    Unix(UnixSettings),
    /// All addresses that a network interface has.
    Interface(InterfaceSettings),
    /// Sockets that were passed to the process, by systemd.
    Passed(PassedSettings),
}

/// Sockets that were opened before the process began, and passed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedSettings {
    /// What they are called; without it all that no other entry has the name of.
    pub name: Option<String>,
    /// What is set for each that has an address: keepalive. The address in it means nothing.
    pub each: InetSettings,
}

impl ListenAddress {
    /// Where a host listens that nobody told where.
    #[must_use]
    pub fn usual() -> Self {
        Self::Inet(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7681).into())
    }

    pub(super) fn inet(address: SocketAddr) -> Self {
        Self::Inet(address.into())
    }

    pub(super) fn unix(path: PathBuf) -> Self {
        Self::Unix(UnixSettings {
            path,
            mode: DEFAULT_MODE,
            owner: None,
            group: None,
        })
    }

    /// Gives a unix socket that names no owner or group those of the host once it runs as somebody else.
    pub(super) fn belong_to(&mut self, run_as: &RunAs) {
        if let Self::Unix(socket) = self {
            socket.owner.get_or_insert(run_as.user);
            socket.group.get_or_insert(run_as.group);
        }
    }

    /// Whether only one of the two could be bound.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inet(one), Self::Inet(other)) => {
                one.address.port() != 0 && one.address == other.address
            }
            (Self::Unix(one), Self::Unix(other)) => one.path == other.path,
            (Self::Interface(one), Self::Interface(other)) => {
                let (port, other_port) = (one.each.address.port(), other.each.address.port());
                port != 0 && (&one.name, port) == (&other.name, other_port)
            }
            (Self::Passed(one), Self::Passed(other)) => one.name == other.name,
            _ => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    /// As `--listen` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(settings) => settings.address.fmt(f),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
            Self::Passed(PassedSettings { name: None, .. }) => f.write_str(PASSED),
            Self::Passed(PassedSettings {
                name: Some(name), ..
            }) => write!(f, "{PASSED}:{name}"),
            Self::Interface(one) => {
                write!(f, "interface:{}:{}", one.name, one.each.address.port())
            }
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::inet(address)
    }
}

impl FromStr for ListenAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        parse_address(text)
    }
}

/// Why a text is no address to listen on, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; {mend}")]
pub struct BadAddress {
    pub(super) cause: String,
    pub(super) mend: String,
}

/// An address and port, as in `127.0.0.1:7681` and `[::1]:7681`; `unix:` and the path of a socket; `interface:` with
/// the name of a network interface and a port; or `systemd` for sockets that it passes, with a colon and a name for those of
/// that name.
///
/// # Errors
///
/// Why it is none.
pub fn parse_address(text: &str) -> Result<ListenAddress, BadAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path, |path| PathBuf::from(path)).map(ListenAddress::unix);
    }
    if let Some(name) = text.strip_prefix(PASSED) {
        let colon = name.strip_prefix(':');
        if name.is_empty() || colon.is_some() {
            return passed(colon).map(ListenAddress::Passed);
        }
    }
    match text.strip_prefix("interface:") {
        Some(text) => parse_interface(text).map(ListenAddress::Interface),
        None => parse_inet(text).map(ListenAddress::inet),
    }
}

/// A port at addresses that are still to be found.
pub(super) fn any(port: u16) -> InetSettings {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into()
}

pub(super) fn passed(name: Option<&str>) -> Result<PassedSettings, BadAddress> {
    if name.is_some_and(|name| name.is_empty() || name.contains(':')) {
        return Err(BadAddress {
            cause: "what systemd passes is called by a name without colons".to_owned(),
            mend: format!("write `{PASSED}` for all of it, or its FileDescriptorName="),
        });
    }
    Ok(PassedSettings {
        name: name.map(str::to_owned),
        each: any(0),
    })
}

/// The name of a network interface and a port. It has a word of its own in front, since `eth0:80` could as well be the
/// name of a host, and those are not looked up.
pub(super) fn parse_interface(text: &str) -> Result<InterfaceSettings, BadAddress> {
    let parts = text.rsplit_once(':');
    let parts = parts.and_then(|(name, port)| Some((name, port.parse().ok()?)));
    match parts.filter(|(name, _)| !name.is_empty()) {
        Some((name, port)) => Ok(InterfaceSettings {
            name: name.to_owned(),
            each: any(port),
        }),
        None => Err(BadAddress {
            cause: format!("`interface:{text}` is no network interface and port to listen on"),
            mend: format!("write for example `interface:{INTERFACE_EXAMPLE}:7681`"),
        }),
    }
}

/// The path of a unix socket, which `beside` puts in its directory.
pub(super) fn unix_path(
    text: &str,
    beside: impl Fn(&str) -> PathBuf,
) -> Result<PathBuf, BadAddress> {
    let path = beside(text);
    let bytes = path.as_os_str().len();
    let cause = if text.is_empty() || text.contains('\0') || path.file_name().is_none() {
        format!("`{text}` is no path of a unix socket")
    } else if bytes > MOST_PATH_BYTES {
        format!(
            "`{}` has {bytes} bytes, and the path of a unix socket at most {MOST_PATH_BYTES}",
            path.display()
        )
    } else {
        return Ok(path);
    };
    let mend = format!("write a path such as `{UNIX_EXAMPLE}`");
    Err(BadAddress { cause, mend })
}

/// Names are not looked up: what a name means could change between two starts.
pub(super) fn parse_inet(text: &str) -> Result<SocketAddr, BadAddress> {
    let bad = |mend: String| BadAddress {
        cause: format!("`{text}` is no address and port to listen on"),
        mend,
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(bad(format!(
            "add the port: `{}`",
            SocketAddr::new(address, 7681)
        )));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "7681"));
    if port.parse::<u16>().is_err() {
        return Err(bad(
            "a port is a number from 0 to 65535; 0 takes a free one".to_owned(),
        ));
    }
    Err(bad(match host {
        "localhost" => format!("write `127.0.0.1:{port}` or `[::1]:{port}`"),
        "" | "*" => format!("write `0.0.0.0:{port}` or `[::]:{port}` for all addresses"),
        _ => format!(
            "write a numeric address, as in `127.0.0.1:{port}` or `[::1]:{port}`; names are not looked up"
        ),
    }))
}

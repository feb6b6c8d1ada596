//! Where to listen: addresses and unix sockets, as flags, the environment and the file write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};
use nix::unistd::{Group, User};

use super::listener::{WrittenListener, WrittenRules};
use super::reader::{Located, Reader};
use super::run_as::RunAs;
use crate::net::interface::InterfaceSettings;
use crate::net::listener::{InetSettings, MOST_KEEPALIVE_PROBES, MOST_KEEPALIVE_S};
use crate::net::unix_socket::{DEFAULT_MODE, MOST_PATH_BYTES, UnixSettings};

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

    fn inet(address: SocketAddr) -> Self {
        Self::Inet(address.into())
    }

    fn unix(path: PathBuf) -> Self {
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
fn any(port: u16) -> InetSettings {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into()
}

fn passed(name: Option<&str>) -> Result<PassedSettings, BadAddress> {
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
fn parse_interface(text: &str) -> Result<InterfaceSettings, BadAddress> {
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
fn unix_path(text: &str, beside: impl Fn(&str) -> PathBuf) -> Result<PathBuf, BadAddress> {
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
fn parse_inet(text: &str) -> Result<SocketAddr, BadAddress> {
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

const EXAMPLE: &str = "127.0.0.1:7681";
const UNIX_EXAMPLE: &str = "/run/hotsocket.sock";
const PASSED: &str = "systemd";
const INTERFACE_EXAMPLE: &str = "eth0";
const KEYS: &[&str] = &[
    "address",
    "keepalive_s",
    "keepalive_interval_s",
    "keepalive_probes",
    "interface",
    "port",
    "systemd",
    "unix",
    "mode",
    "owner",
    "group",
];
/// Those that say where it is, of which there is one.
const PLACES: &[&str] = &["address", "interface", "systemd", "unix"];

/// The part `listen`. What is no address is left out, and noted.
pub(super) fn listen(value: &Value<'_>, reader: &Reader<'_>) -> Vec<WrittenListener> {
    let Some(list) = value.as_array() else {
        let example = format!("[\"{EXAMPLE}\"]");
        reader.refuse_type(value, "listen", "a list of addresses", &example);
        return Vec::new();
    };
    let mut listeners: Vec<WrittenListener> = Vec::new();
    for element in &list.elements {
        let found = match element {
            Value::Object(_) => object(element, reader),
            _ => reader
                .string(element, "listen", EXAMPLE)
                .and_then(|text| address(&text, reader))
                .map(WrittenListener::from),
        };
        let Some(found) = found else {
            continue;
        };
        let address = &found.address;
        if (listeners.iter()).any(|seen| seen.address.is_same_place(address)) {
            let cause = format!("`{address}` is listed twice");
            reader.refuse(element.range(), cause, "leave one of them out");
        } else {
            listeners.push(found);
        }
    }
    listeners
}

/// A string: an address, or a unix socket whose path is relative to the file.
fn address(text: &Located<String>, reader: &Reader<'_>) -> Option<ListenAddress> {
    let parsed = match text.value.strip_prefix("unix:") {
        Some(path) => unix_path(path, |path| reader.beside(path)).map(ListenAddress::unix),
        None => parse_address(&text.value),
    };
    accepted(parsed, text.range, reader)
}

fn accepted<T>(parsed: Result<T, BadAddress>, range: Range, reader: &Reader<'_>) -> Option<T> {
    parsed
        .map_err(|bad| reader.refuse(range, bad.cause, bad.mend))
        .ok()
}

/// An object: one of the kinds, and what is set for it.
fn object(value: &Value<'_>, reader: &Reader<'_>) -> Option<WrittenListener> {
    let properties = reader.properties(value, "listen");
    let has = |name: &str| properties.iter().any(|(key, _)| key.value == name);
    if PLACES.iter().filter(|key| has(key)).count() != 1 {
        let cause =
            "a listener has either an `address`, an `interface` or the path of a `unix` socket";
        let mend = format!(
            "write {{\"address\": \"{EXAMPLE}\"}}, {{\"interface\": \"{INTERFACE_EXAMPLE}\", \"port\": 7681}} or \
             {{\"unix\": \"{UNIX_EXAMPLE}\"}}"
        );
        reader.refuse(value.range(), cause, mend);
        return None;
    }
    let (is_unix, is_interface) = (has("unix"), has("interface"));
    if is_interface && !has("port") {
        let cause = "an `interface` needs a `port` too";
        reader.refuse(
            value.range(),
            cause,
            "add \"port\": 7681, or 0 for a free one",
        );
        return None;
    }
    let mut found = None;
    let mut set = Set::default();
    let mut rules = WrittenRules::default();
    for (key, value) in properties {
        match key.value {
            "unix" => found = unix(value, reader),
            "address" => found = inet(value, reader),
            "interface" => found = interface(value, reader),
            PASSED => found = passed_by(value, reader),
            "port" if !is_interface => {
                let cause = "`port` is for interfaces";
                reader.refuse(
                    key.range,
                    cause,
                    "write it behind the address, with a colon",
                );
            }
            "port" => set.port = port(value, reader),
            "mode" | "owner" | "group" if !is_unix => {
                let cause = format!("`{}` is for unix sockets", key.value);
                reader.refuse(key.range, cause, "leave it out");
            }
            name @ ("keepalive_s" | "keepalive_interval_s" | "keepalive_probes") if is_unix => {
                let cause =
                    format!("`{name}` is for addresses; a peer on this machine does not vanish");
                reader.refuse(key.range, cause, "leave it out");
            }
            "keepalive_s" => set.keepalive_s = keepalive(value, reader),
            "keepalive_interval_s" => {
                set.keepalive_interval_s = within(value, key.value, MOST_KEEPALIVE_S, reader);
            }
            "keepalive_probes" => {
                let count = within(value, key.value, MOST_KEEPALIVE_PROBES.into(), reader);
                set.keepalive_probes = count.and_then(|count| count.try_into().ok());
            }
            "mode" => set.mode = mode(value, reader),
            "owner" => set.owner = id(value, "owner", reader, user_id),
            "group" => set.group = id(value, "group", reader, group_id),
            name if rules.take(name, value, reader) => {}
            _ => reader.refuse_key(&key, &[KEYS, WrittenRules::KEYS].concat()),
        }
    }
    let address = match found? {
        ListenAddress::Unix(socket) => ListenAddress::Unix(UnixSettings {
            mode: set.mode.unwrap_or(socket.mode),
            owner: set.owner,
            group: set.group,
            ..socket
        }),
        ListenAddress::Inet(inet) => ListenAddress::Inet(set.over(inet)),
        ListenAddress::Passed(passed) => ListenAddress::Passed(PassedSettings {
            each: set.over(passed.each),
            ..passed
        }),
        ListenAddress::Interface(interface) => ListenAddress::Interface(InterfaceSettings {
            each: set.over(any(set.port?)),
            ..interface
        }),
    };
    Some(WrittenListener { address, rules })
}

/// What is set beside the place.
#[derive(Default)]
struct Set {
    mode: Option<u32>,
    owner: Option<u32>,
    group: Option<u32>,
    keepalive_s: Option<u64>,
    port: Option<u16>,
    keepalive_interval_s: Option<u64>,
    keepalive_probes: Option<u32>,
}

impl Set {
    /// An address with the keepalive that is set.
    fn over(&self, inet: InetSettings) -> InetSettings {
        InetSettings {
            keepalive_s: self.keepalive_s.unwrap_or(inet.keepalive_s),
            keepalive_interval_s: self.keepalive_interval_s,
            keepalive_probes: self.keepalive_probes,
            ..inet
        }
    }
}

fn unix(value: &Value<'_>, reader: &Reader<'_>) -> Option<ListenAddress> {
    let text = reader.string(value, "unix", UNIX_EXAMPLE)?;
    let path = unix_path(&text.value, |path| reader.beside(path));
    accepted(path, text.range, reader).map(ListenAddress::unix)
}

fn inet(value: &Value<'_>, reader: &Reader<'_>) -> Option<ListenAddress> {
    let text = reader.string(value, "address", EXAMPLE)?;
    accepted(parse_inet(&text.value), text.range, reader).map(ListenAddress::inet)
}

/// The name of sockets that were passed.
fn passed_by(value: &Value<'_>, reader: &Reader<'_>) -> Option<ListenAddress> {
    let text = reader.string(value, PASSED, "http")?;
    let parsed = passed(Some(&text.value));
    accepted(parsed, text.range, reader).map(ListenAddress::Passed)
}

/// The name of an interface; the port stands beside it.
fn interface(value: &Value<'_>, reader: &Reader<'_>) -> Option<ListenAddress> {
    let text = reader.string(value, "interface", INTERFACE_EXAMPLE)?;
    let parsed = parse_interface(&format!("{}:0", text.value));
    accepted(parsed, text.range, reader).map(ListenAddress::Interface)
}

fn port(value: &Value<'_>, reader: &Reader<'_>) -> Option<u16> {
    let number = reader.whole(value, "port")?;
    let port = u16::try_from(number.value).ok();
    if port.is_none() {
        let cause = format!("`port` cannot be {}", number.value);
        reader.refuse(
            number.range,
            cause,
            "write a number from 0 to 65535; 0 takes a free one",
        );
    }
    port
}

fn keepalive(value: &Value<'_>, reader: &Reader<'_>) -> Option<u64> {
    let seconds = reader.whole(value, "keepalive_s")?;
    if seconds.value > MOST_KEEPALIVE_S {
        let cause = format!("`keepalive_s` cannot be {}", seconds.value);
        let mend = format!("write seconds from 1 to {MOST_KEEPALIVE_S}, or 0 for no keepalive");
        reader.refuse(seconds.range, cause, mend);
        return None;
    }
    Some(seconds.value)
}

/// A number from 1 to `most`.
fn within(value: &Value<'_>, what: &str, most: u64, reader: &Reader<'_>) -> Option<u64> {
    let number = reader.whole(value, what)?;
    if !(1..=most).contains(&number.value) {
        let cause = format!("`{what}` cannot be {}", number.value);
        let mend = format!("write a number from 1 to {most}; `keepalive_s` 0 turns keepalive off");
        reader.refuse(number.range, cause, mend);
        return None;
    }
    Some(number.value)
}

/// Permission bits in octal, as `chmod` takes them. No number: JSON has no octal ones, and 660 would be something else.
fn mode(value: &Value<'_>, reader: &Reader<'_>) -> Option<u32> {
    let text = reader.string(value, "mode", "0660")?;
    let is_octal = text.value.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(&text.value, 8).ok();
    let mode = mode.filter(|mode| is_octal && *mode <= 0o777);
    if mode.is_none() {
        let cause = format!("`mode` cannot be `{}`", text.value);
        let mend =
            "write three octal digits, as in \"0660\" for user and group or \"0666\" for all";
        reader.refuse(text.range, cause, mend);
    }
    mode
}

/// The id of a user or group, given by name or in digits.
fn id(
    value: &Value<'_>,
    what: &str,
    reader: &Reader<'_>,
    look_up: fn(&str) -> Result<Option<u32>, nix::Error>,
) -> Option<u32> {
    let text = reader.string(value, what, "www-data")?;
    let mend = "write a name that it knows, or the id in digits";
    id_of(&text.value, what, look_up)
        .map_err(|cause| reader.refuse(text.range, cause, mend))
        .ok()
}

/// The id that a text means, or why it means none.
pub(super) fn id_of(
    text: &str,
    what: &str,
    look_up: fn(&str) -> Result<Option<u32>, nix::Error>,
) -> Result<u32, String> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    match look_up(text) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(format!(
            "`{what}` is `{text}`, which this machine does not know"
        )),
        Err(error) => Err(format!("cannot look up the {what} `{text}`: {error}")),
    }
}

fn user_id(name: &str) -> Result<Option<u32>, nix::Error> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

pub(super) fn group_id(name: &str) -> Result<Option<u32>, nix::Error> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

//! The part `listen` of the file: where to listen, and how.

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};
use nix::unistd::{Group, User};

use super::address::{
    BadAddress, EXAMPLE, INTERFACE_EXAMPLE, ListenAddress, PASSED, PassedSettings, UNIX_EXAMPLE,
    any, parse_address, parse_inet, parse_interface, passed, unix_path,
};
use super::listener::{WrittenListener, WrittenRules};
use super::reader::{Located, Reader};
use crate::net::interface::InterfaceSettings;
use crate::net::listener::{InetSettings, MOST_KEEPALIVE_PROBES, MOST_KEEPALIVE_S};
use crate::net::unix_socket::UnixSettings;

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
        let mend = "add \"port\": 7681, or 0 for a free one";
        reader.refuse(value.range(), cause, mend);
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
            _ if is_misplaced(&key, is_unix, is_interface, reader) => {}
            name if set.take(name, value, reader) || rules.take(name, value, reader) => {}
            _ => reader.refuse_key(&key, &[KEYS, WrittenRules::KEYS].concat()),
        }
    }
    let address = set.beside(found?)?;
    Some(WrittenListener { address, rules })
}

/// Whether a key is for listeners of another kind, which is told.
fn is_misplaced(
    key: &Located<&str>,
    is_unix: bool,
    is_interface: bool,
    reader: &Reader<'_>,
) -> bool {
    let (cause, mend) = match key.value {
        "port" if !is_interface => (
            "`port` is for interfaces".to_owned(),
            "write it behind the address, with a colon",
        ),
        name @ ("mode" | "owner" | "group") if !is_unix => {
            (format!("`{name}` is for unix sockets"), "leave it out")
        }
        name @ ("keepalive_s" | "keepalive_interval_s" | "keepalive_probes") if is_unix => (
            format!("`{name}` is for addresses; a peer on this machine does not vanish"),
            "leave it out",
        ),
        _ => return false,
    };
    reader.refuse(key.range, cause, mend);
    true
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
    /// Takes the value of a key that is one of these; false when it is none.
    fn take(&mut self, key: &str, value: &Value<'_>, reader: &Reader<'_>) -> bool {
        match key {
            "port" => self.port = port(value, reader),
            "mode" => self.mode = mode(value, reader),
            "owner" => self.owner = id(value, key, reader, user_id),
            "group" => self.group = id(value, key, reader, group_id),
            "keepalive_s" => self.keepalive_s = keepalive(value, reader),
            "keepalive_interval_s" => {
                self.keepalive_interval_s = within(value, key, MOST_KEEPALIVE_S, reader);
            }
            "keepalive_probes" => {
                let count = within(value, key, MOST_KEEPALIVE_PROBES.into(), reader);
                self.keepalive_probes = count.and_then(|count| count.try_into().ok());
            }
            _ => return false,
        }
        true
    }

    /// The place with all that is set; none for an interface without a port that can be used.
    fn beside(self, place: ListenAddress) -> Option<ListenAddress> {
        Some(match place {
            ListenAddress::Unix(socket) => ListenAddress::Unix(UnixSettings {
                mode: self.mode.unwrap_or(socket.mode),
                owner: self.owner,
                group: self.group,
                ..socket
            }),
            ListenAddress::Inet(inet) => ListenAddress::Inet(self.over(inet)),
            ListenAddress::Passed(passed) => ListenAddress::Passed(PassedSettings {
                each: self.over(passed.each),
                ..passed
            }),
            ListenAddress::Interface(interface) => ListenAddress::Interface(InterfaceSettings {
                each: self.over(any(self.port?)),
                ..interface
            }),
        })
    }

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

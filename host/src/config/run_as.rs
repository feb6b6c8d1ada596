//! The user that the host becomes once it has bound its listeners and read its keys.

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};
use nix::unistd::{Uid, User};

use super::error::Fault;
use super::listen::{group_id, id_of};
use super::overrides::Overrides;
use super::reader::{Located, Reader};

const KEYS: &[&str] = &["user", "group"];

const USER_MEND: &str = "write the name of a user that this machine knows, or its id in digits";

/// Whom the host becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user as it was written: a name, or an id in digits.
    pub name: String,
    /// Its id; never that of root.
    pub user: u32,
    /// The group that was written, else the primary group of the user.
    pub group: u32,
}

impl RunAs {
    /// Whether the process is to be the same, whatever was written.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.user, self.group) == (other.user, other.group)
    }
}

/// The part `run_as` as it was written.
#[derive(Debug, Default)]
pub(super) struct WrittenRunAs {
    user: Option<Located<String>>,
    group: Option<Located<String>>,
}

pub(super) fn run_as(value: &Value<'_>, reader: &Reader<'_>) -> WrittenRunAs {
    let mut written = WrittenRunAs::default();
    let properties = reader.properties(value, "run_as");
    let has_user = properties.iter().any(|(key, _)| key.value == "user");
    if value.as_object().is_some() && !has_user {
        let mend = "write \"user\": \"hotsocket\", or leave `run_as` out";
        reader.refuse(value.range(), "`run_as` names no `user`", mend);
    }
    for (key, value) in properties {
        match key.value {
            "user" => written.user = reader.string(value, "user", "hotsocket"),
            "group" => written.group = reader.string(value, "group", "www-data"),
            _ => reader.refuse_key(&key, KEYS),
        }
    }
    written
}

/// Whom file and flags mean. `--user` stands for the whole part, `--group` for the group alone.
pub(super) fn resolve(
    written: WrittenRunAs,
    overrides: &Overrides,
    reader: &Reader<'_>,
) -> Option<RunAs> {
    let flag = |name, said: &Option<String>| {
        let text = said.clone()?;
        Some(Said {
            text,
            place: Place::Flag(name),
        })
    };
    let (user, group) = match flag("--user", &overrides.user) {
        Some(user) => (Some(user), None),
        None => (written.user.map(Said::from), written.group.map(Said::from)),
    };
    let group = flag("--group", &overrides.group).or(group);
    let Some(user) = user else {
        if let Some(group) = group.filter(|group| matches!(group.place, Place::Flag(_))) {
            let mend = "say --user NAME too, or HOTSOCKET_USER";
            group.refuse("a group needs a user".into(), mend, reader);
        }
        return None;
    };
    account(&user, group.as_ref(), reader)
}

/// The user and its group; none when something is wrong with them, which is noted then.
fn account(user: &Said, group: Option<&Said>, reader: &Reader<'_>) -> Option<RunAs> {
    let found = match look_up(&user.text) {
        Ok(found) => found,
        Err(cause) => {
            user.refuse(cause, USER_MEND, reader);
            return None;
        }
    };
    if found.id == 0 {
        let cause = format!(
            "`{}` is root, and what is to be given up are the privileges of root",
            user.text
        );
        let mend = "name a user of its own for the host, or leave `run_as` out";
        user.refuse(cause, mend, reader);
        return None;
    }
    let group = match (group, found.group) {
        (Some(group), _) => match id_of(&group.text, "group", group_id) {
            Ok(id) => id,
            Err(cause) => {
                let mend = "write a name that it knows, or the id in digits";
                group.refuse(cause, mend, reader);
                return None;
            }
        },
        (None, Some(primary)) => primary,
        (None, None) => {
            let cause = format!(
                "this machine knows no user {}, and so not its group",
                user.text
            );
            user.refuse(cause, "write a `group` too", reader);
            return None;
        }
    };
    Some(RunAs {
        name: user.text.clone(),
        user: found.id,
        group,
    })
}

/// A user, and its primary group if the machine knows the user.
struct Found {
    id: u32,
    group: Option<u32>,
}

fn look_up(text: &str) -> Result<Found, String> {
    let id = text.parse().ok();
    let found = match id {
        Some(id) => User::from_uid(Uid::from_raw(id)),
        None => User::from_name(text),
    };
    match (found, id) {
        (Ok(Some(user)), _) => Ok(Found {
            id: user.uid.as_raw(),
            group: Some(user.gid.as_raw()),
        }),
        (Ok(None), Some(id)) => Ok(Found { id, group: None }),
        (Ok(None), None) => Err(format!(
            "`user` is `{text}`, which this machine does not know"
        )),
        (Err(error), _) => Err(format!("cannot look up the user `{text}`: {error}")),
    }
}

/// What was said, and where.
struct Said {
    text: String,
    place: Place,
}

enum Place {
    File(Range),
    Flag(&'static str),
}

impl Said {
    fn refuse(&self, cause: String, mend: &str, reader: &Reader<'_>) {
        match self.place {
            Place::File(range) => reader.refuse(range, cause, mend),
            Place::Flag(name) => reader.refuse_outside(Fault::of(name, cause, mend)),
        }
    }
}

impl From<Located<String>> for Said {
    fn from(written: Located<String>) -> Self {
        Self {
            text: written.value,
            place: Place::File(written.range),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, ListenAddress, Overrides, RunAs, resolve};

    fn with(text: &str, user: Option<&str>, group: Option<&str>) -> Result<Config, String> {
        let overrides = Overrides {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
            ..Overrides::default()
        };
        resolve(Path::new("c.json"), text, &overrides).map_err(|error| error.to_string())
    }

    fn whom(text: &str, user: Option<&str>, group: Option<&str>) -> Option<RunAs> {
        with(text, user, group).unwrap().run_as
    }

    const BOTH: &str = r#"{"run_as": {"user": "12345", "group": "54321"}}"#;

    #[test]
    fn ids_in_digits_need_no_entry_of_the_machine() {
        let run_as = whom(BOTH, None, None).unwrap();
        assert_eq!((run_as.user, run_as.group), (12_345, 54_321));
        assert_eq!(whom("{}", None, None), None);
    }

    #[test]
    fn a_flag_for_the_user_stands_for_the_whole_and_one_for_the_group_for_itself() {
        let ids = |user, group| whom(BOTH, user, group).map(|who| (who.user, who.group));
        assert_eq!(ids(None, Some("7")), Some((12_345, 7)));
        assert_eq!(ids(Some("8"), Some("9")), Some((8, 9)));
        let refused = with(BOTH, Some("2000000000"), None).unwrap_err();
        assert!(refused.contains("write a `group` too"), "{refused}");
    }

    #[test]
    fn who_is_not_known_or_gives_up_nothing_is_refused_with_the_place() {
        let refused = |text| with(text, None, None).unwrap_err();
        let said = refused(r#"{"run_as": {"user": "no-such-user"}}"#);
        assert!(
            said.starts_with("c.json:1:21: `user` is `no-such-user`"),
            "{said}"
        );
        let said = refused(r#"{"run_as": {"user": "1", "group": "no-such-group"}}"#);
        assert!(said.contains("`group` is `no-such-group`"), "{said}");
        let said = refused(r#"{"run_as": {"user": "root"}}"#);
        assert!(said.contains("`root` is root"), "{said}");
        let said = refused(r#"{"run_as": {"group": "1"}}"#);
        assert!(said.contains("names no `user`"), "{said}");
        let said = with("{}", None, Some("1")).unwrap_err();
        assert!(said.starts_with("--group: a group needs a user"), "{said}");
        let said = with("{}", Some("no-such-user"), None).unwrap_err();
        assert!(
            said.starts_with("--user: `user` is `no-such-user`"),
            "{said}"
        );
    }

    #[test]
    fn unix_sockets_belong_to_whom_the_host_becomes_unless_they_name_an_owner() {
        let config = with(
            r#"{"run_as": {"user": "12345", "group": "54321"},
                "listen": ["unix:/a", {"unix": "/b", "owner": "1"}, {"unix": "/c", "group": "2"}]}"#,
            None,
            None,
        );
        let owners = config
            .unwrap()
            .listen
            .into_iter()
            .map(|address| match address.address {
                ListenAddress::Unix(socket) => (socket.owner, socket.group),
                _ => panic!("no unix socket"),
            });
        let owners: Vec<_> = owners.collect();
        let (user, group) = (Some(12_345), Some(54_321));
        assert_eq!(owners, [(user, group), (Some(1), group), (user, Some(2))]);
    }
}

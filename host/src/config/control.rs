//! The group that may use the control socket beside the user of the host.

use super::listen::{group_id, id_of};
use super::reader::{Located, Reader};

/// The id of the group. The usual place of the socket is closed to all but its user, so that another one has to be named.
pub(super) fn group(group: &Located<String>, has_place: bool, reader: &Reader<'_>) -> Option<u32> {
    if !has_place {
        let cause = "`control_group` lets a group use the control socket, and that lies where only its user gets to";
        let mend = "name a place that the group gets to, such as \"control\": \"/run/hotsocket/control.sock\"";
        reader.refuse(group.range, cause, mend);
    }
    match id_of(&group.value, "control_group", group_id) {
        Ok(id) => Some(id),
        Err(cause) => {
            let mend = "write a name that it knows, or the id in digits";
            reader.refuse(group.range, cause, mend);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use crate::config::{Config, Overrides, resolve};

    fn with(text: &str, control: Option<&str>) -> Result<Config, String> {
        let overrides = Overrides {
            control: control.map(PathBuf::from),
            ..Overrides::default()
        };
        resolve(Path::new("c.json"), text, &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn a_group_by_name_or_id_goes_with_a_place_of_file_or_flag() {
        let group = |text, control| with(text, control).unwrap().control_group;
        assert_eq!(group("{}", None), None);
        let both = r#"{"control": "c.sock", "control_group": "root"}"#;
        assert_eq!(group(both, None), Some(0));
        assert_eq!(
            group(r#"{"control_group": "54321"}"#, Some("c.sock")),
            Some(54_321)
        );
    }

    #[test]
    fn a_group_that_is_unknown_or_gets_nowhere_is_refused_with_the_place() {
        let said = with(
            r#"{"control": "c", "control_group": "no-such-group"}"#,
            None,
        )
        .unwrap_err();
        assert!(
            said.starts_with("c.json:1:35: `control_group` is `no-such-group`"),
            "{said}"
        );
        let said = with(r#"{"control_group": "0"}"#, None).unwrap_err();
        for part in [
            "c.json:1:19: ",
            "where only its user gets to",
            "name a place",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}

//! Gives up what only root may do: the host becomes the user of `run_as`, for good.
//!
//! It happens on the only thread that there is then, so every thread of the host is that user. The calls go through the C
//! library all the same, which would change all threads.

use std::{ffi::CString, fs, io, path::Path};

use nix::unistd::{
    Gid, Uid, User, getgrouplist, getresgid, getresuid, setgroups, setresgid, setresuid, setuid,
};
use rustix::{
    fs::{Access, access},
    process::{Pid, geteuid},
    thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities},
};

use crate::{config::RunAs, net::tls::TlsSettings};

/// Why the host cannot become the user of `run_as`.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// This process may not become anybody else.
    #[error(
        "`run_as`: this process (user {from}) may not become user {to}; start the host as root, or as {to} with its \
         group, or leave `run_as` and --user out"
    )]
    Barred {
        /// Who it is.
        from: u32,
        /// Whom it would become.
        to: String,
    },
    /// The system refused one of the steps.
    #[error(
        "`run_as`: cannot become user {to}: the system refuses {step}; does a container or a filter of system calls bar it?"
    )]
    Refused {
        /// Whom it would become.
        to: String,
        /// Which one.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// It looked as if all was well, and something is left.
    #[error(
        "`run_as`: the host became user {to} and has kept {kept}; it does not serve like that: look for what keeps it \
         (securebits, a container), or start the host as {to}"
    )]
    Kept {
        /// Whom it became.
        to: String,
        /// What is left.
        kept: &'static str,
    },
}

/// Whether this process is that user already, or may become it.
///
/// # Errors
///
/// [`PrivilegeError::Barred`].
pub(crate) fn may_become(run_as: &RunAs) -> Result<(), PrivilegeError> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let has_needed = capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    if has_needed || is_already(run_as) {
        return Ok(());
    }
    Err(PrivilegeError::Barred {
        from: geteuid().as_raw(),
        to: run_as.name.clone(),
    })
}

/// Becomes that user with its groups and no capability, and makes sure that there is no way back. To be called before
/// there is a second thread.
///
/// # Errors
///
/// When that fails. The process may be half of both then, and has to end.
pub(crate) fn become_user(run_as: &RunAs) -> Result<(), PrivilegeError> {
    may_become(run_as)?;
    let refused = |step: &'static str| {
        let to = run_as.name.clone();
        move |error: nix::Error| PrivilegeError::Refused {
            to,
            step,
            source: error.into(),
        }
    };
    if !is_already(run_as) {
        let (user, group) = (Uid::from_raw(run_as.user), Gid::from_raw(run_as.group));
        let groups = groups(user, group).map_err(refused("to look up its groups"))?;
        setgroups(&groups).map_err(refused("setgroups"))?;
        setresgid(group, group, group).map_err(refused("setresgid"))?;
        setresuid(user, user, user).map_err(refused("setresuid"))?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|error| PrivilegeError::Refused {
        to: run_as.name.clone(),
        step: "capset",
        source: error.into(),
    })?;
    match kept(run_as, none) {
        None => Ok(()),
        Some(kept) => Err(PrivilegeError::Kept {
            to: run_as.name.clone(),
            kept,
        }),
    }
}

/// What the process has, and should not have any more.
fn kept(run_as: &RunAs, none: CapabilitySets) -> Option<&'static str> {
    if !is_already(run_as) {
        return Some("another user or group id");
    }
    if capabilities(None) != Ok(none) {
        return Some("a capability");
    }
    if threads().any(|thread| capabilities(Some(thread)).is_ok_and(|sets| sets != none)) {
        return Some("a capability of another thread");
    }
    // Where this succeeds it does no harm: the host ends.
    setuid(Uid::from_raw(0))
        .is_ok()
        .then_some("the way back to root")
}

/// The threads of the process, ours among them; none where the system does not list them.
fn threads() -> impl Iterator<Item = Pid> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks.filter_map(|task| Pid::from_raw(task.ok()?.file_name().to_str()?.parse().ok()?))
}

/// Whether all of its ids are those.
fn is_already(run_as: &RunAs) -> bool {
    let (user, group) = (Uid::from_raw(run_as.user), Gid::from_raw(run_as.group));
    let is_user = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [user; 3]);
    is_user && getresgid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [group; 3])
}

/// The group, and the supplementary ones of a user that the machine knows.
fn groups(user: Uid, group: Gid) -> nix::Result<Vec<Gid>> {
    let Some(known) = User::from_uid(user)? else {
        return Ok(vec![group]);
    };
    // A name out of the table of users has no zero in it.
    let name = CString::new(known.name).map_err(|_| nix::Error::EINVAL)?;
    getgrouplist(&name, group)
}

/// What tells of each file of TLS that the user, who we are now, cannot read again.
pub(crate) fn unreadable_again(run_as: &RunAs, tls: &TlsSettings) -> Vec<String> {
    let RunAs { name, group, .. } = run_as;
    let is_unreadable = |file: &&Path| access(*file, Access::READ_OK).is_err();
    let tell = |file: &Path| {
        let file = file.display();
        format!(
            "user {name} (`run_as`) cannot read {file} again: what is changed in it is not noticed until the host is \
             restarted; let that user read it (`chgrp {group} {file}`, `chmod g+r {file}`, and x on the directories \
             that lead to it)"
        )
    };
    tls.files().filter(is_unreadable).map(tell).collect()
}

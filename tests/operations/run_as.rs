//! `run_as`: what a host is once it has bound its listeners, and what it still can.
//!
//! Only root can become somebody else. Without root these tests assert what holds then: the host says so and does not
//! start.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::{Signal, geteuid};
use serde_json::json;

use crate::support::plugins::echo;
use crate::support::server::{hotsocket, output_of};
use crate::support::{Config, DEADLINE, Server, Setup};

/// A user of this machine.
struct User {
    name: String,
    id: u32,
    group: u32,
    /// All of its groups.
    groups: BTreeSet<u32>,
}

impl User {
    fn named(name: &str) -> Option<Self> {
        let ids = |flag: &str| -> Option<Vec<u32>> {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            let ids = text.split_whitespace().map(|id| id.parse().ok());
            ids.collect::<Option<Vec<_>>>()
                .filter(|ids| !ids.is_empty())
        };
        Some(Self {
            name: name.into(),
            id: ids("-u")?[0],
            group: ids("-g")?[0],
            groups: ids("-G")?.into_iter().collect(),
        })
    }

    fn nobody() -> Self {
        Self::named("nobody").expect("every machine has it")
    }

    /// One with supplementary groups, if this machine has any.
    fn with_groups() -> Self {
        let table = fs::read_to_string("/etc/group").unwrap_or_default();
        let members = table.lines().filter_map(|line| line.rsplit(':').next());
        let names = members.flat_map(|list| list.split(','));
        let mut users = names
            .filter(|name| !name.is_empty())
            .filter_map(Self::named);
        users
            .find(|user| user.id != 0 && user.groups.len() > 1)
            .unwrap_or_else(Self::nobody)
    }
}

/// A host in a directory that belongs to this user.
fn setup(user: &User) -> Setup {
    let setup = Setup::new().plugin(&echo());
    let place = place_of(&setup);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("ours");
    let temporary = place.join("tmp");
    fs::create_dir(&temporary).expect("a fresh directory");
    if geteuid().is_root() {
        for directory in [&place, &temporary] {
            chown(directory, Some(user.id), Some(user.group)).expect("root may");
        }
    }
    setup.environment("TMPDIR", temporary)
}

fn place_of(setup: &Setup) -> PathBuf {
    let plugins = setup.plugin_directory();
    plugins.parent().expect("it is in one").to_owned()
}

fn as_user(user: &User) -> Config {
    Config::new().key("run_as", json!({"user": user.name}))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that a host with this config does not start for somebody who is not root.
fn assert_barred(user: &User) {
    let output = setup(user).config(&as_user(user)).run();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("may not become user"), "{said}");
}

/// What the kernel says of a thread: the values of this line of its status.
fn of_thread(status: &str, name: &str) -> Vec<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let values = line.expect("the kernel tells it").split_whitespace();
    values.map(str::to_owned).collect()
}

fn assert_every_thread_is(server: &Server, user: &User) {
    let tasks = fs::read_dir(server.process().directory().join("task")).expect("it runs");
    let statuses = tasks.map(|task| task.expect("it runs").path().join("status"));
    let statuses: Vec<_> = statuses
        .map_while(|file| fs::read_to_string(file).ok())
        .collect();
    let names: BTreeSet<_> = statuses
        .iter()
        .map(|status| of_thread(status, "Name:")[0].clone())
        .collect();
    for name in ["hotsocket", "service-0", "service-1", "signals", "control"] {
        assert!(names.contains(name), "{names:?}");
    }
    for status in &statuses {
        assert_eq!(of_thread(status, "Uid:"), vec![user.id.to_string(); 4]);
        assert_eq!(of_thread(status, "Gid:"), vec![user.group.to_string(); 4]);
        let groups = of_thread(status, "Groups:").into_iter();
        let groups: BTreeSet<u32> = groups.map(|id| id.parse().expect("an id")).collect();
        assert_eq!(groups, user.groups, "{status}");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(of_thread(status, set), ["0000000000000000"], "{set}");
        }
    }
}

#[test]
fn seed_1_13_every_thread_is_the_user_of_run_as_with_its_groups_and_no_capability() {
    let user = User::with_groups();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let server = setup(&user).config(&as_user(&user)).start();
    server.assert_echoes();
    assert_every_thread_is(&server, &user);
    server.await_log(0, |line| line.mentions("privileges are given up"));
}

#[test]
fn seed_1_13_flags_name_the_user_and_another_group() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let group = User::named("daemon").map_or(1, |daemon| daemon.group);
    let arguments = ["--user", "nobody", "--group", &group.to_string()];
    let server = setup(&user).arguments(arguments).start();
    server.assert_echoes();
    let mut groups = user.groups.clone();
    groups.remove(&user.group);
    groups.insert(group);
    assert_every_thread_is(
        &server,
        &User {
            group,
            groups,
            ..user
        },
    );
}

/// Addresses that root can bind and others cannot: a socket in a directory of root, and a low port where the kernel
/// keeps low ports for root.
fn for_root_only(directory: &Path) -> Vec<String> {
    let mut places = vec![format!("unix:{}", directory.join("root.sock").display())];
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse::<u16>().ok());
    let low = (1..first.unwrap_or(1024))
        .rev()
        .map(|port| format!("127.0.0.1:{port}"));
    places.extend(
        low.into_iter()
            .find(|place| TcpListener::bind(place).is_ok()),
    );
    places
}

#[test]
fn seed_1_13_what_root_may_bind_is_bound_before_and_a_reload_that_needs_root_says_restart() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let roots = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(roots.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let places = for_root_only(roots.path());
    let usual = ["127.0.0.1:0".to_owned()];
    let listen = |more: &[String]| json!([&usual, more].concat());

    let config = as_user(&user).key("listen", listen(&places));
    let server = setup(&user).config(&config).listens_by_config(1).start();
    server
        .output()
        .wait_after(places.len(), DEADLINE, |_| Some(()))
        .expect("all are bound");
    UnixStream::connect(roots.path().join("root.sock")).expect("it is listened there");
    drop(server);
    for place in &places {
        let server = setup(&user)
            .config(&as_user(&user).key("listen", listen(&[])))
            .listens_by_config(1)
            .start();
        let mark = server.log().mark();
        let new = as_user(&user).key("listen", listen(std::slice::from_ref(place)));
        fs::write(server.config_file(), new.limit("message_bytes", 3).text()).expect("ours");
        server.signal(Signal::HUP);
        let line = server.await_log(mark, |line| line.is_error());
        assert!(
            line.mentions("the config is not applied: cannot listen on"),
            "{line:?}"
        );
        assert!(
            line.mentions("since the host has become user nobody (`run_as`)"),
            "{line:?}"
        );
        assert!(line.mentions("restart the host"), "{line:?}");
        // Longer than the bound of the config that was refused.
        server.assert_echoes();
        assert_eq!(server.output().since(0).len(), 1);
    }
}

// Of two sockets that share a port the kernel wants that one user has made them, so this cannot work.
#[test]
fn seed_1_13_a_listener_that_would_share_a_port_with_one_of_root_takes_a_restart() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let config = as_user(&user).key("listen", json!(["127.0.0.1:0"]));
    let setup = setup(&user).config(&config).listens_by_config(1);
    let server = setup.start();
    let mark = server.log().mark();
    let wide = format!("0.0.0.0:{}", server.address().port());
    let config = as_user(&user).key("listen", json!([wide]));
    fs::write(server.config_file(), config.text()).expect("ours");
    server.signal(Signal::HUP);
    let line = server.await_log(mark, |line| line.is_error());
    assert!(
        line.mentions(&format!("cannot listen on {wide}, since")),
        "{line:?}"
    );
    assert!(line.mentions("restart the host"), "{line:?}");
    server.assert_echoes();
}

#[test]
fn seed_1_13_another_user_at_a_reload_takes_a_restart() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let server = setup(&user).config(&as_user(&user)).start();
    let mark = server.log().mark();
    fs::write(
        server.config_file(),
        Config::new().limit("message_bytes", 3).text(),
    )
    .expect("ours");
    server.signal(Signal::HUP);
    let line = server.await_log(mark, |line| line.is_error());
    assert!(
        line.mentions("`run_as` cannot change while the host runs"),
        "{line:?}"
    );
    server.assert_echoes();
}

#[test]
fn seed_1_13_what_the_host_makes_belongs_to_that_user_and_goes_with_the_host() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let setup = setup(&user);
    let place = place_of(&setup);
    let socket = format!("unix:{}", place.join("ws.sock").display());
    let config = as_user(&user)
        .key("access_log", json!({"file": "access.log"}))
        .key("listen", json!(["127.0.0.1:0", socket]));
    let mut server = setup.config(&config).listens_by_config(1).start();
    server.assert_echoes();
    let copies = fs::read_dir(place.join("tmp")).expect("ours");
    let copies: Vec<_> = copies.map(|copy| copy.expect("ours").path()).collect();
    assert_eq!(copies.len(), 1, "the private copies of plugins: {copies:?}");
    let made = ["ws.sock", "control.sock", "access.log"].map(|name| place.join(name));
    for path in made.iter().chain(&copies) {
        let found = fs::metadata(path).expect("the host has made it");
        assert_eq!(
            (found.uid(), found.gid()),
            (user.id, user.group),
            "{path:?}"
        );
    }
    let told = server.command(["plugin", "list"]);
    assert!(text(&told.stdout).contains("echo"), "{told:?}");

    server.signal(Signal::TERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    for path in made[..2].iter().chain(&copies) {
        assert!(!path.exists(), "{path:?} is left");
    }
}

#[test]
fn the_log_file_is_opened_by_that_user_and_not_by_root() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let setup = setup(&user);
    let place = place_of(&setup);
    // Whoever may write to the directory can have root write elsewhere, or nowhere.
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let roots = elsewhere.path().join("roots");
    fs::write(&roots, "").expect("ours");
    std::os::unix::fs::symlink(&roots, place.join("linked.log")).expect("ours");
    let config = |file: &str| as_user(&user).key("log", json!({"file": file}));
    let refused = setup.config(&config("linked.log")).run();
    assert!(
        text(&refused.stderr).contains("log.file: "),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(fs::read_to_string(&roots).expect("ours"), "");

    let setup = self::setup(&user);
    let place = place_of(&setup);
    let mut server = setup.config(&config("own.log")).start();
    server.assert_echoes();
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let found = fs::metadata(place.join("own.log")).expect("the host has made it");
    assert_eq!((found.uid(), found.gid()), (user.id, user.group));
    let lines = fs::read_to_string(place.join("own.log")).expect("ours");
    assert!(lines.contains("plugin installed"), "{lines}");
}

#[test]
fn capabilities_of_a_service_manager_are_given_up_with_a_log_file_too() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    let program = place.path().join("hotsocket");
    fs::copy(hotsocket().get_program(), &program).expect("it can be copied");
    // It gets as far as the control socket.
    let config = json!({"listen": [], "run_as": {"user": user.name}, "log": {"file": "host.log"},
        "control": "missing/control.sock"});
    fs::write(place.path().join("c.json"), config.to_string()).expect("ours");
    let mut command = Command::new("setpriv");
    let (id, group) = (user.id.to_string(), user.group.to_string());
    command.args(["--reuid", &id, "--regid", &group, "--clear-groups"]);
    let port = "+net_bind_service";
    command.args(["--inh-caps", port, "--ambient-caps", port]);
    command.arg(program).args(["serve", "--config", "c.json"]);
    let output = output_of({
        command.current_dir(place.path());
        command
    });
    let said = text(&output.stderr);
    assert!(said.contains("missing/control.sock"), "{said}");
    assert!(!said.contains("has kept"), "{said}");
}

#[test]
fn seed_1_13_without_a_place_the_control_socket_is_where_that_user_looks() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let setup = setup(&user).config(&as_user(&user)).own_control_socket();
    let expected = place_of(&setup)
        .join("tmp")
        .join(format!("hotsocket-{}", user.id));
    let server = setup.start();
    let sockets: Vec<_> = fs::read_dir(expected).expect("it is there").collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    server.assert_echoes();
}

#[test]
fn seed_1_13_a_plugin_that_its_group_may_write_is_refused() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let setup = setup(&user).config(&as_user(&user));
    let files = fs::read_dir(setup.plugin_directory()).expect("ours");
    for file in files {
        let mode = fs::Permissions::from_mode(0o775);
        fs::set_permissions(file.expect("ours").path(), mode).expect("ours");
    }
    let server = setup.start();
    let line = server.await_log(0, |line| line.mentions("plugin file refused"));
    assert!(line.text("cause").contains("or with `run_as`"), "{line:?}");
}

#[test]
fn seed_1_13_a_place_that_is_for_root_only_keeps_the_host_from_starting() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let roots = tempfile::tempdir().expect("a temporary directory");
    let file = roots.path().join("access.log").display().to_string();
    let log = as_user(&user).key("access_log", json!({"file": file}));
    let socket = roots.path().join("control.sock").display().to_string();
    let control = as_user(&user).key("control", socket);
    for (config, expected) in [
        (log, "access_log.file"),
        (control, "cannot open the control socket"),
    ] {
        let output = setup(&user).own_control_socket().config(&config).run();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(expected) && said.contains("ermission denied"),
            "{said}"
        );
    }
}

/// Runs the binary as this user, from a place where it can.
fn run_as_itself(user: &User, arguments: &[&str]) -> Output {
    let place = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let program = place.path().join("hotsocket");
    fs::copy(hotsocket().get_program(), &program).expect("it can be copied");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place.path());
    if geteuid().is_root() {
        command.uid(user.id).gid(user.group);
    }
    output_of(command)
}

#[test]
fn seed_1_13_who_is_not_root_cannot_become_another_at_start_nor_in_check() {
    let user = User::nobody();
    let place = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let config = place.path().join("c.json");
    let other = json!({"listen": [], "run_as": {"user": "54321", "group": "54321"}});
    fs::write(&config, other.to_string()).expect("ours");
    let config = config.display().to_string();
    let plugins = place.path().display().to_string();
    for command in ["serve", "check"] {
        let output = run_as_itself(
            &user,
            &[command, "--config", &config, "--plugins", &plugins],
        );
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("may not become user 54321; start the host as root"),
            "{said}"
        );
    }
}

#[test]
fn check_looks_with_the_eyes_of_that_user() {
    let user = User::nobody();
    if !geteuid().is_root() {
        return assert_barred(&user);
    }
    let roots = tempfile::tempdir().expect("a temporary directory");
    let closed = roots.path().join("www");
    fs::create_dir(&closed).expect("ours");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("ours");
    let setup = setup(&user);
    let mount = json!({"files": closed.display().to_string()});
    let config = as_user(&user).mount("/", mount).text();
    let file = place_of(&setup).join("c.json");
    fs::write(&file, config).expect("ours");
    let mut command = hotsocket();
    command.arg("check").arg("--config").arg(&file);
    command.arg("--plugins").arg(setup.plugin_directory());
    let output = output_of(command);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&*closed.to_string_lossy()) && said.contains("ermission denied"),
        "{said}"
    );
}

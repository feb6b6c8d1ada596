use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde_json::json;

use super::place::{self, PlaceError};
use super::{
    Answer, Client, ClientError, ControlError, ControlRequest, ControlServer, Publication, Reply,
    live_hosts,
};
use crate::limits::Limits;

/// Answers as a conductor would.
fn conduct(request: ControlRequest, reply: Reply) {
    match request {
        ControlRequest::PluginList {} => reply.tell("plugins", json!([{"name": "echo"}])),
        ControlRequest::PluginReload { name, force: true } => {
            reply.refuse(format!("no plugin `{name}`"), "see the list")
        }
        ControlRequest::PluginReload { .. } => drop(reply),
        ControlRequest::Connections {}
        | ControlRequest::Publish(_)
        | ControlRequest::LogLevels {}
        | ControlRequest::LogLevel { .. } => reply.done(),
    }
}

fn start(path: &Path) -> ControlServer {
    start_with(path, &Limits::default())
}

fn start_with(path: &Path, limits: &Limits) -> ControlServer {
    ControlServer::start(Some(path), None, limits, conduct).unwrap()
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.sock");
    (directory, path)
}

fn ask(path: &Path, request: &ControlRequest) -> Answer {
    Client::connect(Some(path)).unwrap().ask(request).unwrap()
}

/// Sends bytes as they are and reads the answer.
fn exchange(path: &Path, bytes: &[u8]) -> String {
    let mut transport = UnixStream::connect(path).unwrap();
    transport.write_all(bytes).unwrap();
    let mut line = String::new();
    BufReader::new(transport).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_request_is_answered() {
    let (_directory, path) = directory();
    let _server = start(&path);
    let told = ask(&path, &ControlRequest::PluginList {});
    assert_eq!(
        told,
        Answer::Done(serde_json::Map::from_iter([(
            "plugins".to_owned(),
            json!([{"name": "echo"}])
        )]))
    );
    let refused = ask(
        &path,
        &ControlRequest::PluginReload {
            name: "x".to_owned(),
            force: true,
        },
    );
    assert_eq!(
        refused,
        Answer::Refused {
            error: "no plugin `x`".to_owned(),
            mend: "see the list".to_owned()
        }
    );
}

#[test]
fn a_line_goes_each_way() {
    let (_directory, path) = directory();
    let _server = start(&path);
    assert_eq!(
        exchange(&path, b"{\"command\":\"plugin-list\"}\n"),
        "{\"ok\":true,\"plugins\":[{\"name\":\"echo\"}]}\n"
    );
    assert_eq!(
        exchange(
            &path,
            b"{\"command\":\"plugin-reload\",\"name\":\"x\",\"force\":true}\n"
        ),
        "{\"error\":\"no plugin `x`\",\"mend\":\"see the list\",\"ok\":false}\n"
    );
}

#[test]
fn a_request_that_is_dropped_is_answered_too() {
    let (_directory, path) = directory();
    let _server = start(&path);
    let answer = ask(
        &path,
        &ControlRequest::PluginReload {
            name: "x".to_owned(),
            force: false,
        },
    );
    assert_eq!(
        answer,
        Answer::Refused {
            error: "the host is ending".to_owned(),
            mend: String::new()
        }
    );
}

#[test]
fn what_is_no_request_is_refused() {
    let (_directory, path) = directory();
    let _server = start(&path);
    for bytes in [
        &b"\n"[..],
        b"\xff\n",
        b"{}\n",
        b"{\"command\":\"nothing\"}\n",
        b"{\"command\":\"plugin-list\",\"x\":1}\n",
    ] {
        assert!(
            exchange(&path, bytes).contains("\"error\":\"no request: "),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let (_directory, path) = directory();
    let _server = start_with(
        &path,
        &Limits {
            control_request_bytes: 10,
            publish_message_bytes: 0,
            ..Limits::default()
        },
    );
    assert!(exchange(&path, &[b'x'; 11]).contains("limits.control_request_bytes"));
}

#[test]
fn a_client_that_says_nothing_holds_nobody_up_for_ever() {
    let (_directory, path) = directory();
    let _server = start_with(
        &path,
        &Limits {
            control_request_ms: 20,
            ..Limits::default()
        },
    );
    let silent = UnixStream::connect(&path).unwrap();
    assert!(matches!(
        ask(&path, &ControlRequest::PluginList {}),
        Answer::Done(_)
    ));
    let mut line = String::new();
    BufReader::new(silent).read_line(&mut line).unwrap();
    assert!(line.contains("limits.control_request_ms"), "{line}");
}

#[test]
fn a_host_that_ends_does_not_wait_for_an_answer() {
    let (_directory, path) = directory();
    let (sender, held) = mpsc::channel();
    let server = ControlServer::start(Some(&path), None, &Limits::default(), move |_, reply| {
        sender.send(reply).unwrap()
    });
    let client = Client::connect(Some(&path)).unwrap();
    let asking = std::thread::spawn(move || client.ask(&ControlRequest::PluginList {}));
    let reply = held.recv().unwrap();
    drop(server);
    assert!(matches!(asking.join().unwrap(), Ok(Answer::Refused { .. })));
    drop(reply);
}

#[test]
fn the_socket_is_for_its_owner_and_goes_with_its_host() {
    let (_directory, path) = directory();
    let server = start(&path);
    assert_eq!(server.path(), path);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(server);
    assert!(!path.exists());
    assert!(matches!(
        Client::connect(Some(&path)),
        Err(ClientError::Dead { .. })
    ));
}

#[test]
fn a_socket_with_a_group_is_open_to_it_and_to_nobody_else() {
    let (_directory, path) = directory();
    let group = rustix::process::getegid().as_raw();
    let _server = ControlServer::start(Some(&path), Some(group), &Limits::default(), conduct);
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.mode() & 0o777, found.gid()), (0o660, group));
}

#[test]
fn only_messages_may_be_longer_than_other_requests() {
    let (_directory, path) = directory();
    let limits = Limits {
        control_request_bytes: 200,
        publish_message_bytes: 100,
        ..Limits::default()
    };
    let _server = start_with(&path, &limits);
    let message = Publication::default().with_text("\0".repeat(100));
    let done = ask(&path, &ControlRequest::Publish(message.clone()));
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    let reload = ControlRequest::PluginReload {
        name: "x".repeat(300),
        force: true,
    };
    let too_long = |answer: Answer| match answer {
        Answer::Refused { error, .. } => error == "the request is too long",
        Answer::Done(_) => false,
    };
    assert!(too_long(ask(&path, &reload)));
    let message = message.with_text("\0".repeat(200_000));
    assert!(too_long(ask(&path, &ControlRequest::Publish(message))));
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let (_directory, path) = directory();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let _server = start(&path);
    let second = ControlServer::start(Some(&path), None, &Limits::default(), conduct).unwrap_err();
    assert!(matches!(&second, ControlError::Live { path: live } if *live == path));
    assert!(second.to_string().contains(path.to_str().unwrap()));
    assert!(matches!(
        ask(&path, &ControlRequest::PluginList {}),
        Answer::Done(_)
    ));
}

#[test]
fn a_host_leaves_the_file_of_another_alone() {
    let (directory, path) = directory();
    let first = start(&path);
    fs::rename(&path, directory.path().join("moved")).unwrap();
    let _second = start(&path);
    drop(first);
    assert!(matches!(
        ask(&path, &ControlRequest::PluginList {}),
        Answer::Done(_)
    ));
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let (_directory, path) = directory();
    fs::write(&path, "mine").unwrap();
    let error = ControlServer::start(Some(&path), None, &Limits::default(), conduct).unwrap_err();
    assert!(matches!(error, ControlError::NoSocket { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn live_hosts_are_found_among_dead_ones() {
    let (directory, _) = directory();
    let place = directory.path().join("place");
    place::make_private(&place).unwrap();
    drop(std::os::unix::net::UnixListener::bind(place.join("dead.sock")).unwrap());
    fs::write(place.join("text.sock"), "").unwrap();
    let path = place.join("live.sock");
    let _server = start(&path);
    assert_eq!(
        live_hosts(&[directory.path().join("missing"), place]),
        [path]
    );
}

#[test]
fn a_directory_that_others_can_enter_is_not_trusted() {
    let (directory, _) = directory();
    let place = directory.path().join("place");
    place::make_private(&place).unwrap();
    place::make_private(&place).unwrap();
    let _server = start(&place.join("h.sock"));

    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&place, &link).unwrap();
    assert!(matches!(
        place::make_private(&link),
        Err(PlaceError::Shared { .. })
    ));
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        place::make_private(&place),
        Err(PlaceError::Shared { .. })
    ));
    assert!(live_hosts(&[place]).is_empty());
}

#[test]
fn the_sockets_of_dead_hosts_are_swept_away() {
    let (directory, path) = directory();
    let _server = start(&path);
    let dead = directory.path().join(format!("{}.sock", u32::MAX));
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let starting = directory
        .path()
        .join(format!("{}.sock", std::process::id()));
    drop(std::os::unix::net::UnixListener::bind(&starting).unwrap());
    super::server::sweep(directory.path());
    assert!(!dead.exists() && starting.exists() && path.exists());
}

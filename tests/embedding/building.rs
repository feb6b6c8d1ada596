//! From a config and plugins to a host.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use hotsocket::{
    ControlPlace, Host, HostConfig, HostError, ListenAddress, StartError,
    config::{Overrides, ProtocolConfig, VhostConfig, resolve},
    plugin::refusal::Stage,
};

use crate::{
    anywhere, builder, eventually,
    peer::{Peer, turn},
    probe::{self, Seen},
};

#[test]
fn seed_1_1_one_call_serves_what_a_config_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let config = HostConfig {
        listen: vec![
            format!("unix:{}", path.display())
                .parse::<ListenAddress>()
                .unwrap()
                .into(),
        ],
        ..HostConfig::default()
    };
    let again = config.clone();
    thread::spawn(move || hotsocket::serve(config));
    let mut peer = None;
    eventually("it is listened", || {
        peer = UnixStream::connect(&path).ok();
        peer.is_some()
    });
    let mut peer = peer.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    peer.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let error = hotsocket::serve(again).unwrap_err();
    let in_use = |source: &std::io::Error| source.kind() == ErrorKind::AddrInUse;
    assert!(
        matches!(&error, HostError::Start(StartError::Bind { source, .. }) if in_use(source)),
        "{error}"
    );
}

#[test]
fn seed_1_2_a_host_is_built_piece_by_piece_and_each_cause_has_an_error_of_its_own() {
    let seen = Arc::new(Seen::default());
    let mut host = builder(&seen).build().unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    assert_eq!(peer.ask_of(&mut host, "built"), "built");

    let taken = TcpListener::bind(anywhere()).unwrap();
    let error = Host::builder()
        .listen(taken.local_addr().unwrap())
        .build()
        .unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    let error = builder(&seen).threads(0).build().unwrap_err();
    assert!(matches!(error, StartError::Config(_)), "{error}");
    let error = builder(&seen).plugin(probe::plugin()).build().unwrap_err();
    let is_twice = matches!(&error, StartError::Plugin(refusal) if refusal.stage == Stage::Names);
    assert!(is_twice, "{error}");
    let error = builder(&seen)
        .config(configured("unknown", "hello"))
        .build()
        .unwrap_err();
    let is_option =
        matches!(&error, StartError::Plugin(refusal) if refusal.stage == Stage::Instance);
    assert!(
        is_option && error.to_string().contains("unknown"),
        "{error}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let place = ControlPlace::At(file.path().to_owned());
    let error = builder(&seen).control(place).build().unwrap_err();
    assert!(matches!(error, StartError::Control(_)), "{error}");
    let error = Host::from_config(HostConfig {
        listen: Vec::new(),
        default: VhostConfig {
            error_pages: [(404, PathBuf::from("/nowhere/404.html"))].into(),
            ..VhostConfig::default()
        },
        ..HostConfig::default()
    });
    assert!(matches!(error, Err(StartError::Site(_))), "{error:?}");
}

/// A config with one option of the probe.
fn configured(option: &str, value: &str) -> HostConfig {
    let options = serde_json::json!({ option: value });
    HostConfig {
        listen: vec![anywhere().into()],
        default: VhostConfig {
            protocols: [("probe".to_owned(), ProtocolConfig { options })].into(),
            ..VhostConfig::default()
        },
        ..HostConfig::default()
    }
}

#[test]
fn seed_1_3_a_config_is_the_same_from_a_file_and_from_a_program() {
    let text = r#"{
        "listen": ["127.0.0.1:0"],
        "threads": 1,
        "protocols": {"probe": {"options": {"greeting": "from a config"}}}
    }"#;
    let written = resolve(Path::new("a.json"), text, &Overrides::default()).unwrap();
    let filled = HostConfig {
        plugins: written.plugins.clone(),
        control: written.control.clone(),
        ..configured("greeting", "from a config")
    };
    assert_eq!(written, filled);
    // What takes threads is only a matter of a program that asks for it.
    let embedded = HostConfig {
        plugins: None,
        control: None,
        ..written
    };
    let mut host = Host::builder()
        .config(embedded)
        .plugin(probe::plugin())
        .build()
        .unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    assert_eq!(peer.ask_of(&mut host, "greeting"), "from a config");
}

#[test]
fn seed_1_12_what_a_program_gives_reaches_the_plugins_that_are_linked_into_it_by_type() {
    let seen = Arc::new(Seen::default());
    let mut host = builder(&seen).data(Arc::new(17_u32)).build().unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    peer.send(crate::peer::CLOSE, &[]);
    eventually("the plugin has told its program", || {
        turn(&mut host);
        !seen.closed.lock().unwrap().is_empty()
    });
    // One that was given nothing finds nothing.
    let mut host = Host::builder()
        .listen(anywhere())
        .plugin(probe::plugin())
        .build()
        .unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    assert_eq!(peer.ask_of(&mut host, "as before"), "as before");
    assert_eq!(seen.closed.lock().unwrap().len(), 1);
}

#[test]
fn seed_2_11_a_host_knows_the_name_of_its_machine() {
    let host = builder(&Arc::default()).build().unwrap();
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(host.hostname(), known.trim_end());
}

#[test]
fn seed_7_14_a_host_may_listen_nowhere() {
    let mut host = Host::from_config(HostConfig {
        listen: Vec::new(),
        ..HostConfig::default()
    })
    .unwrap();
    assert_eq!(host.listening(), []);
    turn(&mut host);
}

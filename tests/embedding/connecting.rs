//! Connections that a program opens for a protocol of its own.

use std::sync::Arc;

use hotsocket::{ClientRequest, ConnectError, Host, wire::url::Url};

use crate::{builder, eventually, probe::Seen};

#[test]
fn seed_7_1_a_program_opens_a_connection_for_its_protocol_and_gives_it_a_value() {
    let (there, here) = (Arc::<Seen>::default(), Arc::<Seen>::default());
    let server = builder(&there).build().unwrap();
    let url = format!("ws://{}/probe", server.local_addrs()[0]);
    let server = server.spawn().unwrap();
    // It listens nowhere: a client and nothing else.
    let config = hotsocket::HostConfig {
        listen: Vec::new(),
        ..hotsocket::HostConfig::default()
    };
    let client = Host::builder()
        .config(config)
        .plugin(crate::probe::plugin())
        .data(Arc::clone(&here));
    let early = client.handle();
    let request = || ClientRequest::to(&url).unwrap();
    assert_eq!(
        early.connect("probe", request(), None),
        Err(ConnectError::NotRunning)
    );
    let client = client.build().unwrap().spawn().unwrap();
    let handle = client.handle();
    let value = Box::new("what the program gave".to_owned());
    handle.connect("probe", request(), Some(value)).unwrap();
    eventually("it comes back from the server", || {
        *here.heard.lock().unwrap() == ["what the program gave"]
    });
    eventually("the server is told goodbye", || {
        !there.closed.lock().unwrap().is_empty()
    });
    let twice = request().subprotocol("a").subprotocol("a");
    let refused = handle.connect("probe", twice, None);
    assert!(
        matches!(refused, Err(ConnectError::Request(_))),
        "{refused:?}"
    );
    client.shutdown(crate::DEADLINE).unwrap();
    server.shutdown(crate::DEADLINE).unwrap();
}

#[test]
fn seed_4_21_a_url_is_taken_apart_and_stays_as_it_was_written() {
    let written = "WSS://Example.ORG:8443/a//b/?x=/y";
    let url = Url::parse(written).unwrap();
    assert_eq!(url.as_str(), written);
    assert_eq!((url.path(), url.query()), ("/a//b/", Some("x=/y")));
    assert_eq!(url.host_field(), "example.org:8443");
    let url = Url::parse("ws://[::1]").unwrap();
    assert_eq!((url.path(), &*url.target()), ("/", "/"));
    assert_eq!(url.host_field(), "[::1]");
    for wrong in [
        "",
        "/a",
        "ftp://a/",
        "ws://",
        "ws://a/#b",
        "ws://a b/",
        "ws://a:99999/",
    ] {
        assert!(Url::parse(wrong).is_err(), "{wrong}");
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use hotsocket::{ClientRequest, Host, HostConfig, ServerTrust, net::tls::ClientTlsConfig};

    use crate::{builder, eventually, probe::Seen, secured::secured};

    /// Has a host without listeners say something to a host over TLS whose certificate nobody knows, and answers what
    /// came back within a moment.
    fn says(trust: impl FnOnce(&std::path::Path, rustls::ClientConfig) -> ServerTrust) {
        let directory = tempfile::tempdir().unwrap();
        let (config, rustls) = secured(directory.path());
        let server = builder(&Arc::default()).config(config).build().unwrap();
        let port = server.local_addrs()[0].port();
        let server = server.spawn().unwrap();
        let here = Arc::<Seen>::default();
        let config = HostConfig {
            listen: Vec::new(),
            ..HostConfig::default()
        };
        let client = Host::builder()
            .config(config)
            .plugin(crate::probe::plugin())
            .data(Arc::clone(&here))
            .build()
            .unwrap()
            .spawn()
            .unwrap();
        let trust = trust(&directory.path().join("cert.pem"), rustls);
        let request = ClientRequest::to(&format!("wss://localhost:{port}/probe")).unwrap();
        let said = Box::new("hello".to_owned());
        let handle = client.handle();
        handle
            .connect("probe", request.trust(trust), Some(said))
            .unwrap();
        eventually("it comes back from the server", || {
            *here.heard.lock().unwrap() == ["hello"]
        });
        client.shutdown(crate::DEADLINE).unwrap();
        server.shutdown(crate::DEADLINE).unwrap();
    }

    #[test]
    fn seed_3_5_a_program_brings_a_configuration_of_tls() {
        says(|_, rustls| ServerTrust::Given(ClientTlsConfig::given(rustls).into()));
    }

    #[test]
    fn seed_3_8_further_authorities_are_trusted_beside_those_of_the_platform() {
        says(|certificate, _| ServerTrust::MoreRoots(certificate.to_owned()));
    }
}

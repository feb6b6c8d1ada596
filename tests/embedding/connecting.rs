//! Connections that a program opens for a protocol of its own.

use std::sync::Arc;

use hotsocket::{ClientRequest, ConnectError, Host};

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

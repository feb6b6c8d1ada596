//! Connections that the program ends by their id.

use std::{io::Read, net::TcpStream, sync::Arc};

use hotsocket::CloseError;

use crate::{
    builder, eventually,
    peer::{CLOSE, Peer, turn},
    probe::Seen,
};

#[test]
fn seed_2_8_a_session_is_closed_by_its_id_and_its_code_and_reason_are_told() {
    let seen = Arc::new(Seen::default());
    let mut host = builder(&seen).build().unwrap();
    let mut peers = [(); 2].map(|()| Peer::of(&mut host, "/probe"));
    let id = peers[0].id_of(&mut host);
    let handle = host.handle();
    handle.close(id, 3001, "no more").unwrap();
    let close = peers[0].frame(&mut || turn(&mut host));
    assert_eq!(close, (CLOSE, b"\x0b\xb9no more".to_vec()));
    // The first word stays.
    handle.close(id, 3002, "again").unwrap();
    peers[0].send(CLOSE, b"\x0b\xb9");
    eventually("the session has ended", || {
        turn(&mut host);
        !seen.closed.lock().unwrap().is_empty()
    });
    let told = seen.closed.lock().unwrap().clone();
    assert_eq!(told, [(3001, "no more".to_owned(), true)]);
    assert_eq!(handle.close(id, 1000, ""), Err(CloseError::Gone));
    assert_eq!(peers[1].ask_of(&mut host, "beside"), "beside");
}

#[test]
fn seed_2_8_a_connection_is_aborted_by_its_id_whatever_is_spoken_over_it() {
    let seen = Arc::new(Seen::default());
    let mut host = builder(&seen).build().unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    let id = peer.id_of(&mut host);
    let handle = host.handle();
    handle.abort(id).unwrap();
    eventually("the session has ended", || {
        turn(&mut host);
        !seen.closed.lock().unwrap().is_empty()
    });
    let told = seen.closed.lock().unwrap().clone();
    let reason = "the program ended the connection".to_owned();
    assert_eq!(told, [(1006, reason, false)]);
    peer.stream.set_nonblocking(false).unwrap();
    assert_eq!(peer.stream.read(&mut [0]).unwrap(), 0, "without a word");

    // One that has not asked for anything yet.
    let mut silent = TcpStream::connect(host.local_addrs()[0]).unwrap();
    eventually("it was accepted", || {
        turn(&mut host);
        !host.connections().is_empty()
    });
    let id = host.connections()[0];
    assert_eq!(handle.close(id, 1000, ""), Err(CloseError::Gone));
    handle.abort(id).unwrap();
    eventually("it has ended", || {
        turn(&mut host);
        host.connections().is_empty()
    });
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    handle.abort(id).expect("one that has ended is no error");
}

#[test]
fn a_close_frame_that_cannot_be_is_refused() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    let id = peer.id_of(&mut host);
    let handle = host.handle();
    assert_eq!(handle.close(id, 1006, ""), Err(CloseError::Code(1006)));
    let long = "x".repeat(124);
    assert_eq!(handle.close(id, 1000, &long), Err(CloseError::Reason(124)));
    assert_eq!(handle.close(id, 0, ""), Ok(()));
    let close = peer.frame(&mut || turn(&mut host));
    assert_eq!(close, (CLOSE, Vec::new()));
    let unbuilt = builder(&Arc::default()).handle();
    assert_eq!(unbuilt.close(id, 1000, ""), Err(CloseError::Gone));
}

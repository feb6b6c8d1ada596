//! Streams that the program has accepted itself.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

use hotsocket::{AcceptedStream, Adopt, AdoptError, HostConfig, NotAdopted};
use rustix::net::sockopt;

use crate::{
    DEADLINE, anywhere, builder, eventually,
    peer::{Peer, elsewhere, request, turn},
    probe::Seen,
};

/// A connection that the program has accepted: the client's end, and its own.
fn accepted() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A config with one listener and these limits.
fn limited(change: impl FnOnce(&mut hotsocket::limits::Limits)) -> HostConfig {
    let mut config = HostConfig {
        listen: vec![anywhere().into()],
        ..HostConfig::default()
    };
    change(&mut config.limits);
    config
}

#[test]
fn seed_2_12_an_accepted_stream_is_served_as_if_a_listener_had_accepted_it() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let (client, stream) = accepted();
    let id = host.adopt(stream).unwrap();
    assert_eq!(host.connections(), [id]);
    (&client).write_all(request("/probe").as_bytes()).unwrap();
    let mut peer = Peer::answered(client, &mut || turn(&mut host));
    assert_eq!(peer.ask_of(&mut host, "adopted"), "adopted");
    assert_eq!(peer.id_of(&mut host), id);
    // What a listener's sockets have.
    let socket = host.socket(id).unwrap();
    assert!(sockopt::socket_keepalive(socket).unwrap());
    assert!(sockopt::tcp_nodelay(host.socket(id).unwrap()).unwrap());
}

#[test]
fn seed_2_12_a_unix_stream_is_adopted_also_where_nothing_is_listened() {
    let config = HostConfig {
        listen: Vec::new(),
        ..HostConfig::default()
    };
    let mut host = builder(&Arc::default()).config(config).build().unwrap();
    let (mut client, stream) = UnixStream::pair().unwrap();
    host.adopt(stream).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let reader = thread::spawn(move || {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    eventually("it was answered", || {
        turn(&mut host);
        reader.is_finished()
    });
    assert!(reader.join().unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn seed_2_12_the_limits_hold_for_it_and_the_stream_comes_back() {
    let config = limited(|limits| limits.max_connections = 1);
    let mut host = builder(&Arc::default()).config(config).build().unwrap();
    let (_one, stream) = accepted();
    host.adopt(stream).unwrap();
    let (mut two, stream) = accepted();
    let address = stream.peer_addr().unwrap();
    let NotAdopted { stream, why, .. } = host.adopt(stream).unwrap_err();
    assert!(matches!(why, AdoptError::TooMany(1)), "{why}");
    let AcceptedStream::Tcp(mut stream) = stream else {
        panic!("it was TCP");
    };
    assert_eq!(stream.peer_addr().unwrap(), address);
    stream.write_all(b"busy").unwrap();
    two.read_exact(&mut [0; 4]).unwrap();

    let config = limited(|limits| limits.max_connections_per_address = 1);
    let mut host = builder(&Arc::default()).config(config).build().unwrap();
    let (_one, stream) = accepted();
    host.adopt(stream).unwrap();
    let refused = host.adopt(accepted().1).unwrap_err();
    assert!(matches!(refused.why, AdoptError::TooManyOfAddress(1)));
    let refused = host.adopt(Adopt::new(accepted().1).listener(7));
    assert!(matches!(
        refused.unwrap_err().why,
        AdoptError::NoListener(7)
    ));
    // Refused ones are not counted.
    let ids = host.connections();
    host.handle().abort(ids[0]).unwrap();
    eventually("the first one has gone", || {
        turn(&mut host);
        host.connections().is_empty()
    });
    host.adopt(accepted().1).unwrap();
}

#[test]
fn seed_2_12_other_threads_give_their_streams_by_the_handle_and_are_told_once() {
    let seen = Arc::new(Seen::default());
    let server = builder(&seen).threads(2).build().unwrap().spawn().unwrap();
    let handle = server.handle();
    let (outcome, outcomes) = channel();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (client, stream) = accepted();
        let outcome = outcome.clone();
        handle.adopt(stream, move |adopted| {
            outcome.send(adopted.map_err(|error| error.why)).unwrap();
        });
        clients.push(client);
    }
    for _ in 0..4 {
        outcomes.recv_timeout(DEADLINE).unwrap().unwrap();
    }
    for client in clients {
        (&client).write_all(request("/probe").as_bytes()).unwrap();
        let mut peer = Peer::answered(client, &mut elsewhere);
        assert_eq!(peer.ask("theirs", &mut elsewhere), "theirs");
    }
    server.shutdown(Duration::ZERO).unwrap();
    // A host that has ended gives it back too.
    let (_client, stream) = accepted();
    handle.adopt(stream, move |adopted| {
        outcome.send(adopted.map_err(|error| error.why)).unwrap();
    });
    let told = outcomes.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(told, Err(AdoptError::Gone)), "{told:?}");
    assert!(outcomes.recv().is_err(), "each was told once");
}

#[test]
fn seed_2_12_a_thread_that_serves_nothing_says_where_to_go() {
    let mut host = builder(&Arc::default()).threads(2).build().unwrap();
    let refused = host.adopt(accepted().1).unwrap_err();
    assert!(matches!(refused.why, AdoptError::Elsewhere));
    let mut worker = host.workers().unwrap().remove(1).start().unwrap();
    let id = worker.adopt(accepted().1).unwrap();
    assert_eq!(worker.connections(), [id]);
}

#[test]
fn seed_2_13_what_was_read_already_is_served_before_the_stream() {
    let request = request("/probe").into_bytes();
    // Split anywhere: within the head, behind it, and behind a message, here the text `hi`.
    let message = b"\x81\x82\0\0\0\0hi";
    let all = [&request[..], message].concat();
    for split in [1, 30, request.len(), request.len() + 3, all.len()] {
        let mut host = builder(&Arc::default()).build().unwrap();
        let (mut client, stream) = accepted();
        host.adopt_with_prefix(stream, &all[..split]).unwrap();
        client.write_all(&all[split..]).unwrap();
        let mut peer = Peer::answered(client, &mut || turn(&mut host));
        let frame = peer.frame(&mut || turn(&mut host));
        assert_eq!(frame, (1, b"hi".to_vec()), "split at {split}");
    }
}

#[test]
fn seed_2_13_a_prefix_longer_than_a_head_is_a_named_error_and_comes_back() {
    let config = limited(|limits| {
        limits.request_head_bytes = 100;
        limits.request_target_bytes = 100;
        limits.request_field_bytes = 100;
    });
    let mut host = builder(&Arc::default()).config(config).build().unwrap();
    let (client, stream) = accepted();
    let refused = host.adopt_with_prefix(stream, vec![b'x'; 101]).unwrap_err();
    let why = &refused.why;
    assert!(
        matches!(
            why,
            AdoptError::PrefixTooLong {
                bytes: 101,
                most: 100
            }
        ),
        "{why}"
    );
    let told = refused.to_string();
    assert!(told.contains("limits.request_head_bytes"), "{told}");
    assert_eq!(refused.prefix, [b'x'; 101]);
    drop(refused);
    assert!(host.connections().is_empty());
    drop(client);
    host.adopt_with_prefix(accepted().1, vec![b'x'; 100])
        .unwrap();
}

#[test]
fn a_stream_that_is_not_connected_is_refused() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let (client, stream) = accepted();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(client);
    eventually("the system knows", || stream.peer_addr().is_err());
    let refused = host.adopt(stream).unwrap_err();
    assert!(matches!(refused.why, AdoptError::Socket(_)));
}

#[cfg(feature = "tls")]
mod tls {
    use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Instant};

    use hotsocket::{Adopt, HostConfig, net::tls::TlsSettings};
    use rcgen::{CertificateParams, KeyPair};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};

    use super::accepted;
    use crate::{
        DEADLINE, anywhere, builder,
        peer::{Peer, request, turn},
    };

    /// A config whose listener speaks TLS, and what a client goes by that trusts its certificate.
    fn secured(directory: &Path) -> (HostConfig, ClientConfig) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (cert_path, key_path) = (directory.join("cert.pem"), directory.join("key.pem"));
        fs::write(&cert_path, certificate.pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).unwrap();
        let config = HostConfig {
            listen: vec![anywhere().into()],
            tls: Some(TlsSettings::new(cert_path, key_path)),
            ..HostConfig::default()
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots);
        (config, client.with_no_client_auth())
    }

    #[test]
    fn seed_2_13_under_tls_what_was_read_already_is_the_beginning_of_the_handshake() {
        let directory = tempfile::tempdir().unwrap();
        let (config, client) = secured(directory.path());
        let mut host = builder(&Arc::default()).config(config).build().unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut greeting = Vec::new();
        tls.write_tls(&mut greeting).unwrap();

        let (mut socket, stream) = accepted();
        let split = greeting.len() / 2;
        host.adopt_with_prefix(stream, &greeting[..split]).unwrap();
        socket.write_all(&greeting[split..]).unwrap();
        tls.writer()
            .write_all(request("/probe").as_bytes())
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        let (began, mut answer) = (Instant::now(), Vec::new());
        while !answer.starts_with(b"HTTP/1.1 101") {
            assert!(began.elapsed() < DEADLINE, "{}", answer.escape_ascii());
            turn(&mut host);
            while tls.wants_write() && tls.write_tls(&mut socket).is_ok() {}
            while tls.read_tls(&mut socket).is_ok_and(|count| count > 0) {
                tls.process_new_packets().unwrap();
            }
            // Nothing yet, or a piece.
            let _ = std::io::Read::read_to_end(&mut tls.reader(), &mut answer);
        }
    }

    #[test]
    fn seed_2_12_a_stream_that_somebody_else_has_decrypted_is_adopted_as_plain() {
        let directory = tempfile::tempdir().unwrap();
        let (config, _) = secured(directory.path());
        let mut host = builder(&Arc::default()).config(config).build().unwrap();
        let (client, stream) = accepted();
        host.adopt(Adopt::new(stream).plain()).unwrap();
        (&client).write_all(request("/probe").as_bytes()).unwrap();
        let mut peer = Peer::answered(client, &mut || turn(&mut host));
        assert_eq!(peer.ask_of(&mut host, "plain"), "plain");
    }
}

//! Sessions that are resumed, certificates of clients, and those of the host that change.

use std::time::SystemTime;

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use super::super::*;
use super::peer::{TlsBench, client, client_of};
use crate::net::tls::test_certificates::Authority;

#[test]
fn a_client_that_comes_again_resumes_and_is_served() {
    for version in [&TLS12, &TLS13] {
        let mut bench = TlsBench::new();
        bench.config = Arc::new(client_of(&bench.authority, &[version]));
        let mut first = bench.open();
        bench.echoes(&mut first, "first");
        assert_eq!(first.tls.handshake_kind(), Some(HandshakeKind::Full));
        let mut second = bench.open();
        bench.echoes(&mut second, "second");
        assert_eq!(second.tls.handshake_kind(), Some(HandshakeKind::Resumed));
        // A new certificate takes nobody's tickets away.
        bench.authority.settings(2);
        bench.keeper.look(SystemTime::now());
        let third = bench.open();
        assert_eq!(third.tls.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_client_that_offers_other_protocols_only_is_refused() {
    let mut bench = TlsBench::new();
    let mut config = client(&bench.authority);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let alert = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(bench.refused(config.clone()), alert);
    config.alpn_protocols.push(b"http/1.1".to_vec());
    bench.config = Arc::new(config);
    let peer = bench.open();
    assert_eq!(peer.tls.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn seed_3_10_a_client_certificate_that_is_missing_or_wrong_is_refused() {
    let mut bench = TlsBench::with(|_| {}, |authority| authority.settings_with_clients(true));
    let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
    assert_eq!(bench.refused(client(&bench.authority)), alert);

    let builder = || ClientConfig::builder().with_root_certificates(bench.authority.roots());
    let (chain, key) = Authority::new().client(7);
    let stranger = builder().with_client_auth_cert(chain, key).unwrap();
    let (chain, key) = bench.authority.client(7);
    let known = builder().with_client_auth_cert(chain.clone(), key).unwrap();
    // Its authority has the name of ours, and another key.
    let alert = Error::AlertReceived(AlertDescription::DecryptError);
    assert_eq!(bench.refused(stranger), alert);

    bench.config = Arc::new(known);
    let mut peer = bench.open();
    bench.echoes(&mut peer, "hello");
    let newest = bench.bench.event_loop.io.ids();
    let told = newest.into_iter().find_map(|id| {
        let link = bench.bench.event_loop.io.slots.get_mut(id)?;
        let facts = link.transport.tls()?;
        Some((facts.peer_certificate?.to_vec(), facts.is_peer_checked))
    });
    assert_eq!(told, Some((chain[0].to_vec(), true)));
}

#[test]
fn seed_3_3_a_client_certificate_may_be_optional() {
    let mut bench = TlsBench::with(|_| {}, |authority| authority.settings_with_clients(false));
    let mut peer = bench.open();
    bench.echoes(&mut peer, "nobody");
    let facts = bench.bench.link().transport.tls().unwrap();
    assert!(facts.peer_certificate.is_none() && !facts.is_peer_checked);
}

#[test]
fn a_client_certificate_that_was_called_back_is_refused_and_its_session_is_not_resumed() {
    let mut bench = TlsBench::with(|_| {}, |authority| authority.settings_with_clients(true));
    let builder = ClientConfig::builder().with_root_certificates(bench.authority.roots());
    let (chain, key) = bench.authority.client(7);
    bench.config = Arc::new(builder.with_client_auth_cert(chain, key).unwrap());
    let mut peer = bench.open();
    bench.echoes(&mut peer, "hello");
    let mut settings = bench.authority.settings_with_clients(true);
    let revoked = bench.authority.revoke(7);
    settings.clients.as_mut().unwrap().revoked = vec![revoked];
    let prepared = bench.keeper.prepare(&settings).unwrap();
    bench.keeper.install(prepared);
    let alert = Error::AlertReceived(AlertDescription::CertificateRevoked);
    let same = ClientConfig::clone(&bench.config);
    assert_eq!(bench.refused(same), alert);
    // Whoever is in stays.
    bench.echoes(&mut peer, "still here");
}

#[test]
fn a_certificate_is_replaced_fifty_times_while_fifty_sessions_talk_and_none_is_dropped() {
    let mut bench = TlsBench::new();
    let mut peers: Vec<_> = (0..50).map(|_| bench.open()).collect();
    for serial in 2..52_u64 {
        bench.authority.settings(serial);
        bench.keeper.look(SystemTime::now());
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.text(&format!("{serial} {number}"));
        }
        let mut fresh = bench.connect();
        fresh.tls = {
            // One that cannot resume is shown the certificate.
            let config = Arc::new(client(&bench.authority));
            ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap()
        };
        let mut fresh = bench.open_as(fresh);
        bench.echoes(&mut fresh, "new");
        let shown = fresh.tls.peer_certificates().unwrap()[0].to_vec();
        let now = std::fs::read(bench.authority.directory.path().join("cert.pem")).unwrap();
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        assert_eq!(
            shown,
            CertificateDer::from_pem_slice(&now).unwrap().to_vec()
        );
        bench.bench.until("echoes", |_| {
            peers.iter_mut().enumerate().all(|(number, peer)| {
                peer.step();
                assert!(!peer.ended && peer.error.is_none());
                peer.heard
                    .ends_with(format!("{serial} {number}").as_bytes())
            })
        });
    }
    assert!(
        bench
            .bench
            .event_loop
            .service
            .closed
            .iter()
            .all(|end| end.code == 1006)
    );
    assert!(bench.bench.event_loop.io.connections() >= 50);
}

#[test]
fn a_broken_certificate_is_refused_and_the_one_before_stays() {
    let mut bench = TlsBench::new();
    let (_, other) = bench.authority.sign("localhost", 9);
    bench
        .authority
        .write("key.pem", other.serialize_pem().as_bytes());
    bench.keeper.look(SystemTime::now());
    let mut peer = bench.open();
    bench.echoes(&mut peer, "as before");
    std::fs::remove_file(bench.authority.directory.path().join("cert.pem")).unwrap();
    bench.keeper.look(SystemTime::now());
    let peer = bench.open();
    drop(peer);
}

//! Servers behind TLS, known by their authority, by their key, or not at all.

use std::io::{Read, Write};

use rcgen::{CertificateParams, KeyPair, PublicKeyData, date_time_ymd};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    connection::opening::{OpeningCause, Stage},
    net::{
        dial::{ClientTls, DialRefused},
        listener::Spoken,
        tls::{
            ClientTlsConfig, TlsKeeper, TlsSettings, platform_roots, read_roots,
            test_certificates::Authority,
        },
    },
};

/// A loop that dials, and accepts TLS with a certificate for `localhost`.
struct TlsDesk {
    desk: Desk,
    authority: Authority,
    /// SHA-256 of the key of the server.
    key: [u8; 32],
}

impl TlsDesk {
    fn new() -> Self {
        Self::with(|_| {}, true)
    }

    /// Signed by the authority, or by itself.
    fn with(change: impl FnOnce(&mut CertificateParams), is_signed: bool) -> Self {
        let authority = Authority::new();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let own = KeyPair::generate().unwrap();
        let certificate = match is_signed {
            true => authority.sign_params(params, &own),
            false => params.self_signed(&own).unwrap(),
        };
        let cert = authority.write("cert.pem", certificate.pem().as_bytes());
        let key = authority.write("key.pem", own.serialize_pem().as_bytes());
        let keeper = TlsKeeper::open(&TlsSettings::new(cert, key)).unwrap();
        let spoken = Spoken {
            tls: Some(keeper.tls()),
            ..Spoken::default()
        };
        Self {
            desk: Desk::listening(|_| {}, Resolver::new, |listener| listener.speaking(spoken)),
            authority,
            key: Sha256::digest(own.subject_public_key_info()).into(),
        }
    }

    fn trusting(&self) -> Arc<ClientTlsConfig> {
        ClientTlsConfig::trusting(self.authority.roots()).unwrap()
    }

    fn dial(&mut self, tls: Arc<ClientTlsConfig>) -> ConnectionId {
        let dial = secure("wss://localhost/", self.desk.address, tls);
        self.desk.dial(1, dial)
    }

    /// Whether the server counts as checked, once all sizes have come back.
    fn is_checked(&mut self, tls: Arc<ClientTlsConfig>) -> Option<bool> {
        let id = self.dial(tls);
        self.desk.told(1, "opened");
        for len in [30, 70_000, 500_000] {
            self.desk.say(id, &"x".repeat(len));
            self.desk.told(1, &format!("{len} bytes"));
        }
        self.desk.event_loop.service.is_peer_checked
    }

    fn refusal(&mut self, tls: Arc<ClientTlsConfig>) -> String {
        self.dial(tls);
        let error = self.desk.failure();
        assert_eq!(error.stage, Stage::Tls);
        assert!(!error.may_pass());
        assert_eq!(self.desk.event_loop.service.told(1), Vec::<&str>::new());
        self.desk.is_left_empty();
        error.to_string()
    }
}

fn secure(url: &str, address: SocketAddr, tls: Arc<ClientTlsConfig>) -> Dial {
    let mut dial = to(url);
    dial.target = Target::Addresses(vec![address]);
    dial.tls = ClientTls::Config(tls);
    dial
}

/// Trusts nobody.
fn wary() -> Arc<ClientTlsConfig> {
    ClientTlsConfig::trusting(RootCertStore::empty()).unwrap()
}

#[test]
fn a_server_of_a_given_authority_is_spoken_to_and_counts_as_checked() {
    let mut desk = TlsDesk::new();
    let tls = desk.trusting();
    assert_eq!(desk.is_checked(tls), Some(true));
}

#[test]
fn authorities_come_from_files_beside_those_of_the_platform() {
    let mut desk = TlsDesk::new();
    let mut roots = platform_roots().unwrap_or_else(|_| RootCertStore::empty());
    let before = roots.len();
    read_roots(&mut roots, &desk.authority.directory.path().join("ca.pem")).unwrap();
    assert_eq!(roots.len(), before + 1);
    let tls = ClientTlsConfig::trusting(roots).unwrap();
    assert_eq!(desk.is_checked(tls), Some(true));
    let missing = desk.authority.directory.path().join("missing.pem");
    let fault = read_roots(&mut RootCertStore::empty(), &missing).unwrap_err();
    assert!(fault.to_string().contains("missing.pem"), "{fault}");
}

#[test]
fn a_given_config_is_used_as_it_is() {
    let mut desk = TlsDesk::new();
    let versions = &[&rustls::version::TLS12];
    let config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(desk.authority.roots())
        .with_no_client_auth();
    assert_eq!(desk.is_checked(ClientTlsConfig::given(config)), Some(true));
}

#[test]
fn a_certificate_for_another_name_is_refused_with_the_names_it_is_for() {
    let mut desk = TlsDesk::with(
        |params| *params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap(),
        true,
    );
    let told = desk.refusal(desk.trusting());
    assert!(told.contains("other.example"), "{told}");
    assert!(
        told.contains("and not for `localhost`; is the host"),
        "{told}"
    );
}

#[test]
fn a_certificate_that_has_expired_or_is_not_valid_yet_is_refused_with_its_date() {
    let mut desk = TlsDesk::with(|params| params.not_after = date_time_ymd(2001, 2, 3), true);
    let told = desk.refusal(desk.trusting());
    assert!(
        told.contains("has expired: it was valid until Sat, 03 Feb 2001"),
        "{told}"
    );
    let mut desk = TlsDesk::with(|params| params.not_before = date_time_ymd(2300, 2, 3), true);
    let told = desk.refusal(desk.trusting());
    assert!(told.contains("is not valid yet: it is from"), "{told}");
}

#[test]
fn an_authority_that_is_not_trusted_is_refused_with_what_would_help() {
    let told = TlsDesk::new().refusal(wary());
    assert!(
        told.contains("comes from an authority that is not trusted here"),
        "{told}"
    );
    assert!(told.contains("give the authority as a root"), "{told}");
}

#[test]
fn a_self_signed_certificate_is_refused_unless_it_is_accepted_and_then_counts_as_unchecked() {
    let mut desk = TlsDesk::with(|_| {}, false);
    let told = desk.refusal(wary());
    assert!(told.contains("accept self-signed certificates"), "{told}");
    let tls = ClientTlsConfig::accepting_self_signed().unwrap();
    assert_eq!(desk.is_checked(tls), Some(false));
}

#[test]
fn a_pinned_key_counts_whoever_has_signed_it_and_another_one_is_refused_with_both() {
    let mut desk = TlsDesk::with(|params| params.not_after = date_time_ymd(2001, 2, 3), false);
    let told = desk.refusal(ClientTlsConfig::pinned([0xab; 32]).unwrap());
    let found: String = desk.key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(told.contains(&format!("has the SHA-256 {found}")), "{told}");
    assert!(told.contains(&"ab".repeat(32)), "{told}");
    let tls = ClientTlsConfig::pinned(desk.key).unwrap();
    assert_eq!(desk.is_checked(tls), Some(true));
}

#[test]
fn a_server_without_tls_is_told_as_such() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, secure("wss://localhost/", server.address, wary()));
    let mut peer = server.accept(&mut desk);
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let error = desk.failure();
    assert_eq!(error.stage, Stage::Tls);
    let told = error.to_string();
    assert!(
        told.contains("is not TLS") && told.contains("ws://"),
        "{told}"
    );
}

#[test]
fn a_server_that_is_silent_or_ends_within_tls_is_told_with_that_stage() {
    let mut desk = Desk::limited(|limits| limits.dial_ms = 50);
    let server = Server::new();
    desk.dial(1, secure("wss://localhost/", server.address, wary()));
    let peer = server.accept(&mut desk);
    let error = desk.failure();
    assert_eq!((error.stage, error.cause), (Stage::Tls, OpeningCause::Late));
    drop(peer);
    desk.dial(2, secure("wss://localhost/", server.address, wary()));
    server.accept(&mut desk).finish();
    let error = desk.failure();
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Tls, OpeningCause::Ended)
    );
}

#[test]
fn tls_goes_through_the_tunnel_of_a_proxy_to_the_name_of_the_url() {
    let mut desk = TlsDesk::new();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut dial = to("wss://localhost/");
    dial.opening.proxy = Some(Proxy::parse(&proxy.local_addr().unwrap().to_string()).unwrap());
    dial.tls = ClientTls::Config(desk.trusting());
    desk.desk.dial(1, dial);
    let server = desk.desk.address;
    let tunnel = std::thread::spawn(move || {
        let (mut client, _) = proxy.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        let mut server = std::net::TcpStream::connect(server).unwrap();
        client.write_all(b"HTTP/1.1 200 Ok\r\n\r\n").unwrap();
        let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut back, &mut forth));
        let _ = std::io::copy(&mut client, &mut server);
        String::from_utf8(asked).unwrap()
    });
    desk.desk.told(1, "opened");
    assert_eq!(desk.desk.event_loop.service.is_peer_checked, Some(true));
    drop(desk);
    let asked = tunnel.join().unwrap();
    assert!(
        asked.starts_with("CONNECT localhost:443 HTTP/1.1\r\n"),
        "{asked}"
    );
}

#[test]
fn a_url_that_asks_for_tls_is_not_dialled_without() {
    let mut desk = Desk::new();
    let (number, role) = (1, Role::Client);
    let call = Call { number, role };
    let refused = desk.event_loop.io.dial(Box::new(to("wss://h/")), call);
    let (why, _) = refused.unwrap_err();
    assert_eq!(why, DialRefused::NoTls);
    assert!(why.to_string().contains("give roots"), "{why}");
}

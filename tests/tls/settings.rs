//! Which clients the settings of TLS let in.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use serde_json::{Value, json};

use super::{Authority, setup};
use crate::support::{Config, DEADLINE, Server};

/// A server with the usual certificate and these settings.
fn server(authority: &Authority, settings: &[(&str, Value)]) -> Server {
    let mut tls = json!({"cert": authority.path("cert.pem"), "key": authority.path("key.pem")});
    for (name, value) in settings {
        tls[*name] = value.clone();
    }
    let config = Config::new().key("tls", tls);
    setup(authority).config(&config).start()
}

/// A client that trusts the authority, shows no certificate and speaks these versions.
fn stranger(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let certificate = CertificateDer::from_pem_file(authority.path("ca.pem"));
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate.expect("our own file"))
        .expect("an authority");
    ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The answer to a request of such a client.
fn asked(server: &Server, config: ClientConfig) -> io::Result<String> {
    let transport = TcpStream::connect(server.address())?;
    transport.set_read_timeout(Some(DEADLINE))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = ClientConnection::new(Arc::new(config), name).expect("a good config");
    let mut connection = StreamOwned::new(tls, transport);
    connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

fn is_served(server: &Server, config: ClientConfig) -> bool {
    asked(server, config).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

#[test]
fn seed_1_16_seed_3_3_only_clients_with_a_certificate_of_the_authority_are_served_where_it_says_so()
{
    let authority = Authority::new();
    let both = [&TLS12, &TLS13];
    let ca = ("client_ca", json!(authority.path("ca.pem")));
    let required = server(&authority, std::slice::from_ref(&ca));
    assert!(is_served(&required, authority.client()));
    assert!(!is_served(&required, stranger(&authority, &both)));
    let optional = server(&authority, &[ca, ("client_cert", json!("optional"))]);
    assert!(is_served(&optional, authority.client()));
    assert!(is_served(&optional, stranger(&authority, &both)));
}

#[test]
fn seed_3_4_no_version_is_spoken_that_is_older_than_the_config_allows() {
    let authority = Authority::new();
    let usual = server(&authority, &[]);
    assert!(is_served(&usual, stranger(&authority, &[&TLS12])));
    let newest = server(&authority, &[("min_version", json!("1.3"))]);
    assert!(!is_served(&newest, stranger(&authority, &[&TLS12])));
    assert!(is_served(&newest, stranger(&authority, &[&TLS13])));
}

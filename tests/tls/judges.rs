//! Certificates of clients, asked for by each vhost as it likes.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, StreamOwned,
    SupportedProtocolVersion,
};
use serde_json::{Value, json};

use super::authority::{Authority, Secured};
use super::setup;
use crate::support::server::output_of;
use crate::support::{Config, DEADLINE, Server, Setup, process::eventually};

/// The certificate of the host, and two authorities that clients may come from.
struct World {
    host: Authority,
    red: Authority,
    blue: Authority,
}

impl World {
    fn new() -> Self {
        let host = Authority::new();
        let names = [
            "localhost",
            "red.example",
            "blue.example",
            "open.example",
            "maybe.example",
        ];
        let (certificate, key) = host.sign_for(&names, 1);
        host.write("key.pem", &key.serialize_pem());
        host.write("cert.pem", &certificate.pem());
        let [red, blue] = [Authority::new(), Authority::new()];
        Self { host, red, blue }
    }

    /// One vhost for those whom `red` has signed, one for those of `blue`, and two that need no certificate.
    fn vhosts(&self) -> Value {
        let vhost = |name: &str, tls: Value| {
            json!({
                "hosts": [format!("{name}.example")],
                "tls": tls,
                "mounts": {"/": {"status": 200, "text": name}},
            })
        };
        let ca = |authority: &Authority| authority.path("ca.pem");
        json!({
            "red": vhost("red", json!({"client_ca": ca(&self.red)})),
            "blue": vhost("blue", json!({"client_ca": [ca(&self.blue)]})),
            "maybe": vhost("maybe", json!({"client_ca": ca(&self.red), "client_cert": "optional"})),
            "open": vhost("open", json!({})),
        })
    }

    fn config(&self, vhosts: Value) -> Config {
        Config::new()
            .key("mounts", json!({"/": {"status": 200, "text": "default"}}))
            .key("vhosts", vhosts)
    }

    fn start(&self) -> Server {
        let config = self.config(self.vhosts());
        setup(&self.host).config(&config).start()
    }

    /// A client that trusts the host and shows a certificate of `signer`.
    fn client(&self, signer: Option<&Authority>) -> Client {
        self.client_of(signer, rustls::ALL_VERSIONS)
    }

    fn client_of(
        &self,
        signer: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Client {
        Client(Arc::new(self.host.client_of(signer, versions)))
    }
}

/// A client that keeps its tickets.
struct Client(Arc<ClientConfig>);

impl Client {
    fn connect(&self, server: &Server, name: &'static str) -> Secured {
        let transport = TcpStream::connect(server.address()).expect("the server accepts");
        let patience = transport.set_read_timeout(Some(DEADLINE));
        patience.expect("a valid time");
        let name = ServerName::try_from(name).expect("a name");
        let tls = ClientConnection::new(Arc::clone(&self.0), name).expect("a good config");
        StreamOwned::new(tls, transport)
    }

    /// What the vhost of this name says, and how the handshake went.
    fn ask(&self, server: &Server, name: &'static str) -> io::Result<(String, HandshakeKind)> {
        let mut connection = self.connect(server, name);
        let (status, body) = get(&mut connection, name)?;
        assert_eq!(status, 200, "{name}: {body}");
        let kind = connection.conn.handshake_kind().expect("it is done");
        // Tickets come behind the handshake; with the answer they are there.
        Ok((body, kind))
    }

    fn says(&self, server: &Server, name: &'static str) -> io::Result<String> {
        self.ask(server, name).map(|(body, _)| body)
    }
}

/// Asks for `host` by a connection that stays open.
fn get(connection: &mut Secured, host: &str) -> io::Result<(u16, String)> {
    write!(connection, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let mut answer = Vec::new();
    let head = loop {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        answer.push(byte[0]);
        if answer.ends_with(b"\r\n\r\n") {
            break String::from_utf8_lossy(&answer).to_ascii_lowercase();
        }
    };
    let length = head.split_once("content-length: ").expect("a length").1;
    let length = length.lines().next().and_then(|length| length.parse().ok());
    let mut body = vec![0; length.expect("a number")];
    connection.read_exact(&mut body)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = String::from_utf8_lossy(&body).trim_end().to_owned();
    Ok((status.expect("a status"), body))
}

#[test]
fn seed_3_3_the_file_of_authorities_says_whose_certificates_clients_may_show() {
    let world = World::new();
    let tls = json!({
        "cert": world.host.path("cert.pem"),
        "key": world.host.path("key.pem"),
        "client_ca": world.red.path("ca.pem"),
    });
    let config = world.config(json!({})).key("tls", tls);
    let server = Setup::new().config(&config).start();
    let said = world.client(Some(&world.red)).says(&server, "localhost");
    assert_eq!(said.expect("it is let in"), "default");
    for signer in [None, Some(&world.blue)] {
        let said = world.client(signer).says(&server, "localhost");
        assert!(said.is_err(), "{said:?}");
    }
}

#[test]
fn seed_3_3_each_vhost_judges_clients_by_its_own_authority() {
    let world = World::new();
    let server = world.start();
    for (signer, allowed) in [
        (
            Some(&world.red),
            &["red.example", "maybe.example", "open.example", "localhost"][..],
        ),
        (
            Some(&world.blue),
            &["blue.example", "open.example", "localhost"],
        ),
        (None, &["maybe.example", "open.example", "localhost"]),
    ] {
        let client = world.client(signer);
        for name in [
            "red.example",
            "blue.example",
            "maybe.example",
            "open.example",
            "localhost",
        ] {
            let said = client.says(&server, name);
            assert_eq!(said.is_ok(), allowed.contains(&name), "{name}: {said:?}");
        }
    }
}

#[test]
fn a_session_that_is_resumed_stays_with_its_vhost_and_is_judged_at_every_other() {
    let world = World::new();
    let server = world.start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = world.host.client_of(Some(&world.red), &[version]);
        config.resumption = Resumption::store(Arc::new(Shameless::new()));
        let client = Client(Arc::new(config));
        for (name, expected) in [
            ("open.example", HandshakeKind::Full),
            ("open.example", HandshakeKind::Resumed),
            // The ticket of another vhost is offered here, even of one that asks for nothing.
            ("red.example", HandshakeKind::Full),
            ("red.example", HandshakeKind::Resumed),
            ("localhost", HandshakeKind::Full),
            ("localhost", HandshakeKind::Resumed),
        ] {
            let (_, kind) = client.ask(&server, name).expect("it is let in");
            assert_eq!(kind, expected, "{version:?} {name}");
        }
        client.ask(&server, "red.example").expect("it is let in");
        let said = client.says(&server, "blue.example");
        assert!(said.is_err(), "{version:?}: {said:?}");
    }
}

/// Offers the ticket that it was given last, whoever gave it.
#[derive(Debug)]
struct Shameless(ClientSessionMemoryCache);

impl Shameless {
    fn new() -> Self {
        Self(ClientSessionMemoryCache::new(8))
    }
}

fn whoever() -> ServerName<'static> {
    ServerName::try_from("whoever").expect("a name")
}

impl ClientSessionStore for Shameless {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(whoever(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&whoever())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(whoever(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&whoever())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&whoever());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(whoever(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&whoever())
    }
}

#[test]
fn tickets_of_those_who_were_judged_by_other_rules_are_worth_nothing() {
    let world = World::new();
    let server = world.start();
    let client = world.client(Some(&world.red));
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (_, kind) = client.ask(&server, "red.example").expect("it is let in");
        assert_eq!(kind, expected);
    }
    let mut vhosts = world.vhosts();
    vhosts["red"]["tls"]["client_ca"] = json!(world.blue.path("ca.pem"));
    let config = world.config(vhosts);
    fs::write(server.config_file(), config.text()).expect("our own file");
    server.signal(Signal::HUP);
    server.await_log(0, |line| line.mentions("the config is applied"));
    let said = client.says(&server, "red.example");
    assert!(said.is_err(), "{said:?}");
}

#[test]
fn a_host_that_names_another_vhost_than_the_handshake_is_misdirected_where_clients_are_judged() {
    let world = World::new();
    let server = world.start();
    let client = world.client(Some(&world.red));
    for (asked, host, status) in [
        ("red.example", "red.example", 200),
        ("open.example", "red.example", 421),
        ("open.example", "blue.example", 421),
        ("open.example", "maybe.example", 421),
        ("red.example", "blue.example", 421),
        ("red.example", "maybe.example", 421),
        ("red.example", "open.example", 421),
        ("red.example", "127.0.0.1", 421),
        ("localhost", "red.example", 421),
        // Where nobody asks, one connection may ask for both.
        ("open.example", "127.0.0.1", 200),
        ("localhost", "open.example", 200),
    ] {
        let mut connection = client.connect(&server, asked);
        let (answered, body) = get(&mut connection, host).expect("an answer");
        assert_eq!(answered, status, "{asked} {host}: {body}");
        // It is one request that is misdirected, and not the connection.
        let (answered, _) = get(&mut connection, asked).expect("an answer");
        assert_eq!(answered, 200, "{asked} after {host}");
    }
}

#[test]
fn an_opening_handshake_cannot_walk_around_the_judge_either() {
    let world = World::new();
    let server = world.start();
    let connection = world.client(None).connect(&server, "open.example");
    let refused = tungstenite::client("ws://red.example/echo", connection).err();
    let refused = refused.expect("no session").to_string();
    assert!(refused.contains("421"), "{refused}");
}

#[test]
fn a_connection_from_before_certificates_were_required_is_misdirected() {
    let world = World::new();
    let server = world.start();
    let client = world.client(None);
    let mut connection = client.connect(&server, "open.example");
    assert_eq!(
        get(&mut connection, "open.example").expect("an answer").0,
        200
    );
    let mut vhosts = world.vhosts();
    vhosts["open"]["tls"]["client_ca"] = json!(world.red.path("ca.pem"));
    let config = world.config(vhosts);
    fs::write(server.config_file(), config.text()).expect("our own file");
    server.signal(Signal::HUP);
    eventually("the request is misdirected", DEADLINE, || {
        get(&mut connection, "open.example").expect("an answer").0 == 421
    });
}

#[test]
fn a_vhost_goes_by_the_rules_at_the_top_unless_it_says_otherwise() {
    let world = World::new();
    let mut vhosts = world.vhosts();
    vhosts["maybe"]["tls"] = json!({"client_cert": "none"});
    vhosts["blue"]["tls"] = json!({"client_cert": "optional"});
    let tls = json!({
        "cert": world.host.path("cert.pem"),
        "key": world.host.path("key.pem"),
        "client_ca": world.red.path("ca.pem"),
    });
    let config = world.config(vhosts).key("tls", tls);
    let server = Setup::new().config(&config).start();
    let client = world.client(None);
    for (name, is_let_in) in [
        ("localhost", false),
        ("open.example", false),
        ("maybe.example", true),
        ("blue.example", true),
    ] {
        let said = client.says(&server, name);
        assert_eq!(said.is_ok(), is_let_in, "{name}: {said:?}");
    }
    let client = world.client(Some(&world.blue));
    let said = client.says(&server, "blue.example");
    assert!(
        said.is_err(),
        "it is judged by the authority at the top: {said:?}"
    );
}

#[test]
fn a_listener_with_one_vhost_judges_as_that_does_whatever_name_is_asked_for() {
    let world = World::new();
    let listen = json!([{"address": "127.0.0.1:0", "vhosts": ["red", "open"]}]);
    let config = world.config(world.vhosts()).key("listen", listen);
    let setup = setup(&world.host).listens_by_config(1).config(&config);
    let server = setup.start();
    let stranger = world.client(None);
    // None of these are here but the last, so the first vhost of the listener is asked for.
    for name in ["localhost", "blue.example", "red.example"] {
        let said = stranger.says(&server, name);
        assert!(said.is_err(), "{name}: {said:?}");
    }
    assert_eq!(
        stranger
            .says(&server, "open.example")
            .expect("it is let in"),
        "open"
    );
    let known = world.client(Some(&world.red));
    assert_eq!(
        known.says(&server, "blue.example").expect("it is let in"),
        "red"
    );
}

#[test]
fn seed_3_9_clients_of_several_authorities_are_accepted_by_files_and_by_a_directory() {
    let world = World::new();
    let directory = world.host.path("authorities");
    fs::create_dir(&directory).expect("our own directory");
    fs::copy(world.red.path("ca.pem"), directory.join("red.crt")).expect("our own files");
    fs::write(directory.join("README"), "no certificate").expect("our own directory");
    let mut vhosts = world.vhosts();
    vhosts["red"]["tls"]["client_ca"] =
        json!([world.red.path("ca.pem"), world.blue.path("ca.pem")]);
    vhosts["blue"]["tls"]["client_ca"] = json!(directory);
    let config = world.config(vhosts);
    let server = setup(&world.host).config(&config).start();
    let [red, blue] = [&world.red, &world.blue].map(|signer| world.client(Some(signer)));
    for client in [&red, &blue] {
        assert_eq!(
            client.says(&server, "red.example").expect("it is let in"),
            "red"
        );
    }
    assert_eq!(
        red.says(&server, "blue.example").expect("it is let in"),
        "blue"
    );
    assert!(blue.says(&server, "blue.example").is_err());
    // Another file in the directory is another authority.
    fs::copy(world.blue.path("ca.pem"), directory.join("blue.pem")).expect("our own files");
    server.signal(Signal::HUP);
    eventually("the other authority is believed", DEADLINE, || {
        blue.says(&server, "blue.example").is_ok()
    });
}

/// What `check` says of a config.
fn refusal(setup: &Setup) -> String {
    let mut command = crate::support::server::hotsocket();
    command
        .arg("check")
        .arg("--config")
        .arg(setup.config_file());
    command.arg("--plugins").arg(setup.plugin_directory());
    let output = output_of(command);
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_listener_without_tls_leads_to_no_vhost_that_requires_certificates() {
    let world = World::new();
    let files = json!({"cert": world.host.path("cert.pem"), "key": world.host.path("key.pem")});
    let plain = json!([{"address": "127.0.0.1:0", "tls": false}]);
    let config = world.config(world.vhosts()).key("tls", files.clone());
    let said = refusal(&Setup::new().config(&config.key("listen", plain)));
    assert!(
        said.contains("leads to the vhost `blue`, which requires"),
        "{said}"
    );
    let plain = json!([{"address": "127.0.0.1:0", "tls": false, "vhosts": ["open", "default"]}]);
    let config = world.config(world.vhosts()).key("tls", files);
    let setup = Setup::new().listens_by_config(1);
    let server = setup.config(&config.key("listen", plain)).start();
    let answer = server.connect().request("GET", "http://red.example/", &[]);
    assert_eq!(answer.body, "open");
}

#[test]
fn a_directory_without_an_authority_is_refused() {
    let world = World::new();
    let directory = world.host.path("authorities");
    fs::create_dir(&directory).expect("our own directory");
    let mut vhosts = world.vhosts();
    vhosts["red"]["tls"]["client_ca"] = json!(directory);
    let output = setup(&world.host).config(&world.config(vhosts)).run();
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the directory has no authority"), "{said}");
}

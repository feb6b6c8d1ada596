//! Certificates by the name that a client asks for (SNI).

use std::fs;
use std::io::{Read, Write};

use rustix::process::Signal;
use serde_json::json;

use super::{Authority, setup};
use crate::support::server::output_of;
use crate::support::{Config, DEADLINE, Server, Setup, process::eventually};

/// Certificates of two vhosts beside that of the default one.
fn config(authority: &Authority) -> Config {
    for name in ["one", "two"] {
        let (certificate, key) = authority.sign_for(&[&format!("{name}.example")], 1);
        authority.write(&format!("{name}.pem"), &certificate.pem());
        authority.write(&format!("{name}.key"), &key.serialize_pem());
    }
    let file = |name: &str| authority.path(name).display().to_string();
    let vhost = |name: &str| {
        json!({
            "hosts": [format!("{name}.example")],
            "tls": {"cert": file(&format!("{name}.pem")), "key": file(&format!("{name}.key"))},
            "mounts": {"/": {"status": 200, "text": name}},
        })
    };
    Config::new()
        .key("mounts", json!({"/": {"status": 200, "text": "default"}}))
        .key("vhosts", json!({"one": vhost("one"), "two": vhost("two")}))
}

/// What the vhost of that name says, to a client that believes no certificate of another name.
fn says(authority: &Authority, server: &Server, name: &'static str) -> std::io::Result<String> {
    let mut connection = authority.connect_to(server.address(), name);
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    Ok(body.to_owned())
}

#[test]
fn each_vhost_shows_its_own_certificate_and_the_usual_one_is_for_all_other_names() {
    let authority = Authority::new();
    let server = setup(&authority).config(&config(&authority)).start();
    assert_eq!(says(&authority, &server, "one.example").unwrap(), "one");
    assert_eq!(says(&authority, &server, "two.example").unwrap(), "two");
    assert_eq!(says(&authority, &server, "localhost").unwrap(), "default");
    // The usual certificate is not for this name, so the client goes no further.
    assert!(says(&authority, &server, "three.example").is_err());
}

#[test]
fn a_changed_certificate_of_a_vhost_is_used_and_the_others_stay() {
    let authority = Authority::new();
    let server = setup(&authority).config(&config(&authority)).start();
    assert_eq!(says(&authority, &server, "one.example").unwrap(), "one");
    let (certificate, key) = authority.sign_for(&["elsewhere.example"], 2);
    authority.write("one.key", &key.serialize_pem());
    authority.write("one.pem", &certificate.pem());
    server.signal(Signal::HUP);
    eventually("the new certificate is shown", DEADLINE, || {
        says(&authority, &server, "one.example").is_err()
    });
    assert_eq!(says(&authority, &server, "two.example").unwrap(), "two");
}

#[test]
fn a_vhost_with_a_certificate_needs_tls_at_the_top() {
    let authority = Authority::new();
    let setup = Setup::new().config(&config(&authority));
    let file = fs::canonicalize(setup.config_file()).expect("it is there");
    let mut command = crate::support::server::hotsocket();
    command.arg("check").arg("--config").arg(file);
    command.arg("--plugins").arg(setup.plugin_directory());
    let output = output_of(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("write `tls` at the top"), "{said}");
}

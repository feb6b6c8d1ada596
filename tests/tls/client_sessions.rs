//! Connections that a plugin opens through TLS, and how it knows the server.

use rcgen::PublicKeyData;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Authority, setup};
use crate::client::Caller;

#[test]
fn seed_3_6_a_server_is_known_by_roots_by_its_key_or_not_at_all_and_the_session_says_so() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign(7);
    authority.write("key.pem", &key.serialize_pem());
    authority.write("cert.pem", &certificate.pem());
    let upstream = setup(&authority).start();
    let sha256 = Sha256::digest(key.subject_public_key_info());
    let pin: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let roots = authority.path("ca.pem").display().to_string();
    let url = format!("wss://localhost:{}/echo", upstream.address().port());
    let mut caller = Caller::start();
    for (tls, is_checked) in [
        (format!("roots:{roots}"), true),
        (format!("pin:{pin}"), true),
        ("self-signed".to_owned(), false),
    ] {
        caller.connect(&json!({"url": url, "tls": tls, "say": ["x"]}));
        caller.expect(&format!("open Client {url} None Some({is_checked}) None"));
        caller.expect("text x");
    }
    let other = "0".repeat(64);
    for (tls, said) in [
        (String::new(), "certificate"),
        (format!("pin:{other}"), &*pin),
    ] {
        caller.connect(&json!({"url": url, "tls": tls}));
        let told = caller.told();
        assert!(told.starts_with("error Tls None 1 false"), "{told}");
        assert!(told.contains(said), "{told}");
    }
    // The same server by a name that its certificate does not have.
    let wrong = url.replace("localhost", "127.0.0.2");
    caller.connect(&json!({"url": wrong, "tls": format!("roots:{roots}")}));
    assert!(caller.told().starts_with("error "));
    caller
        .boss
        .text(&json!({"url": url, "tls": "roots:/nowhere.pem"}).to_string());
    let told = caller.told();
    assert!(
        told.contains("Request") && told.contains("/nowhere.pem"),
        "{told}"
    );
}

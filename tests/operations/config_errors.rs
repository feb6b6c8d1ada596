//! A bad configuration is told with file, line, column, the line itself, and what to write instead.

use crate::support::Setup;
use crate::support::plugins::echo;
use crate::support::server::{hotsocket, output_of};
use crate::support::snapshot::assert_snapshot;

/// What the server says of this file, with its own name for it.
fn told(text: &str) -> String {
    let setup = Setup::new().config_text(text);
    let file = setup.config_file().display().to_string();
    let output = setup.run();
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"", "{output:?}");
    String::from_utf8_lossy(&output.stderr).replace(&file, "FILE")
}

#[test]
fn a_misspelled_key_is_told_with_its_place_and_the_nearest_right_one() {
    let told = told("{\n  // the limits\n  \"limts\": { \"message_bytes\": 1 }\n}\n");
    assert!(told.contains("FILE:3:3"), "{told}");
    assert!(
        told.contains("\"limts\": { \"message_bytes\": 1 }"),
        "{told}"
    );
    assert!(told.contains("`limits`"), "{told}");
}

#[test]
fn a_misspelled_limit_is_told_with_the_nearest_right_one() {
    let told = told("{\n  \"limits\": {\n    \"mesage_bytes\": 1\n  }\n}\n");
    assert!(told.contains("FILE:3:5"), "{told}");
    assert!(told.contains("message_bytes"), "{told}");
}

#[test]
fn what_each_mistake_is_answered_is_what_operators_have_read_before() {
    let mistakes = [
        ("no JSON", "{ \"threads\": }"),
        ("not closed", "{\n  \"threads\": 1\n"),
        ("wrong type", "{\n  \"threads\": \"many\"\n}"),
        ("no threads", "{ \"threads\": 0 }"),
        ("no address", "{ \"listen\": [\"localhost\"] }"),
        ("no port", "{ \"listen\": [\"127.0.0.1:70000\"] }"),
        ("neither place", "{ \"listen\": [{ \"mode\": \"0660\" }] }"),
        (
            "mode in decimal",
            "{ \"listen\": [{ \"unix\": \"a.sock\", \"mode\": 660 }] }",
        ),
        (
            "mode of a port",
            "{ \"listen\": [{ \"address\": \"127.0.0.1:0\", \"mode\": \"0660\" }] }",
        ),
        (
            "unknown owner",
            "{ \"listen\": [{ \"unix\": \"a.sock\", \"owner\": \"no-such-user\" }] }",
        ),
        (
            "keepalive without end",
            "{ \"listen\": [{ \"address\": \"127.0.0.1:0\", \"keepalive_s\": 86400 }] }",
        ),
        (
            "keepalive of a socket file",
            "{ \"listen\": [{ \"unix\": \"a.sock\", \"keepalive_s\": 60 }] }",
        ),
        ("no path", "{ \"listen\": [\"unix:\"] }"),
        (
            "negative limit",
            "{ \"limits\": { \"message_bytes\": -1 } }",
        ),
        (
            "marks crossed",
            "{ \"limits\": { \"low_mark_bytes\": 2000000 } }",
        ),
        ("log level", "{ \"log\": { \"level\": \"loud\" } }"),
        ("twice", "{ \"threads\": 1, \"threads\": 2 }"),
        ("no object", "[]"),
    ];
    let mut all = String::new();
    for (name, text) in mistakes {
        all.push_str(&format!("== {name}\n{}", told(text)));
    }
    assert_snapshot("config_errors.txt", &all);
}

#[test]
fn what_each_mistake_in_http_is_answered_is_what_operators_have_read_before() {
    let mistakes = [
        (
            "final slash",
            "{ \"mounts\": { \"/api/\": { \"protocol\": \"cgi\" } } }",
        ),
        (
            "encoded",
            "{ \"mounts\": { \"/a%20b\": { \"files\": \"www\" } } }",
        ),
        (
            "mounted twice",
            "{ \"mounts\": { \"/\": { \"files\": \"a\" }, \"/\": { \"files\": \"b\" } } }",
        ),
        ("no kind", "{ \"mounts\": { \"/\": {} } }"),
        (
            "misspelled",
            "{ \"mounts\": { \"/\": { \"flies\": \"www\" } } }",
        ),
        (
            "two kinds",
            "{ \"mounts\": { \"/\": { \"files\": \"www\", \"status\": 404 } } }",
        ),
        (
            "redirect status",
            "{ \"mounts\": { \"/\": { \"redirect\": \"https://example.org\", \"status\": 304 } } }",
        ),
        (
            "redirect target",
            "{ \"mounts\": { \"/\": { \"redirect\": \"example.org\" } } }",
        ),
        (
            "redirect loop",
            "{ \"mounts\": { \"/a\": { \"redirect\": \"/a/b\" } } }",
        ),
        (
            "mount status",
            "{ \"mounts\": { \"/\": { \"status\": 99 } } }",
        ),
        (
            "field of the host",
            "{ \"mounts\": { \"/\": { \"status\": 404, \"fields\": { \"Date\": \"today\" } } } }",
        ),
        (
            "error page",
            "{ \"error_pages\": { \"200\": \"ok.html\" } }",
        ),
        ("switch", "{ \"security_headers\": \"yes\" }"),
        ("access log without file", "{ \"access_log\": {} }"),
        (
            "access log format",
            "{ \"access_log\": { \"file\": \"-\", \"format\": \"common\" } }",
        ),
    ];
    let mut all = String::new();
    for (name, text) in mistakes {
        all.push_str(&format!("== {name}\n{}", told(text)));
    }
    assert_snapshot("config_errors_http.txt", &all);
}

#[test]
fn mistakes_about_vhosts_are_told_with_what_to_write() {
    let mistakes = [
        ("no hosts", "{ \"vhosts\": { \"a\": {} } }"),
        (
            "no host",
            "{ \"vhosts\": { \"a\": { \"hosts\": [\"http://a.example\"] } } }",
        ),
        (
            "taken",
            "{ \"vhosts\": { \"a\": { \"hosts\": [\"a.example\"] },\n  \"b\": { \"hosts\": [\"A.example\"] } } }",
        ),
        (
            "default",
            "{ \"vhosts\": { \"default\": { \"hosts\": [\"a.example\"] } } }",
        ),
        (
            "not of a vhost",
            "{ \"vhosts\": { \"a\": { \"hosts\": [\"a.example\"], \"limits\": {} } } }",
        ),
    ];
    let mut all = String::new();
    for (name, text) in mistakes {
        all.push_str(&format!("== {name}\n{}", told(text)));
    }
    assert_snapshot("config_errors_vhosts.txt", &all);
}

#[test]
fn check_tells_of_places_that_http_cannot_use() {
    let setup = Setup::new().plugin(&echo()).config_text(
        "{ \"mounts\": { \"/\": { \"files\": \"www\" }, \"/api\": { \"protocol\": \"ehco\" },
             \"/echo\": { \"protocol\": \"echo\" } }, \"default_http\": \"cgi\",
           \"error_pages\": { \"404\": \"404.html\" }, \"access_log\": { \"file\": \"logs/access.log\" } }",
    );
    let file = setup.config_file();
    let directory = file.parent().expect("a directory").display().to_string();
    let mut command = hotsocket();
    command.args(["check", "--config", &file.display().to_string()]);
    command.args(["--plugins", &setup.plugin_directory().display().to_string()]);
    let output = output_of(command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).replace(&directory, "DIRECTORY");
    assert_snapshot("check_http.txt", &told);
}

#[test]
fn a_config_that_is_not_there_is_told_with_its_path() {
    let setup = Setup::new().arguments(["--config", "/no/such/config.json"]);
    let output = setup.run();
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("/no/such/config.json"), "{told}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn seed_3_11_a_host_that_was_built_without_tls_serves_and_says_so_when_it_is_asked_for_it() {
    crate::support::Server::with([&echo()]).assert_echoes();
    let told = told(r#"{ "tls": { "cert": "cert.pem", "key": "key.pem" } }"#);
    assert!(told.contains("built without TLS"), "{told}");
}

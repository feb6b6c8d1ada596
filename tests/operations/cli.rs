//! The command line.

use std::process::Output;

use crate::support::plugins::{echo, plugin};
use crate::support::server::{hotsocket, output_of};
use crate::support::{Config, Server, Setup};

fn run<const N: usize>(arguments: [&str; N]) -> Output {
    let mut command = hotsocket();
    command.args(arguments);
    output_of(command)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn version_names_the_program_and_its_abi() {
    let output = run(["version"]);
    assert!(output.status.success(), "{output:?}");
    let told = stdout(&output);
    assert!(told.contains(env!("CARGO_PKG_VERSION")), "{told}");
    let abi = format!("{}.{}", hotsocket_abi::ABI_MAJOR, hotsocket_abi::ABI_MINOR);
    assert!(
        told.to_lowercase().contains("abi") && told.contains(&abi),
        "{told}"
    );
}

#[test]
fn an_unknown_flag_is_a_usage_error_on_standard_error() {
    let output = run(["serve", "--prot", "1"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("--prot"), "{output:?}");
}

#[test]
fn inspect_tells_what_a_file_says_of_itself() {
    let file = echo().display().to_string();
    let output = run(["plugin", "inspect", &file]);
    assert!(output.status.success(), "{output:?}");
    let told = stdout(&output);
    assert!(
        told.contains("echo") && told.contains(env!("CARGO_PKG_VERSION")),
        "{told}"
    );
    let output = run(["plugin", "inspect", "--json", &file]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(told.to_string().contains("\"echo\""), "{told}");
}

#[test]
fn seed_9_4_inspect_tells_how_long_the_data_of_a_session_is() {
    let file = plugin("probe").display().to_string();
    let output = run(["plugin", "inspect", "--json", &file]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    // A reference to what sessions share, and a count.
    assert_eq!(told["session_bytes"]["probe"], 16, "{told}");
    let told = stdout(&run(["plugin", "inspect", &file]));
    assert!(told.contains("probe 16 bytes"), "{told}");
}

#[test]
fn inspect_of_what_is_no_plugin_says_what_and_why_and_ends_with_1() {
    for file in [
        env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml",
        "/no/such.so".into(),
    ] {
        let output = run(["plugin", "inspect", &file]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(&file), "{output:?}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn check_accepts_what_serves_and_ends_with_1_for_what_does_not() {
    let setup = Setup::new().plugin(&echo()).config(&Config::new());
    let config = setup.config_file().display().to_string();
    let plugins = setup.plugin_directory().display().to_string();
    let check = ["check", "--config", &config, "--plugins", &plugins];
    let output = run(check);
    assert!(output.status.success(), "{output:?}");

    let bad = setup.plugin_directory().join("bad.so");
    std::fs::write(bad, "no library").expect("ours");
    let output = run(check);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = stdout(&output) + &stderr(&output);
    assert!(told.contains("bad.so"), "{told}");

    std::fs::write(&config, "{ \"limts\": {} }").expect("ours");
    let output = run(check);
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    assert!(stderr(&output).contains("limits"), "{output:?}");
}

#[test]
fn a_second_host_on_the_port_fails_and_takes_no_client() {
    let server = Server::with([&echo()]);
    let address = server.address().to_string();
    let directory = server.directory().join("second");
    std::fs::create_dir(&directory).expect("a fresh directory");
    let control = directory.join("control.sock").display().to_string();
    let plugins = directory.display().to_string();
    let second = [
        "serve",
        "--listen",
        &address,
        "--plugins",
        &plugins,
        "--control",
        &control,
    ];
    let output = run(second);
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    let told = stderr(&output);
    assert!(told.contains(&address), "{told}");
    assert!(told.to_lowercase().contains("in use"), "{told}");
    for _ in 0..10 {
        server.assert_echoes();
    }
}

#[test]
fn seed_2_1_several_listeners_all_serve() {
    let server = Setup::new().plugin(&echo()).another_listener().start();
    let addresses = server.addresses();
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        let mut peer = crate::support::RawPeer::open(*address, "/echo");
        assert_eq!(peer.ask("hello"), "hello");
    }
}

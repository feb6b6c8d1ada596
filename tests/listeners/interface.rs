//! Network interfaces by name: the one that every machine has is the loopback interface.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::plugins::echo;
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

fn config(listen: Value) -> Config {
    Config::new().key("listen", listen)
}

/// How many addresses the loopback interface has, as the kernel tells it: 127.0.0.1, and ::1 where there is IPv6.
fn addresses_of_lo() -> usize {
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let of_lo = v6.lines().filter(|line| line.ends_with(" lo"));
    1 + of_lo.count()
}

fn assert_echoes(address: SocketAddr) {
    assert_eq!(RawPeer::open(address, "/echo").ask("hello"), "hello");
}

fn assert_on_lo(server: &Server) {
    assert!(server.address().ip().is_loopback());
    assert!(server.addresses().iter().any(SocketAddr::is_ipv4));
    for address in server.addresses() {
        assert_echoes(*address);
    }
    let told = server.output().since(0);
    assert_eq!(told.len(), addresses_of_lo(), "{told:?}");
}

#[test]
fn seed_2_3_a_listener_is_bound_to_an_interface_by_name() {
    let listen = json!([{"interface": "lo", "port": 0, "keepalive_s": 5}]);
    let server = Setup::new()
        .plugin(&echo())
        .config(&config(listen))
        .listens_by_config(addresses_of_lo())
        .start();
    assert_on_lo(&server);
}

#[test]
fn a_flag_names_an_interface_too() {
    let server = Setup::new()
        .plugin(&echo())
        .listens_by_config(addresses_of_lo())
        .arguments(["--listen", "interface:lo:0"])
        .start();
    assert_on_lo(&server);
}

#[test]
fn a_reload_looks_again_and_keeps_the_addresses_that_the_interface_still_has() {
    let server = Setup::new()
        .plugin(&echo())
        .config(&config(json!(["127.0.0.1:0"])))
        .listens_by_config(1)
        .start();
    let mut session = server.open("/echo");
    let port = server.address().port();
    let both = json!(["127.0.0.2:0", {"interface": "lo", "port": port}]);
    for _ in 0..2 {
        fs::write(server.config_file(), config(both.clone()).text()).expect("ours");
        let mark = server.log().mark();
        server.signal(Signal::HUP);
        server.await_log(mark, |line| line.mentions("the config is applied"));
    }
    // One that was there, one for 127.0.0.2, and ::1 where it is; nothing for the second reload.
    let last = addresses_of_lo();
    let told = server
        .output()
        .wait_after(last, DEADLINE, |line| Some(line.to_owned()));
    assert!(told.is_some());
    assert_eq!(server.output().since(0).len(), 1 + last);
    assert_eq!(session.ask("still here"), "still here");
    assert_echoes(server.address());
}

#[test]
fn an_address_that_is_written_beside_its_interface_goes_by_its_own_entry() {
    let server = Setup::new()
        .plugin(&echo())
        .config(&config(json!(["127.0.0.1:0"])))
        .listens_by_config(1)
        .start();
    let mark = server.log().mark();
    let both =
        json!([server.address().to_string(), {"interface": "lo", "port": server.address().port()}]);
    fs::write(server.config_file(), config(both).text()).expect("ours");
    server.signal(Signal::HUP);
    server.await_log(mark, |line| line.mentions("the config is applied"));
    assert_echoes(server.address());
}

#[test]
fn an_interface_that_is_not_there_is_told_with_those_that_are() {
    let output = Setup::new()
        .listens_by_config(0)
        .arguments(["--listen", "interface:nothing7:80"])
        .run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = "cannot listen on interface:nothing7:80; this machine has no network interface of that name; it has";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("lo"), "{said}");
}

#[test]
fn an_interface_that_is_written_wrongly_is_refused_with_the_mend() {
    for (entry, mend) in [
        (json!({"interface": "lo"}), "add \"port\": 7681"),
        (
            json!({"interface": "lo", "port": 65536}),
            "write a number from 0 to 65535",
        ),
        (
            json!({"interface": "lo", "port": 0, "address": "127.0.0.1:0"}),
            "{\"interface\": \"eth0\", \"port\": 7681}",
        ),
        (
            json!({"address": "127.0.0.1:0", "port": 1}),
            "write it behind the address",
        ),
        (json!({"interface": "", "port": 1}), "`interface:eth0:7681`"),
        (json!("interface:lo"), "`interface:eth0:7681`"),
    ] {
        let output = Setup::new()
            .listens_by_config(0)
            .config(&config(json!([entry])))
            .run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(mend), "{entry}: {said}");
    }
}

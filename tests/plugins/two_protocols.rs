//! One file with several protocols.

use crate::support::Server;
use crate::support::plugins::plugin;

#[test]
fn seed_9_1_seed_9_5_each_protocol_of_a_file_is_served_at_its_path_with_its_id() {
    let server = Server::with([&plugin("two_protocols")]);
    assert_eq!(server.open("/first").ask("who?"), "first 11");
    assert_eq!(server.open("/second").ask("who?"), "second 22");
}

#[test]
fn inspect_names_both_without_running_the_file() {
    let mut command = crate::support::server::hotsocket();
    command.args(["plugin", "inspect", "--json"]);
    command.arg(plugin("two_protocols"));
    let output = crate::support::server::output_of(command);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("first") && told.contains("second"), "{told}");
}

//! What the tests of this package share.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use hotsocket_plugin::testing::{TestExchange, TestHost, TestRequest};

/// The scripts of these tests. They are files of the source and not written by a test: a file that somebody has open
/// for writing cannot be run.
pub(crate) const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");

/// A host with these scripts, and these options beside: JSON members, each with a comma before it.
pub(crate) fn host(more: &str) -> TestHost {
    let host = TestHost::new(cgi::plugin());
    let options = format!("{{\"directory\": {SCRIPTS:?}{more}}}");
    host.configure("cgi", &options).expect("it is right");
    host
}

/// Asks for a script.
pub(crate) fn get(host: &TestHost, script: &str) -> TestExchange {
    host.request("cgi", at(TestRequest::get(&format!("/cgi-bin/{script}"))))
}

/// A request below the mountpoint.
pub(crate) fn at(request: TestRequest) -> TestRequest {
    request.mounted_at("/cgi-bin")
}

/// Lets the runner and its programs, which do not wait for us, do their part.
pub(crate) fn wait(host: &TestHost, what: &str, mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_done() {
        assert!(Instant::now() < deadline, "{what} has not happened");
        thread::sleep(Duration::from_millis(1));
        host.turn();
    }
}

/// The status of a whole answer.
pub(crate) fn answered(host: &TestHost, exchange: &TestExchange) -> u16 {
    wait(host, "an answer", || exchange.is_finished());
    exchange.status().expect("it is answered")
}

/// The processes whose numbers a script has written there, once it has.
pub(crate) fn processes(host: &TestHost, pids: &std::path::Path) -> Vec<u32> {
    let read = || fs::read_to_string(pids).unwrap_or_default();
    wait(host, "a note of the processes", || read().ends_with('\n'));
    let read = read();
    read.split_whitespace()
        .map(|pid| pid.parse().expect("a number"))
        .collect()
}

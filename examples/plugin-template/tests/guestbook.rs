//! The plugin as a host drives it, without a server.

use hotsocket_plugin::{
    CloseCode,
    testing::{Outgoing, TestHost},
};

#[test]
fn the_next_guest_reads_what_the_last_ones_wrote() {
    let host = TestHost::new(guestbook::plugin());
    host.configure("guestbook", r#"{"entries": 2}"#)
        .expect("the option is right");
    let first = host.open("guestbook");
    for entry in ["one", "two", "three"] {
        first.receive(entry);
    }
    assert_eq!(first.sent(), ["thank you"; 3].map(Outgoing::text));
    let next = host.open("guestbook");
    assert_eq!(next.sent(), ["two", "three"].map(Outgoing::text));
}

#[test]
fn binary_is_no_entry() {
    let host = TestHost::new(guestbook::plugin());
    let guest = host.open("guestbook");
    guest.receive(b"\x00");
    let ending = guest.ending().expect("it is closed");
    assert_eq!(ending.code, CloseCode::UNSUPPORTED);
}

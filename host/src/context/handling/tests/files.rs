//! Answers out of files, in memory or not.

use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::*;

/// The next thing that the service thread is told.
fn told(bench: &Bench) -> Command {
    let (began, mut commands) = (Instant::now(), Vec::new());
    while commands.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        bench.hub.mailbox(0).take(&mut commands);
        std::thread::yield_now();
    }
    commands.remove(0)
}

#[test]
fn after_a_panic_in_sent_no_end_is_told() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "file /no/such/file");
    bench.handler.order("sent", "panic");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "HTTP/1.1 404 ");
    bench.until("the end", |h| h.has("destroy"));
    let noted = bench.handler.noted();
    assert_eq!(noted[noted.len() - 2..], ["sent Missing", "destroy"]);
}

#[test]
fn an_answer_that_takes_the_disk_is_made_by_another_thread_and_given_if_none_was_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cold.txt");
    std::fs::write(&file, "from disk").unwrap();
    for is_late in [false, true] {
        let mut bench = Bench::pieces();
        bench.handler.order("notify", "respond at once");
        let mut peer = bench.ask(GET);
        bench.until("an exchange", |h| h.has("open 1 GET"));
        let id = bench.event_loop.io.ids()[0];
        if is_late {
            let notify = Operation::Notify(b""[..].into());
            bench.hub.post_exchange(id, 1, notify).unwrap();
            bench.hear(&mut peer, "at once");
        }
        let path = file.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let taken = bench.event_loop.service.desk.answer((id, 1), move || {
            let name = std::thread::current().name().map(str::to_owned);
            tell.send(name).unwrap();
            answer_path(&path, &Conditions::default(), Fields::new(), Reach::Disk)
        });
        assert!(taken);
        if is_late {
            let name = told.recv().unwrap();
            assert_eq!(name.as_deref(), Some("files-0"));
            turn_for(&mut bench.event_loop, 20);
            assert!(!heard(&peer).contains("from disk"));
        } else {
            bench.hear(&mut peer, "from disk");
            bench.until("its end", |h| h.has("sent Done"));
        }
    }
}

#[test]
fn a_stretch_of_a_file_that_is_cold_is_read_by_another_thread_and_then_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cold");
    std::fs::write(&path, "0123456789").unwrap();
    let file = Arc::new(std::fs::File::open(&path).unwrap());
    let mut bench = Bench::pieces();
    let peer = bench.ask(GET);
    bench.until("an exchange", |h| h.has("open 1 GET"));
    let id = bench.event_loop.io.ids()[0];
    // The kernel of the test keeps what was just written: the command that comes back is looked at.
    bench.event_loop.service.desk.warm((id, 1), &file, 0..10);
    let told = told(&bench);
    assert!(matches!(told, Command::Warmed(at, 1, Ok(())) if at == id));
    let gone = Arc::new(std::fs::File::open(directory.path()).unwrap());
    bench.event_loop.service.desk.warm((id, 1), &gone, 0..10);
    let unread = self::told(&bench);
    assert!(matches!(unread, Command::Warmed(_, 1, Err(Errno::ISDIR))));
    // One that cannot be read cuts the exchange off.
    bench.hub.mailbox(0).post_always(unread);
    bench.until("the end", |h| h.has("destroy"));
    drop(peer);
}

#[test]
fn a_file_is_sent_and_that_is_told_when_it_has_left() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.txt");
    let text = "0123456789".repeat(300_000);
    std::fs::write(&file, &text).unwrap();
    let mut bench = Bench::pieces();
    let order = format!("field X-Own:1;file {}", file.display());
    bench.handler.order("open", &order);
    let mut peer = bench.ask(
        "GET /test HTTP/1.1\r\nHost: h\r\n\r\n\
         GET /test HTTP/1.1\r\nHost: h\r\nRange: bytes=-5\r\n\r\n",
    );
    bench.hear(
        &mut peer,
        "Content-Range: bytes 2999995-2999999/3000000\r\n",
    );
    bench.hear(&mut peer, "56789");
    let answer = heard(&peer);
    assert!(answer.contains("X-Own: 1\r\n") && answer.contains("Content-Type: text/plain"));
    assert!(answer.contains(&text));
    bench.until("both", |h| h.has("end Done 206 5 "));
    let noted = bench.handler.noted();
    let at = noted.iter().position(|line| line == "sent Done").unwrap();
    assert_eq!(noted[at + 1..at + 3], ["end Done 200 3000000 ", "destroy"]);
}

#[test]
fn a_peer_that_leaves_within_a_file_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large");
    std::fs::write(&file, vec![7; 30 << 20]).unwrap();
    let mut bench = Bench::pieces();
    bench
        .handler
        .order("open", &format!("file {}", file.display()));
    let mut peer = bench.ask(GET);
    until(&mut bench.event_loop, "a part", |_| {
        peer.read_some(10_000);
        peer.heard.len() > 100_000
    });
    peer.reset();
    bench.until("the end", |h| h.has("destroy"));
    let noted = bench.handler.noted();
    assert!(noted.contains(&"sent Failed".into()), "{noted:?}");
    assert!(noted.iter().any(|line| line.starts_with("end Peer 200 ")));
}

//! How exchanges end: by a fault, by their handler, by a newer version.

use super::*;

#[test]
fn less_than_was_announced_cuts_the_exchange_off() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "start 10;send 123;finish");
    let mut peer = bench.ask(GET);
    assert!(bench.hear_all(&mut peer).ends_with("\r\n\r\n123"));
    bench.until("the end", |h| {
        h.has("end Handler 200 3 less content than announced")
    });
}

#[test]
fn a_hook_that_fails_is_500_before_an_answer_and_a_cut_after_it() {
    for hook in ["open", "body", "last", "writable", "timer", "notify"] {
        for how in ["fail", "panic"] {
            for begun in ["", "start 9;send 1;"] {
                let mut bench = Bench::pieces();
                let orders = format!("{begun}writable;timer;post x");
                match hook {
                    "open" => bench.handler.order("open", &format!("{begun}{how}")),
                    "body" | "last" => {
                        bench.handler.order("open", begun.trim_end_matches(';'));
                        bench.handler.order(hook, how);
                    }
                    _ => {
                        bench.handler.order("open", &orders);
                        bench.handler.order(hook, how);
                    }
                }
                if begun.is_empty() && hook.len() == 4 && hook != "open" {
                    bench.handler.orders.lock().unwrap().remove("open");
                }
                let mut peer = bench.ask(&post("12345"));
                let case = format!("{hook} {how} {begun}");
                if begun.is_empty() {
                    bench.hear(&mut peer, "HTTP/1.1 500 ");
                } else {
                    let answer = bench.hear_all(&mut peer);
                    assert!(answer.ends_with("\r\n\r\n1"), "{case}: {answer}");
                }
                drop(peer);
                let opened = hook != "open";
                if opened {
                    bench.until(&case, |h| h.has("destroy"));
                }
                until(&mut bench.event_loop, &case, |l| l.io.connections() == 0);
                let noted = bench.handler.noted();
                let count = |what: &str| noted.iter().filter(|line| line.starts_with(what)).count();
                let ends = usize::from(opened && how == "fail");
                assert_eq!(
                    (count("end Handler"), count("end"), count("destroy")),
                    (ends, ends, usize::from(opened)),
                    "{case}: {noted:?}"
                );
            }
        }
    }
}

#[test]
fn an_exchange_that_is_aborted_gives_no_further_byte() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "start;send x;timer");
    bench.handler.order("timer", "abort;send y");
    let mut peer = bench.ask(GET);
    let answer = bench.hear_all(&mut peer);
    assert!(answer.ends_with("\r\n\r\n1\r\nx\r\n"), "{answer}");
    bench.until("the end", |h| {
        h.has("end Handler 200 1 the handler cut it off")
    });
    assert!(bench.handler.has("send: Closed"));
}

#[test]
fn a_replaced_handler_lives_until_its_last_exchange_has_ended() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "start;send old");
    bench.handler.order("notify", "send still old;finish");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "old");
    let id = bench.event_loop.io.ids()[0];
    let newer = obedient(&bench.hub, 2, None);
    newer.order("open", "respond new");
    let installed = Command::Install(Arc::new(Vhosts::only(Arc::new(routes(2, &newer)))));
    bench.hub.tell_all(&installed);
    let mut other = bench.ask(GET);
    bench.hear(&mut other, "new");
    assert!(!bench.handler.has("thread-destroy"));
    let notify = Operation::Notify(b""[..].into());
    bench.hub.post_exchange(id, 1, notify).unwrap();
    bench.hear(&mut peer, "still old\r\n0\r\n\r\n");
    bench.until("its end", |h| h.has("thread-destroy"));
    // The same connection has the new one from now on.
    peer.send(GET.as_bytes());
    bench.hear(&mut peer, "new");
}

#[test]
fn a_drain_ends_exchanges_that_go_on_and_leaves_others_alone() {
    for (open, heard) in [
        ("field X:y", "HTTP/1.1 503 "),
        ("start 9;send abc", "\r\n\r\nabc"),
    ] {
        let mut bench = Bench::pieces();
        bench.handler.order("open", open);
        let mut peer = bench.ask(GET);
        bench.until("an exchange", |h| h.has("open 1 GET"));
        let drain = |keys: &[u64]| Command::DrainInstances(keys.into());
        bench.hub.tell_all(&drain(&[2]));
        turn_for(&mut bench.event_loop, 10);
        assert!(!bench.handler.has("destroy"));
        bench.hub.tell_all(&drain(&[1]));
        let answer = bench.hear_all(&mut peer);
        assert!(answer.contains(heard), "{answer}");
        bench.until("the end", |h| {
            let noted = h.noted();
            noted
                .iter()
                .any(|line| line.starts_with("end Host ") && line.ends_with("was replaced"))
        });
    }
}

#[test]
fn who_does_not_answer_in_time_is_answered_for_whatever_its_timers_do() {
    let mut bench = Bench::new(None, |limits| limits.answer_ms = 100);
    bench.handler.order("open", "timer");
    bench.handler.order("timer", "timer");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "HTTP/1.1 504 ");
    bench.until("the end", |h| {
        h.has("end Host 504 34 no answer within limits.answer_ms")
    });
}

#[test]
fn an_answer_that_a_timer_has_begun_may_take_longer_than_its_beginning_could() {
    let mut bench = Bench::new(None, |limits| limits.answer_ms = 100);
    bench.handler.order("open", "timer");
    bench.handler.order("timer", "start;send begun");
    bench.handler.order("notify", "send ended;finish");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "begun");
    turn_for(&mut bench.event_loop, 200);
    let id = bench.event_loop.io.ids()[0];
    let notify = Operation::Notify(b""[..].into());
    bench.hub.post_exchange(id, 1, notify).unwrap();
    bench.hear(&mut peer, "ended\r\n0\r\n\r\n");
}

//! Threads that post, one that reads, and one that closes. A failure prints the schedule, which `shuttle::replay` runs again.

use hotsocket_shuttle::{
    mailbox::{Mailbox, Weight},
    net::waker::Waker,
};
use shuttle::{check_pct, check_random, sync::Arc, thread};

const ITERATIONS: usize = 2_000;

struct Parcel(u64);

impl Weight for Parcel {
    fn bytes(&self) -> u64 {
        1
    }
}

/// In every order that is tried.
fn always(test: fn()) {
    check_random(test, ITERATIONS);
    check_pct(test, ITERATIONS, 3);
}

#[test]
fn a_reader_that_waits_for_wakes_gets_every_command_once_and_those_of_a_thread_in_its_order() {
    always(|| {
        let waker = Waker::default();
        let mailbox = Arc::new(Mailbox::new(waker.clone(), 100, 100));
        let posters = [0, 10].map(|first| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                for number in first..first + 3 {
                    mailbox.post(Parcel(number)).unwrap();
                }
            })
        });
        let (mut got, mut taken) = (Vec::new(), Vec::new());
        while got.len() < 6 {
            waker.wait();
            mailbox.take(&mut taken);
            got.extend(taken.drain(..).map(|Parcel(number)| number));
        }
        for poster in posters {
            poster.join().unwrap();
        }
        for first in [0, 10] {
            let of_thread = got
                .iter()
                .copied()
                .filter(|n| (first..first + 3).contains(n));
            assert!(of_thread.eq(first..first + 3), "{got:?}");
        }
    });
}

#[test]
fn a_bound_holds_whoever_posts_at_once() {
    always(|| {
        let mailbox = Arc::new(Mailbox::new(Waker::default(), 2, 100));
        let posters = [0, 1, 2].map(|number| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.post(Parcel(number)).is_ok())
        });
        let posted = posters.map(|poster| poster.join().unwrap());
        assert_eq!(posted.iter().filter(|is_posted| **is_posted).count(), 2);
    });
}

#[test]
fn nothing_is_left_in_a_mailbox_that_was_closed() {
    always(|| {
        let mailbox = Arc::new(Mailbox::new(Waker::default(), 100, 100));
        let held = Arc::new(());
        struct Held(#[expect(dead_code, reason = "it is counted")] Arc<()>);
        impl Weight for Held {
            fn bytes(&self) -> u64 {
                0
            }
        }
        let posters = [(); 2].map(|()| {
            let (mailbox, held) = (Arc::clone(&mailbox), Arc::clone(&held));
            thread::spawn(move || mailbox.post_always(Held(held)))
        });
        mailbox.close();
        for poster in posters {
            poster.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

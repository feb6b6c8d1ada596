//! The thread that writes: what waits leaves with one write, and what could not be written is told to the owner.

use std::{
    io::ErrorKind,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
    time::{Duration, Instant},
};

use super::{Order, Shared, TellTrouble, Trouble, place::Place};

/// A batch is written when it has so many bytes, or when nothing waits any more.
const BATCH_BYTES: usize = 64 << 10;

/// Trouble is told so often, or it would fill where it is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    place: Place,
    orders: Receiver<Order>,
    shared: Arc<Shared>,
    batch: Vec<u8>,
    /// How many lines `batch` has.
    lines: u64,
    /// The last write ended within a line.
    is_mid_line: bool,
    /// Why the file could not be written or opened anew, until that was told.
    trouble: Option<String>,
    told: Option<Instant>,
    tell: TellTrouble,
}

impl Writer {
    pub(crate) fn new(
        place: Place,
        orders: Receiver<Order>,
        shared: Arc<Shared>,
        tell: TellTrouble,
    ) -> Self {
        Self {
            place,
            orders,
            shared,
            batch: Vec::with_capacity(BATCH_BYTES),
            lines: 0,
            is_mid_line: false,
            trouble: None,
            told: None,
            tell,
        }
    }

    /// Writes until the log ends.
    pub(crate) fn run(mut self) {
        while !self.shared.ending.load(Ordering::SeqCst) {
            if let Some(order) = self.next_order() {
                self.take(order);
            }
            self.gather();
            self.flush();
            self.tell_trouble(Instant::now());
        }
        // What was told before the end is in the queue.
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
            self.gather();
            self.flush();
        }
        self.told = None;
        self.tell_trouble(Instant::now());
    }

    /// Sleeps until there is something to do; `None` when trouble is to be told.
    fn next_order(&self) -> Option<Order> {
        // This writer holds the queue open itself, so it never ends.
        if !self.has_trouble() {
            return self.orders.recv().ok();
        }
        let since = self.told.map_or(TELL_EVERY, |told| told.elapsed());
        self.orders
            .recv_timeout(TELL_EVERY.saturating_sub(since))
            .ok()
    }

    pub(crate) fn take(&mut self, order: Order) {
        match order {
            Order::Line(line) => {
                self.batch.extend_from_slice(&line);
                self.lines += 1;
            }
            Order::Look => {}
        }
    }

    /// What waits already, up to a batch.
    fn gather(&mut self) {
        while self.batch.len() < BATCH_BYTES
            && let Ok(order) = self.orders.try_recv()
        {
            self.take(order);
        }
    }

    pub(crate) fn flush(&mut self) {
        let is_asked = self.shared.reopen.swap(false, Ordering::SeqCst);
        if (is_asked || self.lines > 0) && self.place.is_moved() {
            match self.place.reopen() {
                Ok(()) => self.is_mid_line = false,
                // Until it can be opened the lines go where they went before.
                Err(error) => self.trouble = Some(error.to_string()),
            }
        }
        if self.lines == 0 {
            return;
        }
        if self.is_mid_line {
            // The cut line ends here. It was counted as lost.
            self.batch.insert(0, b'\n');
        }
        self.write();
        self.batch.clear();
        self.lines = 0;
    }

    fn write(&mut self) {
        let mut written = 0;
        while written < self.batch.len() {
            match self.place.write(&self.batch[written..]) {
                Ok(0) => self.trouble = Some("nothing could be written".to_owned()),
                Ok(count) => {
                    written += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => self.trouble = Some(error.to_string()),
            }
            break;
        }
        let (whole, cut) = self.batch.split_at(written);
        self.is_mid_line = match whole.last() {
            Some(last) => *last != b'\n',
            None => self.is_mid_line,
        };
        let ends = cut.iter().filter(|byte| **byte == b'\n').count() as u64;
        // Of a batch that begins with the end of a cut line, and did not go at all, that end is none of its lines.
        let lost = ends.min(self.lines);
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
    }

    fn has_trouble(&self) -> bool {
        self.trouble.is_some() || self.shared.lost.load(Ordering::Relaxed) > 0
    }

    /// Tells what is missing, not more often than [`TELL_EVERY`].
    pub(crate) fn tell_trouble(&mut self, now: Instant) {
        let is_early = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY);
        if !self.has_trouble() || is_early {
            return;
        }
        self.told = Some(now);
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        let error = self.trouble.take();
        (self.tell)(Trouble { error, lost });
    }
}

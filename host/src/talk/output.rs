//! Standard output, written by a thread of its own, so that one who does not read holds back the server and not the pings.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use hotsocket_plugin::{CloseCode, Session, SessionHandle};

/// From so many bytes on that wait to be written, nothing is read from the server.
const HIGH_MARK_BYTES: usize = 1 << 20;

/// Where messages go. Dropped, it ends the thread when all is written.
pub(super) struct Output {
    queue: Sender<(Vec<u8>, SessionHandle)>,
    waiting: Arc<AtomicUsize>,
}

/// The thread.
pub(super) struct Writer(JoinHandle<()>);

impl Output {
    /// # Errors
    ///
    /// When the system has no thread for it.
    pub(super) fn open() -> io::Result<(Self, Writer)> {
        let (queue, messages) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let thread = thread::Builder::new().name("output".to_owned());
        let writer = thread.spawn(move || write_all(&messages, &counted))?;
        Ok((Self { queue, waiting }, Writer(writer)))
    }

    /// Takes a message. The session is paused while too much waits.
    pub(super) fn write(&self, session: &Session, message: Vec<u8>) {
        let length = message.len();
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        if before <= HIGH_MARK_BYTES && before + length > HIGH_MARK_BYTES {
            // The thread takes it back behind this hook, however fast it is.
            session.pause();
        }
        // Fails only when the output is closed, which has closed the session.
        let _ = self.queue.send((message, session.handle()));
    }
}

impl Writer {
    /// Waits until all is written.
    pub(super) fn finish(self) {
        // One that has panicked has written what it could.
        let _ = self.0.join();
    }
}

fn write_all(messages: &Receiver<(Vec<u8>, SessionHandle)>, waiting: &AtomicUsize) {
    for (message, session) in messages {
        let mut output = io::stdout().lock();
        if output
            .write_all(&message)
            .and_then(|()| output.flush())
            .is_err()
        {
            // Who closed our output does not want to know more. A session that has ended needs no close.
            let _ = session.close(CloseCode::NORMAL, "");
            return;
        }
        let before = waiting.fetch_sub(message.len(), Ordering::Relaxed);
        if before > HIGH_MARK_BYTES && before - message.len() <= HIGH_MARK_BYTES {
            // One that has ended reads no more.
            let _ = session.resume();
        }
    }
}

//! The thread that reads forms and writes their files, so that no service thread waits for a disk.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hotsocket_plugin::PluginError;

use crate::{form::Failure, upload::Upload};

/// When an exchange is notified again whose service thread had no room for it.
const TELL_AGAIN: Duration = Duration::from_millis(10);

/// The writer, as an instance owns it. Dropped, it waits for its thread; that ends with the last exchange.
pub(crate) struct Writer {
    /// An upload is in it once at most, and has a bound of its own.
    queue: Option<Sender<Arc<Upload>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(crate) fn start() -> Result<Self, PluginError> {
        let (queue, uploads) = mpsc::channel();
        let thread = thread::Builder::new().name("post-form".to_owned());
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread.spawn(move || go_on(&uploads))?),
        })
    }

    /// Where uploads go; none while the writer ends.
    pub(crate) fn queue(&self) -> Option<Sender<Arc<Upload>>> {
        self.queue.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        // A panic of it is in the log already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn go_on(uploads: &Receiver<Arc<Upload>>) {
    // Those that could not be told yet.
    let mut untold: Vec<Arc<Upload>> = Vec::new();
    loop {
        let next = if untold.is_empty() {
            uploads.recv().map_err(RecvTimeoutError::from)
        } else {
            uploads.recv_timeout(TELL_AGAIN)
        };
        match next {
            Ok(upload) if work(&upload) => untold.push(upload),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        untold.retain(|upload| !upload.tell());
    }
}

/// True when its exchange has to be told. A form that the parser stumbles over takes no other with it.
fn work(upload: &Upload) -> bool {
    catch_unwind(AssertUnwindSafe(|| upload.work())).unwrap_or_else(|_| {
        upload.fail(Failure {
            status: 500,
            why: "this form cannot be read; please report it with its body".to_owned(),
        });
        true
    })
}

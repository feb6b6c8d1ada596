//! `net/mailbox.rs` of the host, file and all, over the locks and threads of shuttle, which decides who goes next.
//!
//! The file says `std::sync`; here `std` is this crate, whose `sync` is that of shuttle. So nothing in the host knows of it.

extern crate self as std;

pub mod sync {
    //! What the file takes of `std::sync`.
    pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
}

pub mod mem {
    //! What it takes of `std::mem`.
    pub use core::mem::{swap, take};
}

// Its own tests are for the real thing.
#[cfg(not(test))]
#[path = "../../../host/src/net/mailbox.rs"]
pub mod mailbox;

pub mod net {
    //! The floor that it lies on.

    pub mod waker {
        //! A waker that a thread of shuttle can wait for.

        use core::fmt;

        use crate::sync::{Arc, Condvar, Mutex, PoisonError};

        /// Readable from a wake on until it is seen.
        #[derive(Clone, Debug, Default)]
        pub struct Waker(Arc<(Mutex<bool>, Condvar)>);

        /// There is none.
        #[derive(Debug)]
        pub enum Never {}

        impl fmt::Display for Never {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {}
            }
        }

        impl Waker {
            /// Wakes.
            ///
            /// # Errors
            ///
            /// Never.
            pub fn wake(&self) -> Result<(), Never> {
                *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.0.1.notify_one();
                Ok(())
            }

            /// Waits for a wake, as a poll does. Without one it is a deadlock, which shuttle tells.
            pub fn wait(&self) {
                let mut is_set = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
                while !*is_set {
                    is_set = self
                        .0
                        .1
                        .wait(is_set)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                *is_set = false;
            }
        }
    }
}

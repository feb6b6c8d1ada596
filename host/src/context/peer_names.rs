//! Names of peers, looked up off the service threads: a few threads that wait for the resolver, and what they found.
//!
//! Only where the config asks for it. A connection asks with each request; what is not known yet is told to it later, as
//! a [`Command`](crate::context::hub::Command), and to no hook.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::IpAddr,
    panic::catch_unwind,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{limits::Limits, net::token::ConnectionId};

/// Finds the name of an address; may take long.
pub(crate) type Resolve = fn(IpAddr) -> Option<String>;
/// Tells a connection the name of its peer.
type Tell = Box<dyn Fn(ConnectionId, IpAddr, Arc<str>) + Send + Sync>;

/// The names of the peers of a host.
pub struct PeerNames {
    desk: Arc<Desk>,
}

/// What the threads share.
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    bounds: Bounds,
    resolve: Resolve,
    tell: Tell,
}

/// See [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    known: usize,
    waiting: usize,
    threads: usize,
    lasts: Duration,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            known: count(limits.peer_names_count),
            waiting: count(limits.peer_name_jobs_count),
            threads: count(limits.peer_name_threads_count).max(1),
            lasts: Duration::from_millis(limits.peer_name_ms),
        }
    }
}

#[derive(Default)]
struct State {
    /// What was found, and when. None: there is no name.
    known: HashMap<IpAddr, (Option<Arc<str>>, Instant)>,
    /// The addresses that are known, the oldest first. All last equally long, so those that are over stand in front.
    by_age: VecDeque<IpAddr>,
    /// Who waits for the name of an address.
    waiting: HashMap<IpAddr, Vec<ConnectionId>>,
    waiting_count: usize,
    /// Addresses that no thread has taken yet.
    jobs: VecDeque<IpAddr>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    is_over: bool,
}

impl PeerNames {
    /// No name and no thread yet.
    pub(crate) fn new(
        bounds: Bounds,
        resolve: Resolve,
        tell: impl Fn(ConnectionId, IpAddr, Arc<str>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let desk = Desk {
            state: Mutex::default(),
            changed: Condvar::new(),
            bounds,
            resolve,
            tell: Box::new(tell),
        };
        Arc::new(Self { desk: desk.into() })
    }

    /// What bounds it.
    pub(crate) fn bounds(&self) -> Bounds {
        self.desk.bounds
    }

    /// The name of an address, if it is known. Else the connection is told once it is, unless too many wait.
    pub(crate) fn ask(&self, id: ConnectionId, address: IpAddr) -> Option<Arc<str>> {
        let address = address.to_canonical();
        let bounds = &self.desk.bounds;
        let mut state = self.desk.lock();
        state.forget_old(bounds.lasts);
        if let Some((name, _)) = state.known.get(&address) {
            return name.clone();
        }
        let is_full = state.waiting_count >= bounds.waiting;
        let asks_again = state
            .waiting
            .get(&address)
            .is_some_and(|ids| ids.contains(&id));
        if is_full || asks_again {
            return None;
        }
        let waiting = state.waiting.entry(address).or_default();
        waiting.push(id);
        let is_first = waiting.len() == 1;
        state.waiting_count += 1;
        if is_first {
            state.jobs.push_back(address);
            self.employ(&mut state);
            drop(state);
            self.desk.changed.notify_one();
        }
        None
    }

    /// Makes a thread more when there is too few of them.
    fn employ(&self, state: &mut State) {
        let is_short = state.idle < state.jobs.len() && state.threads < self.desk.bounds.threads;
        if !is_short {
            return;
        }
        match self.spawn(state.threads) {
            Ok(()) => state.threads += 1,
            Err(error) => {
                tracing::warn!(target: "hotsocket::context", %error,
                    "no thread can be made to look up names of peers; is the limit of threads too low?");
                // Whoever asks next tries again.
                if state.threads == 0 {
                    state.jobs.clear();
                    state.waiting.clear();
                    state.waiting_count = 0;
                }
            }
        }
    }

    fn spawn(&self, number: usize) -> io::Result<()> {
        let desk = Arc::clone(&self.desk);
        thread::Builder::new()
            .name(format!("names-{number}"))
            .spawn(move || desk.work())?;
        Ok(())
    }
}

impl std::fmt::Debug for PeerNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bounds = &self.desk.bounds;
        f.debug_struct("PeerNames").field("bounds", bounds).finish()
    }
}

impl Drop for PeerNames {
    /// Nobody waits for them: the resolver may not answer for long.
    fn drop(&mut self) {
        self.desk.lock().is_over = true;
        self.desk.changed.notify_all();
    }
}

impl State {
    fn forget_old(&mut self, lasts: Duration) {
        while let Some(oldest) = self.by_age.front()
            && let Some((_, since)) = self.known.get(oldest)
            && since.elapsed() >= lasts
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.by_age.pop_front() {
            self.known.remove(&oldest);
        }
    }

    /// Keeps what was found; gives who waits for it.
    fn learn(
        &mut self,
        address: IpAddr,
        name: Option<Arc<str>>,
        bounds: &Bounds,
    ) -> Vec<ConnectionId> {
        if self.known.insert(address, (name, Instant::now())).is_none() {
            self.by_age.push_back(address);
        }
        while self.by_age.len() > bounds.known {
            self.forget_oldest();
        }
        let waiting = self.waiting.remove(&address).unwrap_or_default();
        self.waiting_count = self.waiting_count.saturating_sub(waiting.len());
        waiting
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self) {
        while let Some(address) = self.next() {
            let resolve = self.resolve;
            let found = catch_unwind(|| resolve(address)).unwrap_or_default();
            let name: Option<Arc<str>> = found.map(Into::into);
            let waiting = self.lock().learn(address, name.clone(), &self.bounds);
            if let Some(name) = name {
                for id in waiting {
                    (self.tell)(id, address, Arc::clone(&name));
                }
            }
        }
    }

    /// Waits for an address; none when it is all over.
    fn next(&self) -> Option<IpAddr> {
        let mut state = self.lock();
        loop {
            if state.is_over {
                return None;
            }
            if let Some(address) = state.jobs.pop_front() {
                return Some(address);
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Addresses from 192.0.2.100 on have no name.
    fn resolve(address: IpAddr) -> Option<String> {
        let IpAddr::V4(address) = address else {
            panic!("as told");
        };
        let last = address.octets()[3];
        (last < 100).then(|| format!("host-{last}.example"))
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(0, slot, 1)
    }

    type Told = Receiver<(ConnectionId, IpAddr, Arc<str>)>;

    fn names(bounds: Bounds) -> (Arc<PeerNames>, Told) {
        let (tell, told) = channel();
        let names = PeerNames::new(bounds, resolve, move |id, address, name| {
            let _ = tell.send((id, address, name));
        });
        (names, told)
    }

    fn bounds() -> Bounds {
        Bounds::from(&Limits::default())
    }

    /// Waits until nobody waits.
    fn await_idle(names: &PeerNames) {
        while names.desk.lock().waiting_count > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn who_asks_first_is_told_and_who_asks_later_knows_at_once() {
        let (names, told) = names(bounds());
        assert_eq!(names.ask(id(1), address(7)), None);
        let name = Arc::from("host-7.example");
        assert_eq!(told.recv().unwrap(), (id(1), address(7), Arc::clone(&name)));
        assert_eq!(names.ask(id(2), address(7)), Some(Arc::clone(&name)));
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(names.ask(id(3), mapped), Some(name));
    }

    #[test]
    fn that_there_is_no_name_is_known_too_and_a_resolver_that_panics_has_found_none() {
        let (names, told) = names(bounds());
        for nobody in [address(100), "2001:db8::1".parse().unwrap()] {
            assert_eq!(names.ask(id(1), nobody), None);
            await_idle(&names);
            assert_eq!(names.ask(id(2), nobody), None);
            assert_eq!(names.desk.lock().waiting_count, 0);
        }
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn as_many_are_kept_as_may_be_and_the_oldest_go_first() {
        let (names, told) = names(Bounds {
            known: 2,
            ..bounds()
        });
        for last in 1..=3 {
            assert_eq!(names.ask(id(1), address(last)), None);
            told.recv().unwrap();
        }
        let state = names.desk.lock();
        assert_eq!(state.by_age, [address(2), address(3)]);
        assert_eq!(state.known.len(), 2);
    }

    #[test]
    fn what_is_over_is_looked_up_again() {
        let (names, told) = names(Bounds {
            lasts: Duration::ZERO,
            ..bounds()
        });
        for _ in 0..3 {
            assert_eq!(names.ask(id(1), address(1)), None);
            told.recv().unwrap();
        }
        assert_eq!(names.desk.lock().by_age.len(), 1);
    }

    #[test]
    fn one_connection_waits_once_and_above_the_bound_nobody_more_waits() {
        /// Never finds anything.
        fn stuck(_: IpAddr) -> Option<String> {
            loop {
                thread::park();
            }
        }
        let bounds = Bounds {
            waiting: 3,
            threads: 2,
            ..bounds()
        };
        let names = PeerNames::new(bounds, stuck, |_, _, _| {});
        for (connection, last) in [(1, 1), (1, 1), (2, 1), (2, 2), (3, 2), (4, 3)] {
            assert_eq!(names.ask(id(connection), address(last)), None);
        }
        let state = names.desk.lock();
        assert_eq!(state.waiting_count, 3);
        assert_eq!(state.waiting[&address(1)], [id(1), id(2)]);
        assert_eq!(state.waiting[&address(2)], [id(2)]);
        assert_eq!(state.threads, 2);
    }

    #[test]
    fn the_threads_end_when_nobody_has_use_for_them() {
        let (names, told) = names(bounds());
        names.ask(id(1), address(1));
        told.recv().unwrap();
        let desk = Arc::downgrade(&names.desk);
        drop(names);
        while desk.upgrade().is_some() {
            thread::yield_now();
        }
    }
}

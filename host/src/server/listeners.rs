//! Where the host listens. A changed config keeps the listeners whose address stays, opens those that are new, and gives
//! up the rest; when one of the new ones cannot be bound, nothing changes.

use std::{io, net::SocketAddr};

use crate::net::{
    listener::{self, Listener},
    listening::{ListenChange, ListenerNumber},
    tls::Tls,
    token::MAX_LISTENERS,
};

/// The listeners of the host.
pub(crate) struct Listeners {
    /// Service threads.
    threads: usize,
    /// What is spoken with all of them, if it is TLS.
    tls: Option<Tls>,
    bound: Vec<Bound>,
    /// The number of the next one.
    next: ListenerNumber,
}

/// One listener, with a socket on each service thread.
#[derive(Clone)]
struct Bound {
    number: ListenerNumber,
    /// As it was written; the port may be 0.
    written: SocketAddr,
    /// With the port that the system chose.
    address: SocketAddr,
}

/// Listeners that are bound and not used yet.
pub(crate) struct PreparedListeners {
    bound: Vec<Bound>,
    gone: Vec<Bound>,
    /// By service thread.
    new: Vec<Vec<(ListenerNumber, Listener)>>,
    next: ListenerNumber,
}

impl Listeners {
    /// None yet, for so many service threads.
    pub(crate) fn new(threads: usize, tls: Option<Tls>) -> Self {
        Self {
            threads,
            tls,
            bound: Vec::new(),
            next: 0,
        }
    }

    /// Binds what `listen` has and the host has not.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound; nothing is left of the others then.
    pub(crate) fn prepare(&self, listen: &[SocketAddr]) -> Result<PreparedListeners, StartError> {
        if listen.len() > MAX_LISTENERS {
            return Err(StartError::Many(listen.len()));
        }
        let mut gone = self.bound.clone();
        let places: Vec<_> = listen
            .iter()
            .map(|&written| (written, take(&mut gone, written)))
            .collect();
        let mut prepared = PreparedListeners {
            bound: Vec::new(),
            gone,
            new: (0..self.threads).map(|_| Vec::new()).collect(),
            next: self.next,
        };
        for (written, kept) in places {
            match kept {
                Some(kept) => prepared.bound.push(Bound { written, ..kept }),
                None => self.bind(written, &mut prepared)?,
            }
        }
        Ok(prepared)
    }

    fn bind(&self, written: SocketAddr, to: &mut PreparedListeners) -> Result<(), StartError> {
        let bind = match to.gone.iter().any(|gone| overlap(gone.address, written)) {
            true => listener::bind_beside_own,
            false => listener::bind,
        };
        let fail = |source| StartError::Bind {
            address: written,
            source,
        };
        let sockets = bind(written, self.threads).map_err(fail)?;
        let number = to.next;
        to.next += 1;
        to.bound.push(Bound {
            number,
            written,
            address: sockets[0].local_address().unwrap_or(written),
        });
        for (thread, socket) in to.new.iter_mut().zip(sockets) {
            let socket = match self.tls.clone() {
                Some(tls) => socket.with_tls(tls),
                None => socket,
            };
            thread.push((number, socket));
        }
        Ok(())
    }

    /// Goes by what was prepared; gives what the service threads are to be told.
    pub(crate) fn install(&mut self, prepared: PreparedListeners) -> ListenChange {
        self.bound = prepared.bound;
        self.next = prepared.next;
        let gone = prepared.gone.iter().map(|gone| gone.number).collect();
        ListenChange::new(gone, prepared.new)
    }
}

impl PreparedListeners {
    /// Whether the service threads have something to do.
    pub(crate) fn is_change(&self) -> bool {
        !self.gone.is_empty() || self.new.iter().any(|thread| !thread.is_empty())
    }

    /// Where the host is going to listen, and did not before.
    pub(crate) fn new_addresses(&self) -> Vec<SocketAddr> {
        let new = self.new.first().into_iter().flatten();
        let bound = |number| self.bound.iter().find(move |bound| bound.number == number);
        new.filter_map(|(number, _)| bound(*number))
            .map(|bound| bound.address)
            .collect()
    }

    /// Where it is going to listen no longer.
    pub(crate) fn gone_addresses(&self) -> Vec<SocketAddr> {
        self.gone.iter().map(|gone| gone.address).collect()
    }
}

/// Takes out the one that was written like this, or has this address by chance.
fn take(bound: &mut Vec<Bound>, written: SocketAddr) -> Option<Bound> {
    let same = bound.iter().position(|bound| bound.written == written);
    let at = same.or_else(|| bound.iter().position(|bound| bound.address == written))?;
    Some(bound.remove(at))
}

/// Whether one of them is all addresses of a port that the other has one of: `0.0.0.0:80` and `127.0.0.1:80`.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Why a host does not start, or does not take another list of addresses.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}; {}", bind_mend(source))]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// There are too many addresses.
    #[error(
        "cannot listen on {0} addresses; a host listens on at most {MAX_LISTENERS}: let one that is for all \
         interfaces, as 0.0.0.0, take the place of several"
    )]
    Many(usize),
    /// The system has no more of something.
    #[error("cannot make a service thread; is the limit of open files or threads too low?")]
    Poll(#[source] io::Error),
}

fn bind_mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "is another host running there? choose another address with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no network interface of this machine has it; choose another address with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for privileged processes; choose another port with --listen"
        }
        _ => "choose another address with --listen",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn listening(listen: &[SocketAddr]) -> (Listeners, Vec<SocketAddr>, ListenChange) {
        let mut listeners = Listeners::new(2, None);
        let prepared = listeners.prepare(listen).unwrap();
        let addresses = prepared.new_addresses();
        let sockets = listeners.install(prepared);
        (listeners, addresses, sockets)
    }

    #[test]
    fn an_address_that_is_not_ours_is_not_blamed_on_another_host() {
        let error = Listeners::new(1, None).prepare(&[address("192.0.2.1:1")]);
        assert_eq!(
            error.err().unwrap().to_string(),
            "cannot listen on 192.0.2.1:1; no network interface of this machine has it; choose another address with \
             --listen"
        );
    }

    #[test]
    fn more_addresses_than_a_service_thread_can_watch_are_refused_before_any_is_bound() {
        let error = Listeners::new(1, None).prepare(&vec![address("127.0.0.1:0"); 16]);
        assert!(error.err().unwrap().to_string().contains("at most 15"));
    }

    #[test]
    fn an_address_that_stays_keeps_its_sockets_and_the_port_that_the_system_chose() {
        let any = address("127.0.0.1:0");
        let (listeners, was, _sockets) = listening(&[any, any]);
        let prepared = listeners.prepare(&[any]).unwrap();
        assert_eq!(prepared.new_addresses(), []);
        assert_eq!(prepared.gone_addresses(), [was[1]]);
        // Whoever writes the port down that was chosen means the same listener.
        let prepared = listeners.prepare(&[was[1], any]).unwrap();
        assert!(!prepared.is_change());
    }

    #[test]
    fn when_one_cannot_be_bound_none_is() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = {
            let closed = TcpListener::bind("127.0.0.2:0").unwrap();
            closed.local_addr().unwrap()
        };
        let (listeners, was, _sockets) = listening(&[address("127.0.0.1:0")]);
        let wanted = [was[0], free, taken.local_addr().unwrap()];
        let error = listeners.prepare(&wanted).err().unwrap();
        assert!(matches!(error, StartError::Bind { address, .. } if address == wanted[2]));
        assert!(TcpStream::connect(free).is_err(), "nobody listens there");
        assert!(TcpStream::connect(was[0]).is_ok(), "it is listened there");
    }

    // Nothing else can overlap than all addresses; nobody is accepted there.
    #[test]
    fn one_address_of_a_port_can_take_the_place_of_all_of_them() {
        let (mut listeners, was, _sockets) = listening(&[address("0.0.0.0:0")]);
        let one = SocketAddr::from(([127, 0, 0, 1], was[0].port()));
        let prepared = listeners.prepare(&[one]).unwrap();
        assert_eq!(prepared.new_addresses(), [one]);
        let _narrow = listeners.install(prepared);
        assert!(listeners.prepare(&was).is_ok(), "and all of them of one");
    }

    #[test]
    fn a_port_is_shared_with_nobody_but_a_listener_that_is_given_up() {
        let (listeners, was, _sockets) = listening(&[address("0.0.0.0:0")]);
        let one = SocketAddr::from(([127, 0, 0, 1], was[0].port()));
        assert!(listeners.prepare(&[was[0], one]).is_err());
    }
}

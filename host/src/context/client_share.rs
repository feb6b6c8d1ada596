//! What the service threads of a host have in common of the connections that they open: how many there are, and what TLS is
//! spoken with.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    context::client_request::ServerTrust,
    net::{dial::ClientTls, tls::ClientTlsConfig},
};

/// So many ways to know a server are kept for the next connection. Plugins and programs have a few each.
const KEPT_TRUSTS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct ClientShare {
    most: AtomicU64,
    count: Arc<AtomicU64>,
    last: AtomicU64,
    turn: AtomicU64,
    trusts: Mutex<Vec<(ServerTrust, Arc<ClientTlsConfig>)>>,
}

impl ClientShare {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most: AtomicU64::new(most),
            count: Arc::default(),
            last: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            trusts: Mutex::default(),
        }
    }

    /// A changed limit holds for connections that are new.
    pub(crate) fn set_most(&self, most: u64) {
        self.most.store(most, Relaxed);
    }

    /// A seat for one more, unless there are as many as there may be.
    pub(crate) fn seat(&self) -> Option<ClientSeat> {
        let most = self.most.load(Relaxed);
        let taken = self.count.fetch_update(Relaxed, Relaxed, |count| {
            (count < most).then_some(count + 1)
        });
        let seat = || ClientSeat(Arc::clone(&self.count));
        taken.ok().map(|_| seat())
    }

    /// A number for a connection of this service thread, never given again.
    pub(crate) fn number(&self, thread: usize) -> u64 {
        (self.last.fetch_add(1, Relaxed) + 1) << 8 | thread as u64 & 0xff
    }

    /// One service thread after the other.
    pub(crate) fn next_thread(&self, count: usize) -> usize {
        let turn = self.turn.fetch_add(1, Relaxed);
        (turn % (count.max(1) as u64)) as usize
    }

    /// What is spoken with a server that is to be known so. The first one of its kind reads its authorities from disk.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub(crate) fn tls(&self, trust: &ServerTrust) -> Result<ClientTls, String> {
        let mut trusts = self.trusts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = trusts.iter().find(|(other, _)| other == trust) {
            return Ok(ClientTls::Config(Arc::clone(config)));
        }
        let config = make(trust)?;
        if trusts.len() >= KEPT_TRUSTS {
            trusts.remove(0);
        }
        trusts.push((trust.clone(), Arc::clone(&config)));
        Ok(ClientTls::Config(config))
    }
}

/// The service thread of a connection, by its number.
pub(crate) fn thread_of(number: u64) -> usize {
    (number & 0xff) as usize
}

/// One of the connections that a host may have as a client; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct ClientSeat(Arc<AtomicU64>);

impl Drop for ClientSeat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(feature = "tls")]
fn make(trust: &ServerTrust) -> Result<Arc<ClientTlsConfig>, String> {
    use crate::net::tls::{Roots, platform_roots, read_roots};

    let made = match trust {
        ServerTrust::Verified => platform_roots().and_then(ClientTlsConfig::trusting),
        ServerTrust::Roots(file) => {
            let mut roots = Roots::empty();
            read_roots(&mut roots, file).and_then(|()| ClientTlsConfig::trusting(roots))
        }
        ServerTrust::MoreRoots(file) => platform_roots().and_then(|mut roots| {
            read_roots(&mut roots, file)?;
            ClientTlsConfig::trusting(roots)
        }),
        ServerTrust::Pinned(key) => ClientTlsConfig::pinned(*key),
        ServerTrust::AcceptSelfSigned => ClientTlsConfig::accepting_self_signed(),
        ServerTrust::Given(given) => Ok(Arc::clone(&given.0)),
    };
    made.map_err(|fault| fault.to_string())
}

#[cfg(not(feature = "tls"))]
fn make(_: &ServerTrust) -> Result<Arc<ClientTlsConfig>, String> {
    Err("this host was built without TLS: build it with the feature `tls`".to_owned())
}

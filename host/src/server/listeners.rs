//! Where the host listens. A changed config keeps the listeners whose address stays, opens those that are new, and gives
//! up the rest; when one of the new ones cannot be bound, nothing changes.

use std::{io, sync::Arc};

use crate::{
    config::{ListenAddress, ListenerConfig},
    net::{
        inherited::Inherited,
        listener::{self, InetSettings, Listener, Spoken},
        listening::{ListenChange, ListenerNumber},
        tls::Tls,
        token::MAX_LISTENERS,
        unix_socket::{self, SocketFile},
    },
    server::{places, start_error::StartError},
};

/// The listeners of the host.
pub(crate) struct Listeners {
    /// Service threads.
    threads: usize,
    /// What TLS is spoken with, where it is.
    tls: Option<Tls>,
    /// What was passed to the process; kept for a reload that asks for it again.
    inherited: Inherited,
    bound: Vec<Bound>,
    /// The vhosts of those that were given up, whose connections go on.
    former: Vec<Scope>,
    /// The number of the next one.
    next: ListenerNumber,
    /// The user that the host has become since it began.
    became: Option<String>,
}

/// A listener that leads to some vhosts only, and their names.
pub(crate) type Scope = (ListenerNumber, Vec<String>);

/// One listener, with a socket on each service thread.
#[derive(Clone)]
struct Bound {
    number: ListenerNumber,
    /// As it was written; the port may be 0.
    written: ListenerConfig,
    /// With the port that the system chose.
    address: ListenAddress,
    /// That of a unix socket; removed with the last copy of this.
    file: Option<Arc<SocketFile>>,
}

/// Listeners that are bound and not used yet.
pub(crate) struct PreparedListeners {
    bound: Vec<Bound>,
    gone: Vec<Bound>,
    /// Those that stay and speak by another scheme.
    retold: Vec<ListenerNumber>,
    /// Those that stay, and what new connections speak there.
    changed: Vec<(ListenerNumber, Spoken)>,
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
            inherited: Inherited::default(),
            bound: Vec::new(),
            former: Vec::new(),
            next: 0,
            became: None,
        }
    }

    /// The same, with sockets that need not be bound.
    pub(crate) fn inheriting(self, inherited: Inherited) -> Self {
        Self { inherited, ..self }
    }

    /// From now on a refusal may come from this: the host has become that user.
    pub(crate) fn bind_as(&mut self, user: &str) {
        self.became = Some(user.to_owned());
    }

    /// Binds what `listen` has and the host has not.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound; nothing is left of the others then.
    pub(crate) fn prepare(
        &self,
        listen: &[ListenerConfig],
    ) -> Result<PreparedListeners, StartError> {
        let listen = places::resolve(listen, &self.inherited)?;
        if listen.len() > MAX_LISTENERS {
            return Err(StartError::Many(listen.len()));
        }
        let mut gone = self.bound.clone();
        let places: Vec<_> = listen
            .iter()
            .map(|written| (written, take(&mut gone, written)))
            .collect();
        let mut prepared = PreparedListeners {
            bound: Vec::new(),
            gone,
            retold: Vec::new(),
            changed: Vec::new(),
            new: (0..self.threads).map(|_| Vec::new()).collect(),
            next: self.next,
        };
        for (written, kept) in places {
            match kept {
                Some(kept) => self.keep(kept, written, &mut prepared),
                None => self.bind(written, &mut prepared)?,
            }
        }
        Ok(prepared)
    }

    /// Which vhosts connections find that came by a listener, where those are not all of them: once `prepared` is what
    /// the host goes by.
    pub(crate) fn scopes(&self, prepared: &PreparedListeners) -> Vec<Scope> {
        let former = self.former.iter().cloned();
        let bound = prepared.bound.iter().chain(&prepared.gone);
        former.chain(bound.filter_map(Bound::scope)).collect()
    }

    /// What is spoken at a listener.
    fn spoken(&self, listener: &ListenerConfig) -> Spoken {
        let tls = self.tls.clone();
        let tls = tls.filter(|_| listener.speaks_tls(true));
        Spoken {
            tls: tls.map(|tls| tls.scoped(&listener.vhosts)),
            is_announced: listener.proxy_protocol,
        }
    }

    fn keep(&self, kept: Bound, written: &ListenerConfig, to: &mut PreparedListeners) {
        let was = &kept.written;
        let (spoke, speaks) = (was.speaks_tls(true), written.speaks_tls(true));
        let is_other_tls = self.tls.is_some() && (spoke != speaks || was.vhosts != written.vhosts);
        if is_other_tls || was.proxy_protocol != written.proxy_protocol {
            to.changed.push((kept.number, self.spoken(written)));
        }
        if self.tls.is_some() && spoke != speaks {
            to.retold.push(kept.number);
        }
        to.bound.push(Bound {
            written: written.clone(),
            ..kept
        });
    }

    fn bind(&self, written: &ListenerConfig, to: &mut PreparedListeners) -> Result<(), StartError> {
        let is_beside_own = match &written.address {
            ListenAddress::Inet(settings) => {
                to.gone.iter().any(|gone| overlap(&gone.address, settings))
            }
            _ => false,
        };
        let fail = |source| self.refusal(&written.address, is_beside_own, source);
        let (sockets, address, file) = match &written.address {
            ListenAddress::Inet(settings)
                if let Some(passed) = self.inherited.at(settings.address) =>
            {
                let sockets = passed.share(Some(settings), self.threads);
                (sockets.map_err(fail)?, written.address.clone(), None)
            }
            ListenAddress::Unix(settings)
                if let Some(passed) = self.inherited.at_path(&settings.path) =>
            {
                // Its file is that of whoever has bound it.
                let sockets = passed.share(None, self.threads);
                (sockets.map_err(fail)?, written.address.clone(), None)
            }
            ListenAddress::Inet(settings) => {
                let bind = match is_beside_own {
                    true => listener::bind_beside_own,
                    false => listener::bind,
                };
                let sockets = bind(settings, self.threads).map_err(fail)?;
                let address = sockets[0].local_address().unwrap_or(settings.address);
                let address = ListenAddress::Inet(InetSettings {
                    address,
                    ..*settings
                });
                (sockets, address, None)
            }
            ListenAddress::Unix(settings) => {
                let (sockets, file) = unix_socket::bind(settings, self.threads).map_err(fail)?;
                (sockets, written.address.clone(), Some(Arc::new(file)))
            }
            // What they stand for has taken their place.
            ListenAddress::Interface(_) | ListenAddress::Passed(_) => return Ok(()),
        };
        let number = to.next;
        to.next += 1;
        to.bound.push(Bound {
            number,
            written: written.clone(),
            address,
            file,
        });
        for (thread, socket) in to.new.iter_mut().zip(sockets) {
            thread.push((number, socket.speaking(self.spoken(written))));
        }
        Ok(())
    }

    /// Why an address cannot be bound. What only root may do says so once the host is no longer root; and to share a
    /// port, as two listeners do that overlap, their sockets must be made by the same user.
    fn refusal(
        &self,
        address: &ListenAddress,
        is_beside_own: bool,
        source: io::Error,
    ) -> StartError {
        let is_denied = match source.kind() {
            io::ErrorKind::PermissionDenied => true,
            io::ErrorKind::AddrInUse => is_beside_own,
            _ => false,
        };
        let address = address.clone();
        match self.became.clone().filter(|_| is_denied) {
            Some(user) => StartError::GivenUp {
                address: Box::new(address),
                user,
                source,
            },
            None => StartError::Bind { address, source },
        }
    }

    /// Goes by what was prepared; gives what the service threads are to be told.
    pub(crate) fn install(&mut self, prepared: PreparedListeners) -> ListenChange {
        for bound in &prepared.bound {
            self.settle_file(bound);
        }
        self.former
            .extend(prepared.gone.iter().filter_map(Bound::scope));
        self.bound = prepared.bound;
        self.tell_unused();
        self.next = prepared.next;
        let gone = prepared.gone.iter().map(|gone| gone.number).collect();
        ListenChange::new(gone, prepared.new).changing(prepared.changed)
    }

    /// Whoever connects to a socket that was passed waits there, and nobody comes.
    fn tell_unused(&self) {
        let is_used =
            |place: &ListenAddress| self.bound.iter().any(|b| b.address.is_same_place(place));
        for socket in self.inherited.iter() {
            let (place, name) = (places::place_of(socket), &socket.name);
            if !is_used(&place) {
                tracing::warn!(target: "hotsocket", name,
                    "nobody is accepted at {place}, which was passed to this process; write \"systemd\" under `listen`, or \
                     --listen systemd");
            }
        }
    }

    /// Where the host listens, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Vec<ListenAddress> {
        let all = self.all().into_iter();
        all.map(|listener| listener.address).collect()
    }

    /// All of them, with the ports that the system chose.
    pub(crate) fn all(&self) -> Vec<ListenerConfig> {
        self.bound.iter().map(Bound::listener).collect()
    }

    /// Gives the file of a unix socket that stays the owner and mode that are written now.
    fn settle_file(&self, bound: &Bound) {
        let (ListenAddress::Unix(settings), Some(file)) = (&bound.written.address, &bound.file)
        else {
            return;
        };
        let mut before = self.bound.iter().filter(|was| was.number == bound.number);
        if before.any(|was| was.written.address != bound.written.address)
            && let Err(error) = file.settle(settings)
        {
            tracing::error!(target: "hotsocket", path = %settings.path.display(), %error,
                "the mode and owner of a unix socket stay as they are; restart the host to set them");
        }
    }
}

impl Bound {
    /// As it was written, with the port that the system chose.
    fn listener(&self) -> ListenerConfig {
        ListenerConfig {
            address: self.address.clone(),
            ..self.written.clone()
        }
    }

    fn scope(&self) -> Option<Scope> {
        let names = &self.written.vhosts;
        (!names.is_empty()).then(|| (self.number, names.clone()))
    }
}

impl PreparedListeners {
    /// Whether the service threads have something to do.
    pub(crate) fn is_change(&self) -> bool {
        let has_new = self.new.iter().any(|thread| !thread.is_empty());
        has_new || !self.gone.is_empty() || !self.changed.is_empty()
    }

    /// Where the host is going to listen and did not before, or by another scheme.
    pub(crate) fn news(&self) -> Vec<ListenerConfig> {
        let new = self.new.first().into_iter().flatten();
        let new = new.map(|(number, _)| number);
        let numbers: Vec<_> = new.chain(&self.retold).collect();
        let bound = self.bound.iter();
        bound
            .filter(|bound| numbers.contains(&&bound.number))
            .map(Bound::listener)
            .collect()
    }

    /// Where it is going to listen no longer.
    pub(crate) fn gone_addresses(&self) -> Vec<ListenAddress> {
        self.gone.iter().map(|gone| gone.address.clone()).collect()
    }
}

/// Takes out the one that was written like this, or has this address by chance.
fn take(bound: &mut Vec<Bound>, written: &ListenerConfig) -> Option<Bound> {
    let place = &written.address;
    let find = |fits: &dyn Fn(&Bound) -> bool| bound.iter().position(fits);
    let at = find(&|bound| bound.written == *written)
        .or_else(|| find(&|bound| bound.written.address == *place))
        .or_else(|| find(&|bound| stays(&bound.address, place)))?;
    Some(bound.remove(at))
}

/// Whether a listener at `bound` can be the one that is written now. Another keepalive takes another socket; another
/// mode or owner is given to the file that is there.
fn stays(bound: &ListenAddress, written: &ListenAddress) -> bool {
    match (bound, written) {
        (ListenAddress::Unix(bound), ListenAddress::Unix(written)) => bound.path == written.path,
        (bound, written) => bound == written,
    }
}

/// Whether they are the same address, or one of them is all addresses of a port that the other has one of, as
/// `0.0.0.0:80` and `127.0.0.1:80`.
fn overlap(bound: &ListenAddress, written: &InetSettings) -> bool {
    let (ListenAddress::Inet(InetSettings { address: one, .. }), other) = (bound, written.address)
    else {
        return false;
    };
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Tells where the host listens. What stands behind `://` is what a client has to be given: an address and port, or the
/// absolute path of a socket; so a script cuts the line there, whatever it finds.
#[cfg(feature = "cli")]
pub(crate) fn tell(listener: &ListenerConfig, has_tls: bool, has_page: bool) {
    let (ws, http) = if listener.speaks_tls(has_tls) {
        ("wss", "https")
    } else {
        ("ws", "http")
    };
    match &listener.address {
        ListenAddress::Inet(settings) => {
            let address = settings.address;
            crate::cli::line(&format!("listening on {ws}://{address}"));
            if has_page && listener.leads_to(crate::config::DEFAULT_VHOST) {
                tracing::info!(target: "hotsocket", "a page to try the protocols: {http}://{address}/");
            }
        }
        // No browser can open a page there.
        ListenAddress::Unix(socket) => {
            let path = std::path::absolute(&socket.path).unwrap_or_else(|_| socket.path.clone());
            let path = crate::logging::escaped(&path.to_string_lossy());
            crate::cli::line(&format!("listening on {ws}+unix://{path}"));
        }
        // What they stand for is told.
        ListenAddress::Interface(_) | ListenAddress::Passed(_) => {}
    }
}

#[cfg(test)]
mod tests;

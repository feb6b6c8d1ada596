//! The addresses of a name, by the resolver of the system, which waits: on threads for that alone.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use crate::{limits::Limits, net::job_threads::JobThreads};

/// A name whose addresses are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Tells the lookups of one connection apart.
    pub number: u32,
    /// The name of a host.
    pub host: String,
    /// The port that the addresses are to have.
    pub port: u16,
}

/// Finds addresses; may take long.
type Find = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The threads of a host that wait for the resolver.
#[derive(Debug)]
pub struct Resolver {
    threads: JobThreads,
    find: Find,
}

impl Resolver {
    /// One that asks the system. No thread yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::with(limits, |host, port| {
            (host, port).to_socket_addrs().map(Iterator::collect)
        })
    }

    pub(crate) fn with(limits: &Limits, find: Find) -> Self {
        let (threads, jobs) = (limits.resolve_threads_count, limits.resolve_jobs_count);
        Self {
            threads: JobThreads::new("resolve", threads, jobs),
            find,
        }
    }

    /// Looks a name up, and tells what was found, at least one address, or why there is none. False when too many wait.
    #[must_use]
    pub fn submit(
        &self,
        lookup: Lookup,
        tell: impl FnOnce(Result<Vec<SocketAddr>, String>) + Send + 'static,
    ) -> bool {
        let find = self.find;
        self.threads.submit(Box::new(move || {
            let host = &*lookup.host;
            let found = match find(host, lookup.port) {
                Ok(found) if found.is_empty() => Err(format!("`{host}` has no address")),
                Ok(found) => Ok(found),
                Err(error) => Err(format!(
                    "`{host}`: {error}; is the name right, and is there a resolver?"
                )),
            };
            tell(found);
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn found(host: &str) -> Result<Vec<SocketAddr>, String> {
        let resolver = Resolver::new(&Limits::default());
        let (tell, told) = mpsc::channel();
        let lookup = Lookup {
            number: 1,
            host: host.to_owned(),
            port: 81,
        };
        assert!(resolver.submit(lookup, move |found| tell.send(found).unwrap()));
        told.recv().unwrap()
    }

    #[test]
    fn this_machine_is_found_by_the_hosts_file() {
        let found = found("localhost").unwrap();
        assert!(found.contains(&([127, 0, 0, 1], 81).into()), "{found:?}");
    }

    #[test]
    fn a_name_that_nobody_has_is_named() {
        let why = found("nobody.invalid").unwrap_err();
        assert!(why.starts_with("`nobody.invalid`: "), "{why}");
    }

    #[test]
    fn one_lookup_more_than_may_wait_is_refused() {
        let limits = Limits {
            resolve_jobs_count: 0,
            ..Limits::default()
        };
        let lookup = Lookup {
            number: 1,
            host: "localhost".to_owned(),
            port: 1,
        };
        assert!(!Resolver::new(&limits).submit(lookup, |_| {}));
    }
}

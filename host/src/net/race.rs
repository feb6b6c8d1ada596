//! Several addresses of one host, of which the first that takes a connection is used. RFC 8305, "Happy Eyeballs": the
//! families take turns, IPv6 first; the next address is tried when the one before has failed, or has said nothing for a
//! while and is not given up for it.

use std::{collections::VecDeque, fmt::Write, io, net::SocketAddr, os::fd::AsFd};

use mio::{Token, net::TcpStream};
use rustix::io::Errno;

use crate::net::{timer_wheel::TimerKey, watcher::Watcher};

/// How many failures an error tells.
const TOLD: usize = 4;

/// The addresses of one host, and the sockets that are on their way.
pub(crate) struct Race {
    waiting: VecDeque<SocketAddr>,
    racing: Vec<(SocketAddr, TcpStream)>,
    failed: Vec<(SocketAddr, io::Error)>,
    /// When the next address is tried.
    pub(crate) timer: Option<TimerKey>,
}

impl Race {
    /// Begins nothing yet. Of more addresses than `most` the rest is left out.
    pub(crate) fn new(addresses: &[SocketAddr], most: usize) -> Self {
        let mut waiting = interleaved(addresses);
        waiting.truncate(most.max(1));
        Self {
            waiting,
            racing: Vec::new(),
            failed: Vec::new(),
            timer: None,
        }
    }

    /// Tries the next address that can be tried. All sockets of a race have the same token: an event only says that it
    /// is worth looking.
    pub(crate) fn begin_next(&mut self, watcher: &mut Watcher, token: Token) {
        while let Some(address) = self.waiting.pop_front() {
            match connect(address, watcher, token) {
                Ok(stream) => return self.racing.push((address, stream)),
                Err(error) => self.failed.push((address, error)),
            }
        }
    }

    /// Looks at all sockets: the first that is connected, if there is one, and whether one has failed.
    pub(crate) fn look(
        &mut self,
        watcher: &mut Watcher,
    ) -> (Option<(SocketAddr, TcpStream)>, bool) {
        let mut has_failed = false;
        let mut at = 0;
        while let Some((address, stream)) = self.racing.get(at) {
            match outcome(*address, stream) {
                Ok(true) => return (Some(self.racing.swap_remove(at)), has_failed),
                Ok(false) => at += 1,
                Err(error) => {
                    let (address, stream) = self.racing.remove(at);
                    watcher.forget(stream.as_fd());
                    self.failed.push((address, error));
                    has_failed = true;
                }
            }
        }
        (None, has_failed)
    }

    /// Closes all sockets that are on their way.
    pub(crate) fn give_up(&mut self, watcher: &mut Watcher) {
        for (_, stream) in self.racing.drain(..) {
            watcher.forget(stream.as_fd());
        }
    }

    /// Whether there is an address that was not tried.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.racing.is_empty()
    }

    /// What became of the addresses that were tried.
    pub(crate) fn told(&self) -> String {
        let mut text = String::new();
        for (address, error) in self.failed.iter().take(TOLD) {
            let comma = if text.is_empty() { "" } else { ", " };
            // A string takes all that is written.
            let _ = write!(text, "{comma}{address}: {error}");
        }
        if self.failed.len() > TOLD {
            let _ = write!(text, ", and {} more", self.failed.len() - TOLD);
        }
        let separator = if text.is_empty() { "" } else { "; " };
        text + separator + self.mend()
    }

    fn mend(&self) -> &'static str {
        let errno = |(_, error): &(SocketAddr, io::Error)| Errno::from_io_error(error);
        match self.failed.last().and_then(errno) {
            Some(Errno::MFILE | Errno::NFILE) => {
                "raise the limit of open files, or open fewer connections"
            }
            Some(Errno::ADDRNOTAVAIL) => {
                "all ports of our end are in use: open fewer connections to one server"
            }
            Some(Errno::NETUNREACH | Errno::HOSTUNREACH) => {
                "is this machine connected to that network?"
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                "a rule of this machine forbids it: look at its firewall"
            }
            None if self.failed.is_empty() => "no address was given",
            _ => "does the server run, and listen there?",
        }
    }
}

fn connect(address: SocketAddr, watcher: &mut Watcher, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    // Small messages do not wait for larger ones.
    stream.set_nodelay(true)?;
    if let Err(error) = watcher.add_connecting(&mut stream, token) {
        watcher.forget(stream.as_fd());
        return Err(error);
    }
    Ok(stream)
}

/// Whether a socket is connected by now.
fn outcome(address: SocketAddr, stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // Where nobody listens, the system may have chosen the very port for our end, and connected it to itself.
        Ok(_) if stream.local_addr().is_ok_and(|own| own == address) => {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Each address once, the families in turns (section 4).
fn interleaved(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let of_family = |is_v6: bool| addresses.iter().filter(move |one| one.is_ipv6() == is_v6);
    let (mut v6, mut v4) = (of_family(true), of_family(false));
    let mut all = VecDeque::with_capacity(addresses.len());
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return all;
        }
        for &address in pair.into_iter().flatten() {
            if !all.contains(&address) {
                all.push_back(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_six_first_and_no_address_is_tried_twice() {
        for (given, tried) in [
            (&[][..], &[][..]),
            (&["1.1.1.1:1"], &["1.1.1.1:1"]),
            (
                &["1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "3.3.3.3:1", "[::2]:1"],
                &["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "3.3.3.3:1"],
            ),
            (
                &["[::1]:1", "[::1]:1", "1.1.1.1:1", "[::3]:1"],
                &["[::1]:1", "1.1.1.1:1", "[::3]:1"],
            ),
        ] {
            assert_eq!(interleaved(&addresses(given)), addresses(tried));
        }
    }

    #[test]
    fn more_addresses_than_may_be_are_left_out() {
        let race = Race::new(&addresses(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]), 2);
        assert_eq!(race.waiting, addresses(&["[::1]:1", "1.1.1.1:1"]));
    }
}

//! How many connections each address has, over all service threads. Touched when a connection begins and ends, never on
//! the path of a message.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::net::peer::Peer;

/// Parts of the count that are locked each by itself.
const SHARDS: usize = 16;

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    /// The network is one of IPv6: a /64, the smallest there is, in which whoever has it may take any address. Otherwise it
    /// is one address, also when it is written as one of IPv6.
    is_v6: bool,
    network: u64,
}

impl Source {
    /// Of a peer; none for one without an address.
    fn of(peer: Peer) -> Option<Self> {
        Some(match peer.address()?.ip().to_canonical() {
            IpAddr::V4(address) => Self {
                is_v6: false,
                network: address.to_bits().into(),
            },
            IpAddr::V6(address) => Self {
                is_v6: true,
                network: (address.to_bits() >> 64) as u64,
            },
        })
    }
}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.network);
    }
}

/// Hashes one number by a multiplication. Its keys are random, so that no one can aim at a shard, or at a place in it; a
/// tenth of what SipHash takes, and that twice per connection.
#[derive(Clone, Copy, Debug)]
struct Folding {
    /// Mixed into the number.
    key: u64,
    /// What the result is multiplied by; odd.
    factor: u64,
}

impl Folding {
    fn random() -> Self {
        let random = RandomState::new();
        Self {
            key: random.hash_one(0),
            factor: random.hash_one(1) | 1,
        }
    }
}

impl BuildHasher for Folding {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { by: *self, hash: 0 }
    }
}

struct Folded {
    by: Folding,
    hash: u64,
}

impl Hasher for Folded {
    fn write_u64(&mut self, number: u64) {
        let mixed = u128::from(self.hash ^ number ^ self.by.key) * u128::from(self.by.factor);
        self.hash = mixed as u64 ^ (mixed >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

type Counts = HashMap<Source, u64, Folding>;

/// The connections of all addresses. Peers on unix sockets are not counted.
#[derive(Debug)]
pub struct Addresses {
    shards: [Mutex<Counts>; SHARDS],
    /// Which shard it is.
    hasher: Folding,
}

impl Default for Addresses {
    fn default() -> Self {
        let hasher = Folding::random();
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher))),
            hasher,
        }
    }
}

impl Addresses {
    /// Counts one more connection of `peer`, unless its address has `most` already; 0: as many as come. What is
    /// counted has to [`Self::leave`].
    pub(crate) fn enter(&self, peer: Peer, most: u64) -> bool {
        let Some(source) = Source::of(peer) else {
            return true;
        };
        let mut shard = self.shard(&source);
        let count = shard.entry(source).or_default();
        let has_room = most == 0 || *count < most;
        *count += u64::from(has_room);
        // An address that was counted before keeps its entry, and a new one has room.
        has_room
    }

    /// A connection that was counted has ended.
    pub(crate) fn leave(&self, peer: Peer) {
        let Some(source) = Source::of(peer) else {
            return;
        };
        if let Entry::Occupied(mut entry) = self.shard(&source).entry(source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn shard(&self, source: &Source) -> MutexGuard<'_, Counts> {
        // Of the middle: a map takes its places from the one end, and what it compares first from the other.
        let at = (self.hasher.hash_one(source) >> 40) as usize % SHARDS;
        // Nothing in here can panic with the lock held.
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::Inet(SocketAddr::new(address.parse().unwrap(), 1))
    }

    fn entries(addresses: &Addresses) -> usize {
        let shards = addresses.shards.iter();
        shards.map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_others_have_theirs() {
        let addresses = Addresses::default();
        let (one, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        assert!(addresses.enter(one, 2));
        assert!(addresses.enter(one, 2));
        assert!(!addresses.enter(one, 2));
        assert!(addresses.enter(other, 2));
        addresses.leave(one);
        assert!(addresses.enter(one, 2));
        assert!(!addresses.enter(one, 2));
    }

    #[test]
    fn a_64_of_ipv6_is_one_address_and_a_mapped_address_is_that_of_ipv4() {
        let addresses = Addresses::default();
        assert!(addresses.enter(peer("2001:db8:0:1::1"), 1));
        assert!(!addresses.enter(peer("2001:db8:0:1:ffff::2"), 1));
        assert!(addresses.enter(peer("2001:db8:0:2::1"), 1));
        assert!(addresses.enter(peer("192.0.2.1"), 1));
        assert!(!addresses.enter(peer("::ffff:192.0.2.1"), 1));
        assert!(addresses.enter(peer("::ffff:192.0.2.2"), 1));
    }

    #[test]
    fn without_a_bound_connections_are_counted_all_the_same() {
        let addresses = Addresses::default();
        for _ in 0..3 {
            assert!(addresses.enter(peer("192.0.2.1"), 0));
        }
        assert!(!addresses.enter(peer("192.0.2.1"), 3));
    }

    #[test]
    fn neighbouring_addresses_are_spread_over_all_shards() {
        let addresses = Addresses::default();
        for last in 0..=255 {
            assert!(addresses.enter(peer(&format!("192.0.2.{last}")), 1));
        }
        let fullest = addresses.shards.iter().map(|s| s.lock().unwrap().len());
        assert!(fullest.max().unwrap() <= 64, "{addresses:?}");
    }

    #[test]
    fn peers_on_unix_sockets_are_not_counted() {
        let addresses = Addresses::default();
        for _ in 0..3 {
            assert!(addresses.enter(Peer::Unix, 1));
        }
        assert_eq!(entries(&addresses), 0);
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_have_left() {
        let addresses = Addresses::default();
        for last in 0..200 {
            let peer = peer(&format!("192.0.2.{last}"));
            assert!(addresses.enter(peer, 1));
            assert!(!addresses.enter(peer, 1));
        }
        assert_eq!(entries(&addresses), 200);
        for last in 0..200 {
            addresses.leave(peer(&format!("192.0.2.{last}")));
        }
        assert_eq!(entries(&addresses), 0);
    }
}

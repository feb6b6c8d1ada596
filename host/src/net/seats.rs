//! How many connections each vhost has, over all service threads. Touched when a connection names its vhost first, when
//! it names another one, and when it ends; never on the path of a message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names a vhost for as long as the host runs, also while no config has it. The default value names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostNumber(u16);

/// What a connection holds at a vhost; nothing before its first request. Given back by [`Seats::leave`].
#[derive(Debug, Default)]
pub(crate) struct Seat(VhostNumber);

/// How many connections a vhost may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatBound {
    /// Which vhost.
    pub vhost: VhostNumber,
    /// So many; 0: as many as come.
    pub most: u64,
}

/// A vhost has no seat left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// It was not full for a while, so this is news.
    pub(crate) is_news: bool,
}

/// The connections of all vhosts. They are counted also where there is no bound, so that one that is set later counts
/// those that are there already.
#[derive(Debug, Default)]
pub struct Seats(Mutex<Vec<Vhost>>);

#[derive(Debug)]
struct Vhost {
    name: Arc<str>,
    taken: u64,
    /// It was full, and so many have to leave before that is news again.
    told_at: Option<u64>,
}

impl Seats {
    /// The number of the vhost of this name. A vhost that comes again is the one that it was.
    #[must_use]
    pub fn number(&self, name: &str) -> VhostNumber {
        let mut vhosts = self.lock();
        let known = vhosts.iter().position(|vhost| &*vhost.name == name);
        let at = known.unwrap_or(vhosts.len());
        // After 65,535 names a vhost is not counted any more, rather than taken for another one.
        let Ok(number) = u16::try_from(at + 1) else {
            return VhostNumber::default();
        };
        if known.is_none() {
            vhosts.push(Vhost {
                name: name.into(),
                taken: 0,
                told_at: None,
            });
        }
        VhostNumber(number)
    }

    /// How many connections each vhost has, by name.
    #[must_use]
    pub fn taken(&self) -> Vec<(Arc<str>, u64)> {
        let vhosts = self.lock();
        let taken = vhosts
            .iter()
            .map(|vhost| (Arc::clone(&vhost.name), vhost.taken));
        taken.collect()
    }

    /// Counts a connection for the vhost of `bound`, and for the one that it was at no longer.
    ///
    /// # Errors
    ///
    /// There is no room; the connection stays where it was.
    #[inline]
    pub(crate) fn enter(&self, seat: &mut Seat, bound: SeatBound) -> Result<(), Full> {
        if seat.0 == bound.vhost {
            return Ok(());
        }
        self.change(seat, bound)
    }

    fn change(&self, seat: &mut Seat, bound: SeatBound) -> Result<(), Full> {
        let mut vhosts = self.lock();
        if let Some(vhost) = of(&mut vhosts, bound.vhost) {
            if bound.most > 0 && vhost.taken >= bound.most {
                // Told again when an eighth of it was free meanwhile: at its bound one comes for each that leaves.
                let told_at = bound.most - (bound.most / 8).max(1);
                let is_news = vhost.told_at.replace(told_at).is_none();
                return Err(Full { is_news });
            }
            vhost.taken += 1;
        }
        give_back(&mut vhosts, seat);
        seat.0 = bound.vhost;
        Ok(())
    }

    /// A connection ends.
    pub(crate) fn leave(&self, seat: &mut Seat) {
        if seat.0 != VhostNumber::default() {
            give_back(&mut self.lock(), seat);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vhost>> {
        // Nothing in here can panic with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(vhosts: &mut [Vhost], number: VhostNumber) -> Option<&mut Vhost> {
    vhosts.get_mut(usize::from(number.0).checked_sub(1)?)
}

fn give_back(vhosts: &mut [Vhost], seat: &mut Seat) {
    if let Some(vhost) = of(vhosts, std::mem::take(&mut seat.0)) {
        vhost.taken = vhost.taken.saturating_sub(1);
        vhost.told_at.take_if(|told_at| vhost.taken <= *told_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(seats: &Seats) -> Vec<u64> {
        seats.taken().iter().map(|(_, taken)| *taken).collect()
    }

    /// Bounds of two vhosts, two seats each.
    fn bounds(seats: &Seats) -> [SeatBound; 2] {
        ["one", "two"].map(|name| SeatBound {
            vhost: seats.number(name),
            most: 2,
        })
    }

    #[test]
    fn a_connection_has_one_seat_wherever_it_goes_and_none_when_it_has_ended() {
        let seats = Seats::default();
        let [one, two] = bounds(&seats);
        let mut seat = Seat::default();
        for bound in [one, one, two, one] {
            assert_eq!(seats.enter(&mut seat, bound), Ok(()));
        }
        assert_eq!(taken(&seats), [1, 0]);
        seats.leave(&mut seat);
        seats.leave(&mut seat);
        assert_eq!(taken(&seats), [0, 0]);
    }

    #[test]
    fn who_finds_no_seat_stays_where_it_was() {
        let seats = Seats::default();
        let [one, two] = bounds(&seats);
        let mut others = [Seat::default(), Seat::default()];
        for seat in &mut others {
            seats.enter(seat, one).unwrap();
        }
        let mut seat = Seat::default();
        seats.enter(&mut seat, two).unwrap();
        assert!(seats.enter(&mut seat, one).is_err());
        assert_eq!(taken(&seats), [2, 1]);
        seats.leave(&mut others[0]);
        assert_eq!(seats.enter(&mut seat, one), Ok(()));
        assert_eq!(taken(&seats), [2, 0]);
    }

    #[test]
    fn a_bound_that_comes_later_counts_those_that_are_there() {
        let seats = Seats::default();
        let vhost = seats.number("one");
        let mut held = [Seat::default(), Seat::default()];
        for seat in &mut held {
            let bound = SeatBound { vhost, most: 0 };
            seats.enter(seat, bound).unwrap();
        }
        let bound = SeatBound {
            vhost: seats.number("one"),
            most: 2,
        };
        assert!(seats.enter(&mut Seat::default(), bound).is_err());
    }

    #[test]
    fn that_a_vhost_is_full_is_news_once_until_an_eighth_has_left() {
        let seats = Seats::default();
        let bound = SeatBound {
            vhost: seats.number("one"),
            most: 16,
        };
        let mut held: Vec<Seat> = (0..16).map(|_| Seat::default()).collect();
        for seat in &mut held {
            seats.enter(seat, bound).unwrap();
        }
        let full = || {
            seats
                .enter(&mut Seat::default(), bound)
                .unwrap_err()
                .is_news
        };
        assert!(full());
        assert!(!full());
        seats.leave(&mut held[0]);
        seats.enter(&mut held[0], bound).unwrap();
        assert!(!full());
        for seat in &mut held[..2] {
            seats.leave(seat);
        }
        for seat in &mut held[..2] {
            seats.enter(seat, bound).unwrap();
        }
        assert!(full());
    }
}

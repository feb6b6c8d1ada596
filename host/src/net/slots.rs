//! The connections of one service thread: a slab whose slots know their tenants apart.

use crate::net::token::{ConnectionId, MAX_SLOTS};

/// Slots in a chunk: so many that a chunk is cheap to find, so few that those which are not used yet cost little.
const CHUNK: usize = 64;

/// A slab of `T` by [`ConnectionId`].
///
/// In chunks, since one table that grows leaves its former places behind, which are up to half as large as itself.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    thread: u8,
    chunks: Vec<Box<[Slot<T>; CHUNK]>>,
    /// One above the highest slot that was ever used.
    end: usize,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    /// Of the tenant, or of the next one while the slot is empty.
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new(thread: u8) -> Self {
        Self {
            thread,
            chunks: Vec::new(),
            end: 0,
            free: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The id the next [`Self::insert`] will give; none when all slots are taken.
    pub(crate) fn next_id(&self) -> Option<ConnectionId> {
        let (slot, generation) = match self.free.last() {
            Some(&slot) => (slot, self.slot(slot as usize)?.generation),
            None if self.end < MAX_SLOTS => (self.end as u32, 1),
            None => return None,
        };
        Some(ConnectionId::new(self.thread, slot, generation))
    }

    /// Takes a connection in; gives it back when all slots are taken.
    pub(crate) fn insert(&mut self, value: T) -> Result<ConnectionId, T> {
        let Some(id) = self.next_id() else {
            return Err(value);
        };
        if self.free.pop().is_none() {
            if self.end == self.chunks.len() * CHUNK {
                self.chunks.push(Box::new([const { Slot::EMPTY }; CHUNK]));
            }
            self.end += 1;
        }
        self.chunks[id.slot() / CHUNK][id.slot() % CHUNK].value = Some(value);
        self.len += 1;
        Ok(id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(id.slot() / CHUNK)?;
        let slot = &mut chunk[id.slot() % CHUNK];
        if slot.generation != id.generation() {
            return None;
        }
        slot.value.as_mut()
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let chunk = self.chunks.get_mut(id.slot() / CHUNK)?;
        let slot = &mut chunk[id.slot() % CHUNK];
        if slot.generation != id.generation() {
            return None;
        }
        let value = slot.value.take()?;
        // After 2^32 tenants a slot is left empty for ever rather than give an id twice.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot() as u32);
        }
        self.len -= 1;
        Some(value)
    }

    /// The id of the connection in a slot, if there is one.
    pub(crate) fn id_in(&self, slot: u32) -> Option<ConnectionId> {
        let tenant = self.slot(slot as usize)?;
        let id = ConnectionId::new(self.thread, slot, tenant.generation);
        tenant.value.is_some().then_some(id)
    }

    /// The ids of all connections.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        let tenants = self.chunks.iter().flat_map(|chunk| &**chunk).enumerate();
        tenants
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(at, slot)| ConnectionId::new(self.thread, at as u32, slot.generation))
            .collect()
    }

    fn slot(&self, slot: usize) -> Option<&Slot<T>> {
        Some(&self.chunks.get(slot / CHUNK)?[slot % CHUNK])
    }
}

impl<T> Slot<T> {
    const EMPTY: Self = Self {
        generation: 1,
        value: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_of_many_chunks_is_found_by_its_id() {
        let mut slots = Slots::new(0);
        let ids: Vec<_> = (0..5 * CHUNK + 3)
            .map(|n| slots.insert(n).unwrap())
            .collect();
        assert_eq!(slots.ids(), ids);
        for (n, id) in ids.iter().enumerate() {
            assert_eq!((id.slot(), slots.get_mut(*id)), (n, Some(&mut { n })));
        }
        let beyond = ConnectionId::new(0, ids.len() as u32, 1);
        assert_eq!(slots.get_mut(beyond), None, "in the last chunk and unused");
        assert_eq!(slots.remove(ids[CHUNK]), Some(CHUNK));
        assert_eq!(slots.next_id().map(ConnectionId::slot), Some(CHUNK));
    }

    #[test]
    fn an_id_of_a_former_tenant_meets_nobody() {
        let mut slots = Slots::new(0);
        let first = slots.insert("first").unwrap();
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second").unwrap();
        assert_eq!(first.slot(), second.slot());
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.ids(), [second]);
        assert_eq!((slots.id_in(0), slots.id_in(1)), (Some(second), None));
    }
}

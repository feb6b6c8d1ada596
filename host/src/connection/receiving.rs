//! The receiving half of a connection, which is nothing while nothing is under way: most connections are idle, and the
//! messages of most others arrive whole.

use super::buffers::BufferPool;
use super::extended::Extended;
use super::inbound::{Event, Inbound, InboundRules, whole_message};

/// What is under way. Lent by the pool of the service thread from the first byte that is no whole message until
/// [`Self::rest`].
#[derive(Default)]
pub struct Receiving(Option<Box<Inbound>>);

impl Receiving {
    /// Looks for the next event in `input`, as [`Inbound::next`] does.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        rules: &InboundRules,
        extended: Option<&mut Extended>,
        buffers: &mut BufferPool,
        input: &'a mut [u8],
    ) -> (usize, Event<'a>) {
        if self.0.is_none() && extended.is_none() {
            if input.is_empty() {
                return (0, Event::Need);
            }
            if let Some((kind, range)) = whole_message(rules, input) {
                let payload = &input[range.clone()];
                return (range.end, Event::Message { kind, payload });
            }
        }
        self.next_under_way(rules, extended, buffers, input)
    }

    #[inline(never)]
    fn next_under_way<'a>(
        &'a mut self,
        rules: &InboundRules,
        extended: Option<&mut Extended>,
        buffers: &mut BufferPool,
        input: &'a mut [u8],
    ) -> (usize, Event<'a>) {
        let inbound = self.0.get_or_insert_with(|| buffers.inbound());
        inbound.next(rules, extended, buffers, input)
    }

    /// More input is needed: gives back what is not, unless a message is under way.
    #[inline]
    pub fn rest(&mut self, buffers: &mut BufferPool) {
        if let Some(inbound) = self.0.take_if(|inbound| inbound.is_empty()) {
            buffers.put_inbound(inbound);
        }
    }

    #[cfg(test)]
    pub(super) fn is_lent(&self) -> bool {
        self.0.is_some()
    }

    /// What is under way.
    pub fn under_way(&mut self) -> Option<&mut Inbound> {
        self.0.as_deref_mut()
    }

    /// As [`Inbound::awaits_long`].
    #[inline]
    pub fn awaits_long(&self) -> bool {
        self.0.as_ref().is_some_and(|inbound| inbound.awaits_long())
    }

    /// As [`Inbound::hands_held`].
    pub fn hands_held(&self) -> bool {
        self.0.as_ref().is_some_and(|inbound| inbound.hands_held())
    }

    /// As [`Inbound::discard_data`].
    pub fn discard_data(&mut self) {
        self.0.get_or_insert_default().discard_data();
    }

    /// As [`Inbound::release`].
    pub fn release(&mut self, buffers: &mut BufferPool) {
        if let Some(inbound) = &mut self.0 {
            inbound.release(buffers);
        }
        self.rest(buffers);
    }
}

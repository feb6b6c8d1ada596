//! Fields of an answer that is given again and again: what completes them is put together once.

use std::{borrow::Cow, sync::Arc};

use super::fields::Fields;
use super::response_head::put_content_length;

/// Further fields up to so many bytes are kept with those that they complete.
pub(crate) const FURTHER_BYTES: usize = 1 << 10;

/// Fields of an answer, and the same completed by the further fields that it was given with last.
#[derive(Debug)]
pub(crate) struct RepeatedFields {
    own: Fields,
    /// Held, so that no other ones can have their places.
    further: Vec<Arc<Fields>>,
    completed: Fields,
    ending: Vec<u8>,
}

impl RepeatedFields {
    /// These, of an answer with so many bytes of content.
    pub(crate) fn new(own: Fields, length: u64) -> Self {
        let mut ending = Vec::new();
        put_content_length(&mut ending, length);
        ending.extend_from_slice(b"\r\n");
        Self {
            own,
            further: Vec::new(),
            completed: Fields::new(),
            ending,
        }
    }

    /// As they leave with these further fields, of which the last ones go before; and what ends a head behind them: the
    /// length of the content, and the empty line.
    pub(crate) fn with(&mut self, further: &[Arc<Fields>]) -> (Cow<'_, Fields>, &[u8]) {
        if further.is_empty() {
            return (Cow::Borrowed(&self.own), &self.ending);
        }
        let both = || self.further.iter().zip(further);
        let is_same = self.further.len() == further.len()
            && both().all(|(one, other)| Arc::ptr_eq(one, other));
        if !is_same {
            let completed = completed(&self.own, further);
            if completed.as_bytes().len() > self.own.as_bytes().len() + FURTHER_BYTES {
                return (Cow::Owned(completed), &self.ending);
            }
            self.completed = completed;
            self.further = further.to_vec();
        }
        (Cow::Borrowed(&self.completed), &self.ending)
    }
}

/// Fields with those of `further` that they do not have; the last ones go before.
pub(crate) fn completed(own: &Fields, further: &[Arc<Fields>]) -> Fields {
    let mut completed = own.clone();
    for more in further.iter().rev() {
        completed.complete(more);
    }
    completed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &str, value: &str) -> Fields {
        let mut fields = Fields::new();
        fields.set(name, value);
        fields
    }

    #[test]
    fn they_are_completed_anew_whenever_the_further_ones_are_others() {
        let own = fields("A", "1");
        let mut repeated = RepeatedFields::new(own.clone(), 7);
        let large = "x".repeat(2 * FURTHER_BYTES);
        let [one, other, same, large] = [("B", "2"), ("B", "3"), ("a", "4"), ("C", &*large)]
            .map(|(name, value)| Arc::new(fields(name, value)));
        let cases: [&[&Arc<Fields>]; 11] = [
            &[],
            &[&one],
            &[&one],
            &[&other],
            &[&one, &other],
            &[&other, &one],
            &[&large],
            &[&one],
            &[&same],
            &[&large],
            &[],
        ];
        for further in cases {
            let further: Vec<_> = further.iter().map(|fields| Arc::clone(fields)).collect();
            let (fields, ending) = repeated.with(&further);
            assert_eq!(*fields, completed(&own, &further));
            assert_eq!(ending, b"Content-Length: 7\r\n\r\n");
            assert!(repeated.completed.as_bytes().len() <= FURTHER_BYTES + own.as_bytes().len());
        }
    }
}

//! Fields of an answer that is given again and again: what completes them is put together once.

use std::{borrow::Cow, sync::Arc};

use super::fields::Fields;

/// Further fields up to so many bytes are kept with those that they complete.
pub(crate) const FURTHER_BYTES: usize = 1 << 10;

/// Fields of an answer, and the same completed by the further fields that it was given with last.
#[derive(Debug)]
pub(crate) struct RepeatedFields {
    own: Fields,
    /// Held, so that no other ones can have their places.
    further: Vec<Arc<Fields>>,
    completed: Fields,
}

impl RepeatedFields {
    /// These.
    pub(crate) fn new(own: Fields) -> Self {
        Self {
            own,
            further: Vec::new(),
            completed: Fields::new(),
        }
    }

    /// As they leave with these further fields, of which the last ones go before.
    pub(crate) fn with(&mut self, further: &[Arc<Fields>]) -> Cow<'_, Fields> {
        if further.is_empty() {
            return Cow::Borrowed(&self.own);
        }
        let both = || self.further.iter().zip(further);
        let is_same = self.further.len() == further.len()
            && both().all(|(one, other)| Arc::ptr_eq(one, other));
        if !is_same {
            let completed = completed(&self.own, further);
            if completed.as_bytes().len() > self.own.as_bytes().len() + FURTHER_BYTES {
                return Cow::Owned(completed);
            }
            self.completed = completed;
            self.further = further.to_vec();
        }
        Cow::Borrowed(&self.completed)
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
        let mut repeated = RepeatedFields::new(own.clone());
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
            assert_eq!(*repeated.with(&further), completed(&own, &further));
            assert!(repeated.completed.as_bytes().len() <= FURTHER_BYTES + own.as_bytes().len());
        }
    }
}

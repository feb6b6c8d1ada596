//! The fields of a request head as they stand in it, and the room they are listed in, which the next head gets.

use std::fmt;

/// Room for so many fields is kept from one head to the next: a few more than `limits.request_field_count` has by default.
const KEPT_FIELDS: usize = 128;

/// A field of a head.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// A token.
    pub(super) name: &'a str,
    pub(super) value: &'a [u8],
}

/// Fields in order.
#[derive(Debug, Default)]
pub(super) struct FieldList<'a> {
    fields: Vec<Field<'a>>,
    /// Which marks their names have, one bit each: most of the fields that are asked for are not there.
    marks: u64,
}

/// Where the fields of heads are listed, one head after the other.
#[derive(Debug, Default)]
pub(crate) struct FieldRoom(Vec<Field<'static>>);

impl<'a> FieldList<'a> {
    /// None yet, in the room of others.
    pub(super) fn within(room: FieldRoom) -> Self {
        Self {
            fields: room.0,
            marks: 0,
        }
    }

    /// Forgets them and gives their room, unless there is too much of it to be kept.
    pub(super) fn into_room(self) -> FieldRoom {
        let mut fields = self.fields;
        if fields.capacity() > KEPT_FIELDS {
            return FieldRoom::default();
        }
        fields.clear();
        // Of none of them: what is collected in place stays where it was.
        FieldRoom(fields.into_iter().map(|_| Field::default()).collect())
    }

    pub(super) fn push(&mut self, field: Field<'a>) {
        self.marks |= mark(field.name.as_bytes());
        self.fields.push(field);
    }

    /// Name and value of the field with this index.
    pub(super) fn get(&self, index: usize) -> Option<(&'a str, &'a [u8])> {
        let Field { name, value } = self.fields.get(index)?;
        Some((name, value))
    }

    /// The bytes of the longest one, name and value.
    pub(super) fn longest(&self) -> u64 {
        let bytes = |field: &Field<'_>| (field.name.len() + field.value.len()) as u64;
        self.fields.iter().map(bytes).max().unwrap_or_default()
    }

    /// The values of the fields with this name, in any case of letters.
    #[inline]
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = match self.marks & mark(name.as_bytes()) {
            0 => &[],
            _ => &self.fields[..],
        };
        fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }
}

/// One bit of 64 for a name, the same in any case of its letters.
#[inline]
fn mark(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, |byte| byte & 0x1f);
    1 << ((usize::from(first) + 5 * name.len()) % 64)
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value } = self;
        write!(f, "{}: {}", name, value.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_one_head_is_that_of_the_next() {
        let text = "name: value".to_owned();
        let mut list = FieldList::default();
        list.push(Field {
            name: &text[..4],
            value: &text.as_bytes()[6..],
        });
        let before = list.fields.as_ptr().addr();
        let room = list.into_room();
        drop(text);
        let next = FieldList::within(room);
        assert_eq!(next.fields.len(), 0);
        assert_eq!(next.named("name").count(), 0);
        assert_eq!(next.fields.as_ptr().addr(), before);
    }

    #[test]
    fn more_room_than_heads_have_by_default_is_not_kept() {
        let mut list = FieldList::default();
        for _ in 0..=KEPT_FIELDS {
            list.push(Field::default());
        }
        assert_eq!(list.into_room().0.capacity(), 0);
    }

    #[test]
    fn a_field_is_found_in_any_case_of_letters_and_beside_others_with_its_mark() {
        let mut list = FieldList::default();
        // `mabc` and `hosts` have one mark, and so have `Host` and `cabcd`.
        for (name, value) in [
            ("Host", "1"),
            ("mabc", "2"),
            ("hosts", "3"),
            ("ABCDE", "4"),
            ("host", "5"),
        ] {
            let value = value.as_bytes();
            list.push(Field { name, value });
        }
        for (name, values) in [
            ("HOST", &["1", "5"][..]),
            ("Mabc", &["2"]),
            ("abcde", &["4"]),
            ("cost", &[]),
            ("cabcd", &[]),
            ("", &[]),
        ] {
            let found: Vec<_> = list.named(name).collect();
            let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, values, "{name}");
        }
    }
}

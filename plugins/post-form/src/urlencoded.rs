//! Forms without files: `application/x-www-form-urlencoded`.

use std::sync::Arc;

use crate::form::{Failure, Field, Form, MOST_NAME_BYTES, Rules};

/// Reads such a form as it comes, pair by pair.
pub(crate) struct UrlEncoded {
    rules: Arc<Rules>,
    /// The pair that is not whole yet.
    pair: Vec<u8>,
    form: Form,
}

impl UrlEncoded {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            pair: Vec::new(),
            form: Form::default(),
        }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut pieces = bytes.split(|byte| *byte == b'&');
        // The first one goes on with the pair before; each other begins a new one.
        if let Some(first) = pieces.next() {
            self.grow(first)?;
        }
        for piece in pieces {
            self.end_pair()?;
            self.grow(piece)?;
        }
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<Form, Failure> {
        self.end_pair()?;
        Ok(self.form)
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        // A byte is written in three at most.
        let most = (self.rules.most_field_bytes + MOST_NAME_BYTES).saturating_mul(3);
        if self.pair.len() + bytes.len() > most {
            let name = self.pair.split(|byte| *byte == b'=').next();
            let name = name.filter(|name| name.len() <= MOST_NAME_BYTES);
            let name = String::from_utf8_lossy(name.unwrap_or_default());
            return Err(self.rules.field_is_too_large(&name));
        }
        self.pair.extend_from_slice(bytes);
        Ok(())
    }

    fn end_pair(&mut self) -> Result<(), Failure> {
        for (name, value) in form_urlencoded::parse(&self.pair) {
            let (name, value) = (name.into_owned(), value.into_owned());
            self.form.add_field(Field { name, value }, &self.rules)?;
        }
        self.pair.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Arc<Rules> {
        Arc::new(Rules {
            directory: None,
            most_file_bytes: 0,
            most_files: 0,
            most_field_bytes: 10,
            most_fields: 3,
        })
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, Failure> {
        let mut form = UrlEncoded::new(rules());
        for piece in pieces {
            form.take(piece)?;
        }
        let fields = form.end()?.fields.into_iter();
        Ok(fields.map(|field| (field.name, field.value)).collect())
    }

    #[test]
    fn a_form_is_the_same_wherever_it_is_split() {
        let body = b"a=1+2&&b%3D=%C3%A9&c";
        let whole = [("a", "1 2"), ("b=", "\u{e9}"), ("c", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        for at in 0..=body.len() {
            assert_eq!(
                read(&[&body[..at], &body[at..]]).expect("right"),
                whole,
                "{at}"
            );
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(read(&bytes).expect("right"), whole);
        assert_eq!(read(&[]).expect("right"), []);
    }

    #[test]
    fn a_form_has_its_limits() {
        let status = |pieces: &[&[u8]]| read(pieces).expect_err("too much").status;
        read(&[b"a=1234567890&b=%31%32%33%34%35%36%37%38%39%30"]).expect("just right");
        assert_eq!(status(&[b"a=12345678901"]), 413);
        assert_eq!(status(&[b"a=1&a=2&a=3&a=4"]), 413);
        assert_eq!(status(&[b"a=", &[b'x'; 4000]]), 413);
        assert_eq!(status(&[&[b'x'; 1025]]), 413);
    }
}

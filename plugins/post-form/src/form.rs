//! What a form has in it, and what it may have.

use std::path::PathBuf;

use serde::Serialize;

use crate::files::{Draft, Stored};

/// The most bytes of the name of a field.
pub(crate) const MOST_NAME_BYTES: usize = 1024;

/// What a form may have.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Where files go; without it none are taken.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) most_file_bytes: u64,
    pub(crate) most_files: usize,
    pub(crate) most_field_bytes: usize,
    pub(crate) most_fields: usize,
}

/// A form that is taken in, before its files have their names.
#[derive(Default)]
pub(crate) struct Form {
    pub(crate) fields: Vec<Field>,
    pub(crate) files: Vec<Draft>,
}

/// A field that is no file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// What the peer is told: all of it, decoded.
#[derive(Serialize)]
pub(crate) struct Receipt {
    pub(crate) fields: Vec<Field>,
    pub(crate) files: Vec<Stored>,
}

/// Why a form is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// For the peer, or with 500 for the log.
    pub(crate) why: String,
}

impl Failure {
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self {
            status: 400,
            why: why.into(),
        }
    }

    pub(crate) fn too_much(why: impl Into<String>) -> Self {
        Self {
            status: 413,
            why: why.into(),
        }
    }
}

impl Form {
    /// Adds a field, if there may be one more, of that size.
    pub(crate) fn add_field(&mut self, field: Field, rules: &Rules) -> Result<(), Failure> {
        if self.fields.len() >= rules.most_fields {
            let why = format!("a form may have {} fields here", rules.most_fields);
            return Err(Failure::too_much(why));
        }
        if field.name.len() > MOST_NAME_BYTES {
            let why = format!("the name of a field may have {MOST_NAME_BYTES} bytes here");
            return Err(Failure::too_much(why));
        }
        if field.value.len() > rules.most_field_bytes {
            return Err(rules.field_is_too_large(&field.name));
        }
        self.fields.push(field);
        Ok(())
    }

    /// Gives the files their names. If one cannot have one, none has.
    pub(crate) fn store(self) -> Result<Receipt, Failure> {
        let mut files = Vec::with_capacity(self.files.len());
        for draft in self.files {
            match draft.store() {
                Ok(stored) => files.push(stored),
                Err(failure) => {
                    files.iter().for_each(Stored::remove);
                    return Err(failure);
                }
            }
        }
        Ok(Receipt {
            fields: self.fields,
            files,
        })
    }
}

impl Rules {
    pub(crate) fn field_is_too_large(&self, name: &str) -> Failure {
        Failure::too_much(format!(
            "the field {name:?} is larger than the {} bytes that a field may have here",
            self.most_field_bytes
        ))
    }
}

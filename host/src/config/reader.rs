//! Takes a parsed file apart and gathers what is wrong on the way, so that one run shows every fault.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged};

use super::error::Fault;
use super::source::Source;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) range: Range,
}

/// Reads values of one file.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Self {
        Self {
            source,
            faults: RefCell::default(),
        }
    }

    /// What was found wrong.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// Notes what is wrong at `range`.
    pub(super) fn refuse(&self, range: Range, cause: impl Into<String>, mend: impl Into<String>) {
        self.faults
            .borrow_mut()
            .push(Fault::at(self.source.place(range), cause, mend));
    }

    /// Notes what is wrong beside the file.
    pub(super) fn refuse_outside(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// The properties of an object, each key at most once.
    pub(super) fn properties<'v>(
        &self,
        value: &'v Value<'v>,
        what: &str,
    ) -> Vec<(Located<&'v str>, &'v Value<'v>)> {
        let Some(object) = value.as_object() else {
            self.refuse_type(value, what, "an object", "{ ... }");
            return Vec::new();
        };
        let mut properties: Vec<(Located<&str>, &Value<'_>)> = Vec::new();
        for property in &object.properties {
            let range = match &property.name {
                ObjectPropName::String(name) => name.range,
                ObjectPropName::Word(name) => name.range,
            };
            let key = property.name.as_str();
            if properties.iter().any(|(seen, _)| seen.value == key) {
                self.refuse(
                    range,
                    format!("the key `{key}` is written twice"),
                    "leave one of them out",
                );
            } else {
                properties.push((Located { value: key, range }, &property.value));
            }
        }
        properties
    }

    /// Notes that `key` is none of `known`, with the one that was probably meant.
    pub(super) fn refuse_key(&self, key: &Located<&str>, known: &[&str]) {
        self.refuse(
            key.range,
            format!("unknown key `{}`", key.value),
            meant(key.value, known),
        );
    }

    /// A string.
    pub(super) fn string(
        &self,
        value: &Value<'_>,
        what: &str,
        example: &str,
    ) -> Option<Located<String>> {
        let found = value.as_string_lit().map(|s| Located {
            value: s.value.to_string(),
            range: s.range,
        });
        if found.is_none() {
            self.refuse_type(value, what, "a string", &format!("\"{example}\""));
        }
        found
    }

    /// A path as it was written.
    pub(super) fn path(&self, value: &Value<'_>, what: &str, example: &str) -> Option<String> {
        let written = self.string(value, what, example)?;
        if written.value.is_empty() || written.value.contains('\0') {
            self.refuse(
                written.range,
                format!("`{what}` is no path"),
                format!("write for example \"{example}\""),
            );
            return None;
        }
        Some(written.value)
    }

    /// A path of the file, which is relative to the directory of the file.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        let directory = self.source.path.parent();
        directory.unwrap_or_else(|| Path::new("")).join(path)
    }

    /// True or false.
    pub(super) fn flag(&self, value: &Value<'_>, what: &str) -> Option<bool> {
        let found = value.as_boolean_lit().map(|boolean| boolean.value);
        if found.is_none() {
            self.refuse_type(value, what, "true or false", "true");
        }
        found
    }

    /// A list of strings.
    pub(super) fn strings(
        &self,
        value: &Value<'_>,
        what: &str,
        example: &str,
    ) -> Vec<Located<String>> {
        let Some(list) = value.as_array() else {
            self.refuse_type(
                value,
                what,
                "a list of strings",
                &format!("[\"{example}\"]"),
            );
            return Vec::new();
        };
        list.elements
            .iter()
            .filter_map(|element| self.string(element, what, example))
            .collect()
    }

    /// A whole number from 0.
    pub(super) fn whole(&self, value: &Value<'_>, what: &str) -> Option<Located<u64>> {
        let Some(number) = value.as_number_lit() else {
            self.refuse_type(value, what, "a whole number", "1000");
            return None;
        };
        let Ok(found) = number.value.parse() else {
            self.refuse(
                number.range,
                format!(
                    "`{what}` is a whole number from 0 to {}, not {}",
                    u64::MAX,
                    number.value
                ),
                "write the number in digits, without sign, point or exponent",
            );
            return None;
        };
        Some(Located {
            value: found,
            range: number.range,
        })
    }

    /// One of a few words.
    pub(super) fn word<T>(
        &self,
        value: &Value<'_>,
        what: &str,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let written = self.string(value, what, words[0])?;
        let parsed = parse(&written.value);
        if parsed.is_none() {
            let cause = format!("`{what}` cannot be `{}`", written.value);
            self.refuse(written.range, cause, meant(&written.value, words));
        }
        parsed
    }

    /// Any JSON, as it is.
    pub(super) fn json(&self, value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::NullKeyword(_) => serde_json::Value::Null,
            Value::BooleanLit(boolean) => boolean.value.into(),
            Value::StringLit(string) => string.value.as_ref().into(),
            Value::Array(list) => list
                .elements
                .iter()
                .map(|element| self.json(element))
                .collect(),
            Value::Object(_) => {
                let properties = self.properties(value, "options");
                properties
                    .into_iter()
                    .map(|(key, value)| (key.value.to_owned(), self.json(value)))
                    .collect()
            }
            Value::NumberLit(number) => number.value.parse::<serde_json::Number>().map_or_else(
                |_| {
                    let cause = format!("{} is a number that cannot be represented", number.value);
                    self.refuse(number.range, cause, "write a smaller number, or a string");
                    serde_json::Value::Null
                },
                serde_json::Value::Number,
            ),
        }
    }

    /// Notes that `what` is of the wrong type.
    pub(super) fn refuse_type(&self, value: &Value<'_>, what: &str, wanted: &str, example: &str) {
        let found = match value {
            Value::StringLit(_) => "a string",
            Value::NumberLit(_) => "a number",
            Value::BooleanLit(_) => "a boolean",
            Value::Object(_) => "an object",
            Value::Array(_) => "a list",
            Value::NullKeyword(_) => "null",
        };
        self.refuse(
            value.range(),
            format!("`{what}` is {wanted}, not {found}"),
            format!("write for example {example}"),
        );
    }
}

/// What to write instead of `word`: the nearest of `known`, else all of them.
pub(crate) fn meant(word: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), candidate),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min();
    match nearest {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None => format!("known here are {}", list(known)),
    }
}

/// `a`, `b` and `c`, each in backticks.
pub(super) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

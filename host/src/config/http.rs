//! What is set for HTTP beside the mounts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::reader::Reader;
use crate::access_log::{Format, Settings};
use crate::context::files::FilesMount;
use crate::context::mounts::Mounts;
use crate::context::own_fields::OwnFields;

/// What was written of HTTP; paths are relative to the working directory already.
#[derive(Debug, Default)]
pub(super) struct WrittenHttp {
    pub(super) mounts: Mounts<FilesMount>,
    pub(super) default_http: Option<String>,
    pub(super) error_pages: BTreeMap<u16, PathBuf>,
    pub(super) own_fields: OwnFields,
    pub(super) access_log: Option<Settings>,
}

/// Files by status.
pub(super) fn error_pages(value: &Value<'_>, reader: &Reader<'_>) -> BTreeMap<u16, PathBuf> {
    let mut pages = BTreeMap::new();
    for (key, value) in reader.properties(value, "error_pages") {
        let file = reader.path(value, key.value, "404.html");
        match error_status(key.value) {
            Some(status) => pages.extend(file.map(|file| (status, reader.beside(&file)))),
            None => reader.refuse(
                key.range,
                format!("`{}` is no status of an error", key.value),
                "write a number from 400 to 599, as in \"404\": \"404.html\"",
            ),
        }
    }
    pages
}

fn error_status(key: &str) -> Option<u16> {
    let is_number = key.len() == 3 && key.bytes().all(|byte| byte.is_ascii_digit());
    let status = key.parse().ok().filter(|_| is_number)?;
    (400..=599).contains(&status).then_some(status)
}

/// `-` is standard error.
pub(super) fn access_log(value: &Value<'_>, reader: &Reader<'_>) -> Option<Settings> {
    let properties = reader.properties(value, "access_log");
    if value.as_object().is_some() && properties.iter().all(|(key, _)| key.value != "file") {
        let mend = "write \"file\": \"access.log\", or \"file\": \"-\" for standard error";
        reader.refuse(value.range(), "`access_log` names no file", mend);
    }
    let mut file = None;
    let mut format = Format::default();
    for (key, value) in properties {
        match key.value {
            "file" => file = reader.path(value, "file", "access.log"),
            "format" => format = log_format(value, reader).unwrap_or_default(),
            _ => reader.refuse_key(&key, &["file", "format"]),
        }
    }
    let file = file?;
    Some(Settings {
        file: (file != "-").then(|| reader.beside(&file)),
        format,
    })
}

fn log_format(value: &Value<'_>, reader: &Reader<'_>) -> Option<Format> {
    reader.word(value, "format", &["combined", "json"], |word| match word {
        "combined" => Some(Format::Combined),
        "json" => Some(Format::Json),
        _ => None,
    })
}

#[cfg(test)]
mod tests;

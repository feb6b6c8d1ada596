//! The part `mounts`: what of the path space is whose.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};

use super::reader::{Located, Reader};
use crate::context::files::{FilesFrom, FilesMount};
use crate::context::mounts::{BadPoint, Mount, MountKind, Mounts, check_point};
use crate::context::redirect::{BadTarget, DEFAULT_STATUS, Redirect, STATUSES};
use crate::wire::fields::{BadField, Fields, check, is_token};

/// The mount of files at `/`.
pub(super) fn www(root: PathBuf) -> Mount<FilesMount> {
    Mount {
        point: "/".into(),
        kind: MountKind::Files(FilesMount::new(root)),
        fields: Arc::default(),
    }
}

type Properties<'v> = Vec<(Located<&'v str>, &'v Value<'v>)>;

/// The keys of which each mount has one; `status` also belongs to `redirect`.
const KINDS: &[&str] = &["files", "zip", "redirect", "protocol", "status"];

/// All keys of all mounts, for one of which nobody knows its kind.
const KEYS: &[&str] = &[
    "files",
    "zip",
    "redirect",
    "protocol",
    "status",
    "text",
    "index",
    "types",
    "cache_control",
    "precompressed",
    "follow_links",
    "body_bytes",
    "fields",
];

pub(super) fn mounts(value: &Value<'_>, reader: &Reader<'_>) -> Mounts<FilesMount> {
    let mut mounts = Mounts::default();
    let mut places = Vec::new();
    for (point, value) in reader.properties(value, "mounts") {
        let judged = check_point(point.value);
        if let Err(bad) = judged {
            let cause = format!("the mountpoint `{}` {bad}", point.value);
            reader.refuse(point.range, cause, mend_of_point(bad, point.value));
        }
        // The rest is looked at all the same, so that one run shows every fault.
        let properties = reader.properties(value, point.value);
        if value.as_object().is_none() {
            continue;
        }
        let Some((kind, fields)) = mount(&point, value.range(), properties, reader) else {
            continue;
        };
        if judged.is_ok() {
            places.push(point.clone());
            mounts.put(Mount {
                point: point.value.into(),
                kind,
                fields: fields.into(),
            });
        }
    }
    refuse_loops(&mounts, &places, reader);
    mounts
}

fn mend_of_point(bad: BadPoint, point: &str) -> String {
    match bad {
        BadPoint::Relative => format!("write `/{point}`"),
        BadPoint::FinalSlash => {
            let right = point.trim_end_matches('/');
            format!("write `{right}`, which takes `{right}/` too")
        }
        BadPoint::Empty => "write single slashes".to_owned(),
        BadPoint::Dots => "write the path that is meant".to_owned(),
        BadPoint::Character => {
            "write the path alone and decoded, as in `/a b` for /a%20b".to_owned()
        }
    }
}

/// A redirect below its own mountpoint never ends.
fn refuse_loops(mounts: &Mounts<FilesMount>, places: &[Located<&str>], reader: &Reader<'_>) {
    for mount in mounts.iter() {
        let MountKind::Redirect(redirect) = &mount.kind else {
            continue;
        };
        let Some(path) = redirect.path() else {
            continue;
        };
        let place = places.iter().find(|place| place.value == &*mount.point);
        if let (Ok(Some((taker, _))), Some(place)) = (mounts.find(path), place)
            && taker.point == mount.point
        {
            let cause = format!(
                "`{}` redirects to itself, since it takes {path}",
                place.value
            );
            let mend = "redirect to another host, or to a path below another mount";
            reader.refuse(place.range, cause, mend);
        }
    }
}

fn mount(
    point: &Located<&str>,
    range: Range,
    mut properties: Properties<'_>,
    reader: &Reader<'_>,
) -> Option<(MountKind<FilesMount>, Fields)> {
    let is_redirect = properties.iter().any(|(key, _)| key.value == "redirect");
    let kinds: Vec<&str> = properties
        .iter()
        .map(|(key, _)| key.value)
        .filter(|key| KINDS.contains(key) && !(is_redirect && *key == "status"))
        .collect();
    let mut extra = Fields::new();
    if let Some(at) = properties.iter().position(|(key, _)| key.value == "fields") {
        extra = fields(properties.remove(at).1, reader);
    }
    let kind = match *kinds.as_slice() {
        ["files"] => MountKind::Files(files(&properties, DIRECTORY_KEYS, reader)?),
        ["zip"] => MountKind::Files(files(&properties, ARCHIVE_KEYS, reader)?),
        ["redirect"] => MountKind::Redirect(redirect(&properties, reader)?),
        ["protocol"] => protocol(&properties, reader)?,
        ["status"] => status(&properties, reader)?,
        [] => {
            refuse_kindless(point, range, &properties, reader);
            return None;
        }
        [first, second, ..] => {
            let again = properties.iter().find(|(key, _)| key.value == second);
            if let Some((key, _)) = again {
                let cause = format!("`{}` has both `{first}` and `{second}`", point.value);
                reader.refuse(key.range, cause, "leave one of them out");
            }
            return None;
        }
        [_] => return None,
    };
    Some((kind, extra))
}

fn refuse_kindless(
    point: &Located<&str>,
    range: Range,
    properties: &Properties<'_>,
    reader: &Reader<'_>,
) {
    let mut unknown = properties
        .iter()
        .filter(|(key, _)| !KEYS.contains(&key.value))
        .peekable();
    if unknown.peek().is_none() {
        let cause = format!("the mount `{}` does not say what answers", point.value);
        let mend = "write one of `files`, `zip`, `redirect`, `protocol` and `status`";
        reader.refuse(range, cause, mend);
    }
    for (key, _) in unknown {
        reader.refuse_key(key, KEYS);
    }
}

/// The keys of a mount of the files of a directory.
const DIRECTORY_KEYS: &[&str] = &[
    "files",
    "index",
    "types",
    "cache_control",
    "precompressed",
    "follow_links",
    "fields",
];

/// The keys of a mount of a zip archive.
const ARCHIVE_KEYS: &[&str] = &[
    "zip",
    "index",
    "types",
    "cache_control",
    "precompressed",
    "fields",
];

fn files(properties: &Properties<'_>, keys: &[&str], reader: &Reader<'_>) -> Option<FilesMount> {
    let mut files = FilesMount::new("");
    let mut from = None;
    for (key, value) in properties {
        match key.value {
            unknown if !keys.contains(&unknown) => reader.refuse_key(key, keys),
            "files" => {
                let path = reader.path(value, "files", "www");
                from = path.map(|path| FilesFrom::Directory(reader.beside(&path)));
            }
            "zip" => from = archive(key, value, reader),
            "index" => files.index = index(value, reader),
            "types" => files.types = types(value, reader),
            "cache_control" => files.cache_control = cache_control(value, reader),
            "precompressed" => files.precompressed = reader.flag(value, key.value).unwrap_or(true),
            "follow_links" => files.follow_links = reader.flag(value, key.value).unwrap_or(false),
            // `fields` was taken out before.
            _ => {}
        }
    }
    files.from = from?;
    Some(files)
}

#[cfg(feature = "zip")]
fn archive(_: &Located<&str>, value: &Value<'_>, reader: &Reader<'_>) -> Option<FilesFrom> {
    let path = reader.path(value, "zip", "site.zip")?;
    Some(FilesFrom::Zip(reader.beside(&path)))
}

#[cfg(not(feature = "zip"))]
fn archive(key: &Located<&str>, _: &Value<'_>, reader: &Reader<'_>) -> Option<FilesFrom> {
    let cause = "this host was built without zip archives";
    let mend = "build it with the feature `zip`, or unpack the archive and write `files`";
    reader.refuse(key.range, cause, mend);
    None
}

fn index(value: &Value<'_>, reader: &Reader<'_>) -> Vec<String> {
    let names = reader.strings(value, "index", "index.html");
    for name in &names {
        if matches!(name.value.as_str(), "" | "." | "..") || name.value.contains(['/', '\0']) {
            let cause = format!("`{}` is no name of a file", name.value);
            reader.refuse(
                name.range,
                cause,
                "write a name without slashes, as \"index.html\"",
            );
        }
    }
    names.into_iter().map(|name| name.value).collect()
}

fn types(value: &Value<'_>, reader: &Reader<'_>) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for (extension, value) in reader.properties(value, "types") {
        if extension.value.is_empty() || extension.value.contains(['.', '/']) {
            let cause = format!("`{}` is no extension of a file", extension.value);
            reader.refuse(extension.range, cause, "write it without dots, as \"md\"");
        }
        let Some(media_type) = reader.string(value, extension.value, "text/markdown") else {
            continue;
        };
        if !is_media_type(&media_type.value) {
            let cause = format!("`{}` is no media type", media_type.value);
            reader.refuse(
                media_type.range,
                cause,
                "write for example \"text/markdown\"",
            );
        }
        types.insert(extension.value.to_ascii_lowercase(), media_type.value);
    }
    types
}

/// RFC 9110 section 8.3.1, as far as a field needs it: what is written behind the first semicolon is not judged.
fn is_media_type(text: &str) -> bool {
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let names = essence.trim_end().split_once('/');
    text.is_ascii()
        && check("Content-Type", text.as_bytes()).is_ok()
        && names.is_some_and(|(kind, name)| is_token(kind.as_bytes()) && is_token(name.as_bytes()))
}

fn cache_control(value: &Value<'_>, reader: &Reader<'_>) -> Option<String> {
    let written = reader.string(value, "cache_control", "max-age=60")?;
    if written.value.is_empty() || check("Cache-Control", written.value.as_bytes()).is_err() {
        let cause = "`cache_control` is no value of a field";
        reader.refuse(written.range, cause, "write for example \"max-age=60\"");
    }
    Some(written.value)
}

fn redirect(properties: &Properties<'_>, reader: &Reader<'_>) -> Option<Redirect> {
    let mut target = None;
    let mut code = u64::from(DEFAULT_STATUS);
    for (key, value) in properties {
        match key.value {
            "redirect" => target = reader.string(value, "redirect", "/new"),
            "status" => {
                let written = reader.whole(value, "status")?;
                code = written.value;
                if !STATUSES.iter().any(|status| u64::from(*status) == code) {
                    let cause = format!("the `status` of a redirect cannot be {code}");
                    let mend = "write 301, 302, 303, 307 or 308, or leave the key out for 308";
                    reader.refuse(written.range, cause, mend);
                }
            }
            _ => reader.refuse_key(key, &["redirect", "status", "fields"]),
        }
    }
    let target = target?;
    let code = u16::try_from(code).ok()?;
    Redirect::new(&target.value, code)
        .map_err(|bad| {
            let cause = format!("the target `{}` {bad}", target.value);
            reader.refuse(target.range, cause, mend_of_target(bad));
        })
        .ok()
}

const fn mend_of_target(bad: BadTarget) -> &'static str {
    match bad {
        BadTarget::Form => "write for example \"/new\" or \"https://example.org/new\"",
        BadTarget::Host => "write one slash for a path here, or \"https://\" and the host",
        BadTarget::Authority => "write for example \"https://example.org/new\"",
        BadTarget::Asterisk => {
            "write \"https://*\" for the host that was asked for, with a port and a path behind it if you like"
        }
        BadTarget::Port => {
            "write a number from 1 to 65535 behind it, or leave the colon out for 443"
        }
        BadTarget::Query => "leave it out; the query of the request is kept",
        BadTarget::Character => "encode it, as in \"/a%20b\"",
    }
}

fn status(properties: &Properties<'_>, reader: &Reader<'_>) -> Option<MountKind<FilesMount>> {
    let mut code = None;
    let mut text = None;
    for (key, value) in properties {
        match key.value {
            "status" => code = reader.whole(value, "status"),
            "text" => text = reader.string(value, "text", "ok"),
            _ => reader.refuse_key(key, &["status", "text", "fields"]),
        }
    }
    let code = code?;
    let mend = match code.value {
        200..=299 | 400..=599 => None,
        300..=399 => Some("write `redirect`, and `status` beside it"),
        _ => Some("write a number from 200 to 299, or from 400 to 599"),
    };
    if let Some(mend) = mend {
        let cause = format!("the `status` of a mount cannot be {}", code.value);
        reader.refuse(code.range, cause, mend);
    }
    // RFC 9110 sections 15.3.5 and 15.3.6.
    if let (204 | 205, Some(text)) = (code.value, &text) {
        let cause = format!("an answer with {} has no content", code.value);
        reader.refuse(text.range, cause, "leave `text` out, or write 200");
    }
    Some(MountKind::Status {
        status: u16::try_from(code.value).ok()?,
        text: text.map(|text| text.value.into()),
    })
}

fn protocol(properties: &Properties<'_>, reader: &Reader<'_>) -> Option<MountKind<FilesMount>> {
    let mut name = None;
    let mut body_bytes = None;
    for (key, value) in properties {
        match key.value {
            "protocol" => name = reader.string(value, "protocol", "cgi"),
            "body_bytes" => body_bytes = reader.whole(value, "body_bytes"),
            _ => reader.refuse_key(key, &["protocol", "body_bytes", "fields"]),
        }
    }
    Some(MountKind::Protocol {
        name: name?.value.into(),
        body_bytes: body_bytes.map(|bytes| bytes.value),
    })
}

fn fields(value: &Value<'_>, reader: &Reader<'_>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in reader.properties(value, "fields") {
        let Some(text) = reader.string(value, name.value, "web") else {
            continue;
        };
        let Err(bad) = fields.add(name.value, text.value.as_bytes()) else {
            continue;
        };
        let (range, mend) = match bad {
            BadField::Name => (name.range, "write a name as \"X-Team\""),
            BadField::Value => (text.range, "write the value without control characters"),
            BadField::Reserved => (name.range, "leave it out"),
        };
        reader.refuse(range, format!("the field `{}`: {bad}", name.value), mend);
    }
    fields
}

//! The table of mounts: which part of the path space is whose. Made from the config, as a whole.
//!
//! Paths are compared by whole segments, each decoded (RFC 3986 section 6.2.2.2): `/%61pi/x` lies below `/api`. What
//! answers must not depend on how a path is spelled, or a mount that refuses could be walked around; so a path whose
//! empty and dot segments would lead to another mount than its letters is taken by none.

use std::{borrow::Cow, sync::Arc};

use crate::{
    context::{
        files::{FilesError, FilesMount, FilesRoot},
        redirect::Redirect,
    },
    limits::Limits,
    wire::{eights::exactly, fields::Fields},
};

/// All mounts. `F` is what serves files: what is written of it in a config, the open directory in a running host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounts<F> {
    /// Those with more segments first.
    mounts: Vec<Mount<F>>,
}

/// A part of the path space, and what answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<F> {
    /// Where it begins: decoded, without a final slash but for `/` itself.
    pub point: Arc<str>,
    /// What answers.
    pub kind: MountKind<F>,
    /// Further fields of each answer.
    pub fields: Arc<Fields>,
}

/// What answers the requests below a mountpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind<F> {
    /// Files.
    Files(F),
    /// Another address.
    Redirect(Redirect),
    /// The same for everybody.
    Status {
        /// The status code.
        status: u16,
        /// The content, `text/plain; charset=utf-8`. Without it the host answers as it does with that status.
        text: Option<Arc<str>>,
    },
    /// The HTTP handler of a protocol.
    Protocol {
        /// The name of the protocol.
        name: Arc<str>,
        /// How long the body of a request may be, in place of `limits.request_body_bytes`.
        body_bytes: Option<u64>,
    },
}

/// Why a text is no mountpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPoint {
    /// It is relative.
    #[error("does not begin with `/`")]
    Relative,
    /// It ends with a slash.
    #[error("ends with `/`")]
    FinalSlash,
    /// It has `//` in it.
    #[error("has an empty segment")]
    Empty,
    /// It has a segment `.` or `..`.
    #[error("has a dot segment")]
    Dots,
    /// It has `?`, `#`, `%` or a control character in it.
    #[error("has a character that is not for paths")]
    Character,
}

/// The path is spelled so that its mount is not clear. To be answered with 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dot segments or empty segments of the path lead to another mount")]
pub struct Unclear;

impl Mounts<FilesMount> {
    /// Adds a mount of files without further fields, in place of the one that has its point. Where [`check_point`] would
    /// refuse the point, nobody reaches them.
    pub fn put_files(&mut self, point: &str, files: FilesMount) {
        self.put(Mount {
            point: point.into(),
            kind: MountKind::Files(files),
            fields: Arc::default(),
        });
    }
}

impl<F> Default for Mounts<F> {
    fn default() -> Self {
        Self { mounts: Vec::new() }
    }
}

impl<F> Mounts<F> {
    /// Adds a mount, in place of the one that has its point.
    pub fn put(&mut self, mount: Mount<F>) {
        self.mounts.retain(|other| other.point != mount.point);
        self.mounts.push(mount);
        self.mounts
            .sort_by_key(|mount| std::cmp::Reverse(names(&mount.point).count()));
    }

    /// The mounts, those with more segments first.
    pub fn iter(&self) -> impl Iterator<Item = &Mount<F>> {
        self.mounts.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mounts.is_empty()
    }

    /// The same mounts with something else in place of what serves files.
    ///
    /// # Errors
    ///
    /// The first of `open`.
    pub fn try_map<G, E>(
        &self,
        mut open: impl FnMut(&Mount<F>, &F) -> Result<G, E>,
    ) -> Result<Mounts<G>, E> {
        let mapped = self.mounts.iter().map(|mount| {
            let kind = match &mount.kind {
                MountKind::Files(files) => MountKind::Files(open(mount, files)?),
                MountKind::Redirect(redirect) => MountKind::Redirect(redirect.clone()),
                MountKind::Status { status, text } => MountKind::Status {
                    status: *status,
                    text: text.clone(),
                },
                MountKind::Protocol { name, body_bytes } => MountKind::Protocol {
                    name: Arc::clone(name),
                    body_bytes: *body_bytes,
                },
            };
            Ok(Mount {
                point: Arc::clone(&mount.point),
                kind,
                fields: Arc::clone(&mount.fields),
            })
        });
        Ok(Mounts {
            mounts: mapped.collect::<Result<_, E>>()?,
        })
    }

    /// Who answers `path`, which is the path of a request target as it came, and what of it follows the mountpoint: as
    /// it came too, empty or beginning with a slash. The longest mountpoint wins.
    ///
    /// The path, normalised, lies below the point of the mount that is found, and below no longer one.
    ///
    /// # Errors
    ///
    /// [`Unclear`].
    pub fn find<'p>(&self, path: &'p str) -> Result<Option<(&Mount<F>, &'p str)>, Unclear> {
        if self.is_empty() || !path.starts_with('/') {
            return Ok(None);
        }
        if is_plain(path) {
            return Ok(self.find_plain(path));
        }
        self.find_spelled(path)
    }

    /// The same for a path that is [`is_plain`]: its letters are its names.
    fn find_plain<'p>(&self, path: &'p str) -> Option<(&Mount<F>, &'p str)> {
        self.mounts.iter().find_map(|mount| {
            let rest = match &*mount.point {
                "/" => path,
                point => path.strip_prefix(point)?,
            };
            (rest.is_empty() || rest.starts_with('/')).then_some((mount, rest))
        })
    }

    /// The same for any path that begins with a slash.
    fn find_spelled<'p>(&self, path: &'p str) -> Result<Option<(&Mount<F>, &'p str)>, Unclear> {
        let written = segments(path);
        let Some(mount) = self.longest(&written) else {
            // Whatever its dots lead to would be a mount that its letters do not name.
            return match resolved(&written).and_then(|path| self.longest(&path)) {
                Some(_) => Err(Unclear),
                None => Ok(None),
            };
        };
        let depth = names(&mount.point).count();
        // Each part of the way is looked at: what leads out and in again is refused too.
        resolved(&written[depth..]).ok_or(Unclear)?;
        let meant = resolved(&written).ok_or(Unclear)?;
        if self.longest(&meant).map(|other| &other.point) != Some(&mount.point) {
            return Err(Unclear);
        }
        let end = written[..depth].last().map_or(0, |segment| segment.end);
        Ok(Some((mount, &path[end..])))
    }

    fn longest(&self, path: &[Segment<'_>]) -> Option<&Mount<F>> {
        self.mounts.iter().find(|mount| {
            let mut segments = path.iter();
            names(&mount.point).all(|name| segments.next().is_some_and(|other| other.is(name)))
        })
    }
}

/// The files of a mount cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("mounts: `{point}`: {error}")]
pub struct UnopenedMount {
    /// Its mountpoint.
    pub point: Arc<str>,
    /// Why.
    pub error: FilesError,
}

/// Opens where the files of a mount come from, for [`Mounts::try_map`]. May wait for a disk.
///
/// # Errors
///
/// [`UnopenedMount`].
pub fn open_files(
    mount: &Mount<FilesMount>,
    files: &FilesMount,
    limits: &Limits,
) -> Result<Arc<FilesRoot>, UnopenedMount> {
    let opened = files.clone().open(limits);
    opened.map(Arc::new).map_err(|error| UnopenedMount {
        point: Arc::clone(&mount.point),
        error,
    })
}

/// Judges a mountpoint.
///
/// # Errors
///
/// [`BadPoint`].
pub fn check_point(point: &str) -> Result<(), BadPoint> {
    if !point.starts_with('/') {
        return Err(BadPoint::Relative);
    }
    let is_foreign = |c: char| c.is_control() || "?#%".contains(c);
    if point.contains(is_foreign) {
        return Err(BadPoint::Character);
    }
    if point == "/" {
        return Ok(());
    }
    if point[1..].split('/').any(|name| matches!(name, "." | "..")) {
        return Err(BadPoint::Dots);
    }
    if point.contains("//") {
        return Err(BadPoint::Empty);
    }
    if point.ends_with('/') {
        return Err(BadPoint::FinalSlash);
    }
    Ok(())
}

/// Whether a path is as nearly all are: nothing in it is escaped, and no segment is empty or begins with a dot, but for an
/// empty one at its end.
fn is_plain(path: &str) -> bool {
    let mut rest = path.as_bytes();
    // Of the byte before: marked when it is a slash.
    let mut before = 0;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let slashes = exactly(eight, b'/');
        let behind_slashes = slashes << 8 | before;
        let odd = exactly(eight, b'%') | behind_slashes & (slashes | exactly(eight, b'.'));
        if odd != 0 {
            return false;
        }
        before = slashes >> 56;
        rest = behind;
    }
    let mut is_behind_slash = before != 0;
    rest.iter().all(|byte| {
        let is_odd = *byte == b'%' || is_behind_slash && matches!(byte, b'/' | b'.');
        is_behind_slash = *byte == b'/';
        !is_odd
    })
}

/// The segments of a mountpoint; none of `/`.
fn names(point: &str) -> impl Iterator<Item = &str> {
    point.split('/').filter(|name| !name.is_empty())
}

/// A segment of a path.
#[derive(Clone)]
struct Segment<'a> {
    /// Decoded once. `None` for what no mountpoint is equal to: `%2F` is part of a name and no separator, whatever a
    /// later reader makes of it; `%00` and broken escapes name nothing.
    name: Option<Cow<'a, [u8]>>,
    /// Where it ends in the path, in bytes.
    end: usize,
}

impl Segment<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name.as_bytes())
    }
}

/// The segments of a path that begins with a slash.
fn segments(path: &str) -> Vec<Segment<'_>> {
    let slashes = path.match_indices('/').map(|(at, _)| at);
    let ends = slashes.clone().skip(1).chain([path.len()]);
    slashes
        .zip(ends)
        .map(|(slash, end)| Segment {
            name: decoded(&path[slash + 1..end]),
            end,
        })
        .collect()
}

fn decoded(raw: &str) -> Option<Cow<'_, [u8]>> {
    if !raw.contains('%') {
        return Some(raw.as_bytes().into());
    }
    let mut name = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            name.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        let byte = u8::try_from(high << 4 | low).ok()?;
        if matches!(byte, b'/' | 0) {
            return None;
        }
        name.push(byte);
    }
    Some(name.into())
}

/// The segments without empty ones and dot segments (RFC 3986 section 5.2.4); `None` when they lead out at the top.
fn resolved<'a>(path: &[Segment<'a>]) -> Option<Vec<Segment<'a>>> {
    let mut left = Vec::with_capacity(path.len());
    for segment in path {
        match segment.name.as_deref() {
            Some(b"" | b".") => {}
            Some(b"..") => drop(left.pop()?),
            _ => left.push(segment.clone()),
        }
    }
    Some(left)
}

#[cfg(test)]
mod tests;

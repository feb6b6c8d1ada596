//! From a request to the file it names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::answer::{answer_file, broken, loaded, nothing, refusal};
use super::conditions::{Conditions, Method};
use super::mount::FilesRoot;
use super::siblings::{self, Form};
use super::source::{Content, Opened, OpenedAs};
use super::{Cold, Reach};
use crate::connection::content::FileAnswer;
use crate::limits::Limits;
use crate::wire::fields::Fields;
use crate::wire::request_head::RequestHead;
use crate::wire::request_path::{BadPath, RequestPath};

const METHODS: &str = "GET, HEAD, OPTIONS";

/// A request for a file; outlives its head, so that another thread can answer it.
#[derive(Clone, Debug)]
pub struct FileRequest {
    conditions: Conditions,
    path: Result<RequestPath, BadPath>,
    /// Where it is to be asked again if it is a directory.
    location: String,
}

impl FileRequest {
    /// Takes what counts from a head. `rest` is its path, still encoded the mountpoint: it begins with a slash
    /// or is empty.
    #[must_use]
    pub fn of(head: &RequestHead<'_>, rest: &str, limits: &Limits) -> Self {
        let mut path = RequestPath::decode(rest);
        if let Ok(path) = &mut path {
            // The slash of the mountpoint `/` belongs to both.
            path.is_directory |= rest.is_empty() && head.path().ends_with('/');
        }
        Self {
            conditions: Conditions::of(head, limits),
            path,
            location: location(head.path(), head.query()),
        }
    }
}

/// The same with a slash behind the path. Browsers take `//host` and `/\host` for another host: so it begins with one
/// slash, and has no backslash.
fn location(path: &str, query: Option<&str>) -> String {
    let path = path.trim_start_matches('/').replace('\\', "%5C");
    match query {
        Some(query) => format!("/{path}/?{query}"),
        None => format!("/{path}/"),
    }
}

impl FilesRoot {
    /// Answers a request. Any thread; with [`Reach::Disk`] one that may wait.
    ///
    /// # Errors
    ///
    /// [`Cold`], with [`Reach::Memory`] only.
    pub fn answer(&self, request: &FileRequest, reach: Reach) -> Result<FileAnswer, Cold> {
        match request.conditions.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(methods()),
            Method::Other => {
                let mut answer = refusal(405, "files can only be read");
                answer.fields.set("Allow", METHODS);
                return Ok(answer);
            }
        }
        let path = match &request.path {
            Ok(path) => path,
            Err(BadPath::Escape) => {
                return Ok(refusal(BadPath::Escape.status(), "bad escape in the path"));
            }
            Err(BadPath::Nul | BadPath::Slash | BadPath::Outside) => return Ok(nothing()),
        };
        let (name, found) = self.find(path, reach)?;
        match found {
            OpenedAs::File(opened) => self.answer_file(request, &name, opened, reach),
            OpenedAs::Directory => Ok(self.redirect(&request.location)),
            OpenedAs::Nothing => Ok(nothing()),
            OpenedAs::Denied => Ok(refusal(403, "this may not be read")),
            OpenedAs::Broken(error) => Ok(broken(&self.shown(&name), &error)),
        }
    }

    /// Opens a name beneath the root.
    pub(crate) fn open(&self, name: &[u8], reach: Reach) -> Result<OpenedAs, Cold> {
        guarded(|| self.source.open(name, reach))
            .unwrap_or_else(|error| Ok(OpenedAs::Broken(error)))
    }

    /// What a path stands for, and its name. A directory only where the slash behind its name is missing; one without
    /// an index is denied, since nothing is ever listed.
    fn find(&self, path: &RequestPath, reach: Reach) -> Result<(Vec<u8>, OpenedAs), Cold> {
        let own = path.as_bytes();
        if !path.is_directory {
            return Ok((own.to_vec(), self.open(own, reach)?));
        }
        for index in &self.index {
            let name = match own {
                [] => index.as_bytes().to_vec(),
                own => [own, b"/", index.as_bytes()].concat(),
            };
            match self.open(&name, reach)? {
                OpenedAs::Directory | OpenedAs::Nothing => {}
                found => return Ok((name, found)),
            }
        }
        let found = match self.open(own, reach)? {
            OpenedAs::Directory => OpenedAs::Denied,
            OpenedAs::File(_) => OpenedAs::Nothing,
            found => found,
        };
        Ok((own.to_vec(), found))
    }

    fn answer_file(
        &self,
        request: &FileRequest,
        name: &[u8],
        plain: Opened,
        reach: Reach,
    ) -> Result<FileAnswer, Cold> {
        let conditions = &request.conditions;
        let mut fields = self.file_fields.clone();
        if !fields.has("Content-Type") {
            fields.set("Content-Type", self.types.of(name));
        }
        let mut opened = plain;
        if self.precompressed && siblings::may_exist(name) {
            // Whether or not there are siblings today: what caches keep of the plain file would hide one of tomorrow.
            fields.set("Vary", "Accept-Encoding");
            let accepted = conditions.accept_encoding.as_deref();
            match siblings::choose(self, name, &opened, accepted, reach)? {
                Form::Plain => {}
                Form::Coded(other, coding) => {
                    opened = other;
                    opened.tag = format!("{}-{}", opened.tag, coding.name);
                    fields.set("Content-Encoding", coding.name);
                }
                Form::None => return Ok(not_acceptable()),
            }
        }
        if let Content::Read(content) = &opened.content
            && conditions.want_content(&opened, &fields)
        {
            let read = guarded(|| content.read(reach)).unwrap_or_else(|error| Ok(Err(error)))?;
            match read {
                Ok(bytes) => opened.content = Content::Bytes(bytes),
                Err(error) => return Ok(broken(&self.shown(name), &error)),
            }
        }
        let answer = answer_file(conditions, &opened, fields);
        loaded(answer, conditions.method, reach, || self.shown(name))
    }

    fn redirect(&self, location: &str) -> FileAnswer {
        let mut answer = refusal(301, "this is a directory: see Location");
        let own = self.fields.without(&["Content-Type", "Location"]);
        answer.fields.extend(&own);
        answer.fields.set("Location", location);
        answer
    }

    fn shown(&self, name: &[u8]) -> PathBuf {
        self.source.place().join(Path::new(OsStr::from_bytes(name)))
    }
}

/// A source may be somebody else's, and a service thread must outlive it.
fn guarded<T>(ask: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(ask)).map_err(|_| io::Error::other("its source panicked"))
}

fn methods() -> FileAnswer {
    let mut fields = Fields::new();
    fields.set("Allow", METHODS);
    FileAnswer {
        status: 204,
        fields,
        parts: Vec::new(),
    }
}

/// RFC 9110 section 12.5.3: the plain form may be sent to anybody, except to who says that it is not acceptable.
fn not_acceptable() -> FileAnswer {
    let mut answer = refusal(406, "there is no content coding of this that is accepted");
    answer.fields.set("Vary", "Accept-Encoding");
    answer
}

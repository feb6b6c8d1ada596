//! From a request to the file it names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::answer::{answer_file, broken, loaded, nothing, put_validators, refusal};
use super::conditions::{Conditions, Method};
use super::mount::FilesRoot;
use super::siblings::{self, Form};
use super::source::{Content, Opened, OpenedAs};
use super::{Cold, Reach};
use crate::connection::content::{ContentBytes, FileAnswer};
use crate::limits::Limits;
use crate::wire::fields::Fields;
use crate::wire::request_head::RequestHead;
use crate::wire::request_path::{BadPath, RequestPath};

const METHODS: &str = "GET, HEAD, OPTIONS";

/// A request for a file; outlives its head, so that another thread can answer it.
#[derive(Clone, Debug)]
pub struct FileRequest {
    pub(super) conditions: Conditions,
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

/// The form of a file that a request gets.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Of the file, beneath the root.
    pub(super) name: Vec<u8>,
    pub(super) opened: Opened,
    /// What any answer with it says, validators included.
    pub(super) fields: Fields,
}

/// What a request leads to.
pub(super) enum Led {
    File(Found),
    /// To no file, whatever its conditions are.
    Elsewhere(FileAnswer),
}

impl FilesRoot {
    /// Answers a request. Any thread; with [`Reach::Disk`] one that may wait.
    ///
    /// # Errors
    ///
    /// [`Cold`], with [`Reach::Memory`] only.
    pub fn answer(&self, request: &FileRequest, reach: Reach) -> Result<FileAnswer, Cold> {
        match self.lead(request, reach)? {
            Led::File(found) => self.answer_found(&request.conditions, found, reach),
            Led::Elsewhere(answer) => Ok(answer),
        }
    }

    /// Looks up what a request gets, without its conditions and its content.
    pub(super) fn lead(&self, request: &FileRequest, reach: Reach) -> Result<Led, Cold> {
        match request.conditions.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(Led::Elsewhere(methods())),
            Method::Other => {
                let mut answer = refusal(405, "files can only be read");
                answer.fields.set("Allow", METHODS);
                return Ok(Led::Elsewhere(answer));
            }
        }
        let path = match &request.path {
            Ok(path) => path,
            Err(BadPath::Escape) => {
                let answer = refusal(BadPath::Escape.status(), "bad escape in the path");
                return Ok(Led::Elsewhere(answer));
            }
            Err(BadPath::Nul | BadPath::Slash | BadPath::Outside) => {
                return Ok(Led::Elsewhere(nothing()));
            }
        };
        let (name, found) = self.find(path, reach)?;
        Ok(Led::Elsewhere(match found {
            OpenedAs::File(opened) => return self.formed(request, name, opened, reach),
            OpenedAs::Directory => self.redirect(&request.location),
            OpenedAs::Nothing => nothing(),
            OpenedAs::Denied => refusal(403, "this may not be read"),
            OpenedAs::Broken(error) => broken(&self.shown(&name), &error),
        }))
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

    /// The form of a file that a request accepts.
    fn formed(
        &self,
        request: &FileRequest,
        name: Vec<u8>,
        plain: Opened,
        reach: Reach,
    ) -> Result<Led, Cold> {
        let mut fields = self.file_fields.clone();
        if !fields.has("Content-Type") {
            fields.set("Content-Type", self.types.of(&name));
        }
        let mut opened = plain;
        if self.precompressed && siblings::may_exist(&name) {
            // Whether or not there are siblings today: what caches keep of the plain file would hide one of tomorrow.
            fields.set("Vary", "Accept-Encoding");
            let accepted = request.conditions.accept_encoding.as_deref();
            match siblings::choose(self, &name, &opened, accepted, reach)? {
                Form::Plain => {}
                Form::Coded(other, coding) => {
                    opened = other;
                    opened.tag = format!("{}-{}", opened.tag, coding.name);
                    fields.set("Content-Encoding", coding.name);
                }
                Form::None => return Ok(Led::Elsewhere(not_acceptable())),
            }
        }
        put_validators(&mut fields, &opened);
        Ok(Led::File(Found {
            name,
            opened,
            fields,
        }))
    }

    /// Answers with a file that was found, as the conditions say.
    pub(super) fn answer_found(
        &self,
        conditions: &Conditions,
        mut found: Found,
        reach: Reach,
    ) -> Result<FileAnswer, Cold> {
        if matches!(found.opened.content, Content::Read(_))
            && conditions.want_content(&found.opened, &found.fields)
            && let Some(read) = read_content(&found.opened.content, reach)?
        {
            match read {
                Ok(bytes) => found.opened.content = Content::Bytes(bytes),
                Err(error) => return Ok(broken(&self.shown(&found.name), &error)),
            }
        }
        let answer = answer_file(conditions, &found.opened, found.fields);
        loaded(answer, conditions.method, reach, || self.shown(&found.name))
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

/// The bytes of content that is read as a whole; none of other content.
pub(super) fn read_content(
    content: &Content,
    reach: Reach,
) -> Result<Option<io::Result<ContentBytes>>, Cold> {
    let Content::Read(content) = content else {
        return Ok(None);
    };
    let read = guarded(|| content.read(reach)).unwrap_or_else(|error| Ok(Err(error)))?;
    Ok(Some(read))
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

//! Forms with files: `multipart/form-data` (RFC 7578), read by the crate `multer`.
//!
//! It is the parser that the well-known frameworks use, so browsers and tools are known to agree with it. It is made of
//! futures but needs no runtime: all it waits for is the next piece of the body, and that we have in hand when we poll.
//! So one piece is put down, the future is polled once, and what it waits for next is the next call.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;

use crate::{
    files::{Draft, Told},
    form::{Failure, Field, Form, Rules},
};

/// What the parser is given at once. It searches all that it holds, so that it should not hold much.
const MOST_PIECE_BYTES: usize = 16 * 1024;
/// The most bytes between two signs of life: what stands before the first boundary, and the fields of a part.
const MOST_SILENT_BYTES: usize = 32 * 1024;

/// Reads such a form as it comes, and writes its files. Blocks as the disk does.
pub(crate) struct Multipart {
    feed: Arc<Feed>,
    reading: Reading,
}

enum Reading {
    Going(Pin<Box<dyn Future<Output = Result<Form, Failure>> + Send>>),
    /// The last boundary has come; what may follow it means nothing.
    Done(Form),
}

/// Between us and the parser.
#[derive(Default)]
struct Feed {
    state: Mutex<FeedState>,
}

#[derive(Default)]
struct FeedState {
    piece: Option<Vec<u8>>,
    has_ended: bool,
    silent_bytes: usize,
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parser has made something of what it got.
    fn is_alive(&self) {
        self.state().silent_bytes = 0;
    }
}

/// The end of the feed that the parser has.
struct Pieces(Arc<Feed>);

impl Stream for Pieces {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        match state.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if state.has_ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Multipart {
    pub(crate) fn new(boundary: &str, rules: Arc<Rules>) -> Self {
        let feed = Arc::new(Feed::default());
        let parts = multer::Multipart::new(Pieces(Arc::clone(&feed)), boundary);
        let reading = Reading::Going(Box::pin(read(parts, Arc::clone(&feed), rules)));
        Self { feed, reading }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for piece in bytes.chunks(MOST_PIECE_BYTES) {
            {
                let mut state = self.feed.state();
                state.piece = Some(piece.to_vec());
                state.silent_bytes += piece.len();
            }
            self.go_on()?;
            if self.feed.state().silent_bytes > MOST_SILENT_BYTES {
                let why = format!("no part begins or goes on within {MOST_SILENT_BYTES} bytes");
                return Err(Failure::malformed(why));
            }
        }
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<Form, Failure> {
        self.feed.state().has_ended = true;
        self.go_on()?;
        match self.reading {
            Reading::Done(form) => Ok(form),
            Reading::Going(_) => Err(Failure::malformed("the last boundary is missing")),
        }
    }

    fn go_on(&mut self) -> Result<(), Failure> {
        let Reading::Going(reading) = &mut self.reading else {
            self.feed.is_alive();
            return Ok(());
        };
        if let Poll::Ready(form) = reading
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            self.reading = Reading::Done(form?);
            self.feed.is_alive();
        }
        Ok(())
    }
}

async fn read(
    mut parts: multer::Multipart<'static>,
    feed: Arc<Feed>,
    rules: Arc<Rules>,
) -> Result<Form, Failure> {
    let mut form = Form::default();
    while let Some(mut part) = parts.next_field().await.map_err(malformed)? {
        feed.is_alive();
        match told(&part)? {
            Part::File(told) => {
                let mut draft = Draft::new(told, form.files.len(), &rules)?;
                while let Some(bytes) = part.chunk().await.map_err(malformed)? {
                    feed.is_alive();
                    draft.write(&bytes, &rules)?;
                }
                form.files.push(draft);
            }
            Part::Field(name) => {
                let value = value(&mut part, &name, &feed, &rules).await?;
                form.add_field(Field { name, value }, &rules)?;
            }
            Part::NoFile(name) => {
                value(&mut part, &name, &feed, &rules).await?;
            }
        }
    }
    Ok(form)
}

/// The content of a field. What is not UTF-8 in it is replaced.
async fn value(
    part: &mut multer::Field<'static>,
    name: &str,
    feed: &Feed,
    rules: &Rules,
) -> Result<String, Failure> {
    let mut value = Vec::new();
    while let Some(bytes) = part.chunk().await.map_err(malformed)? {
        feed.is_alive();
        if value.len() + bytes.len() > rules.most_field_bytes {
            return Err(rules.field_is_too_large(name));
        }
        value.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8_lossy(&value).into_owned())
}

/// What a part is, by its fields.
enum Part {
    Field(String),
    File(Told),
    /// What a browser sends for a field in which no file was chosen.
    NoFile(String),
}

fn told(part: &multer::Field<'_>) -> Result<Part, Failure> {
    let text = |name: &str| {
        Some(String::from_utf8_lossy(
            part.headers().get(name)?.as_bytes(),
        ))
    };
    let name = part.name().map(str::to_owned);
    let name = name.ok_or_else(|| Failure::malformed("a part has no name"))?;
    match part.file_name() {
        Some("") => Ok(Part::NoFile(name)),
        Some(file) => Ok(Part::File(Told {
            field: name,
            name: file.to_owned(),
            media_type: text("Content-Type").map(|media_type| media_type.into_owned()),
        })),
        // Not as text what was meant as a file.
        None if text("Content-Disposition").is_some_and(|told| told.contains("filename")) => {
            Err(Failure::malformed(format!(
                "the part {name:?} has a file name that is not UTF-8"
            )))
        }
        None => Ok(Part::Field(name)),
    }
}

fn malformed(error: multer::Error) -> Failure {
    Failure::malformed(format!("the form cannot be read: {error}"))
}

#[cfg(test)]
#[path = "multipart_tests.rs"]
mod tests;

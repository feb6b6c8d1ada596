//! An answer to a plain request that is wanted whole.

use crate::{
    connection::request_error::{RequestCause, RequestError},
    context::response_handler::{ResponseCall, ResponseHandler},
    wire::{answer_head::HeldAnswer, fields::Fields},
};

/// An answer, with all of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeResponse {
    /// The status code.
    pub status: u16,
    /// What people read beside it.
    pub reason: String,
    /// All fields, in order.
    pub fields: Fields,
    /// The content.
    pub content: Vec<u8>,
    /// The fields behind the content.
    pub trailer: Fields,
}

impl WholeResponse {
    /// A handler that gathers an answer, and gives it to `done` when it is complete; or why it is not. Content above so many
    /// bytes fails the request, so that a server cannot fill the memory.
    pub fn gather(
        most_bytes: u64,
        done: impl FnOnce(Result<Self, RequestError>) + Send + 'static,
    ) -> impl ResponseHandler + 'static {
        Gathering {
            most_bytes,
            gathered: None,
            done: Some(done),
        }
    }
}

struct Gathering<F> {
    most_bytes: u64,
    gathered: Option<WholeResponse>,
    /// Until it was called.
    done: Option<F>,
}

impl<F> ResponseHandler for Gathering<F>
where
    F: FnOnce(Result<WholeResponse, RequestError>) + Send,
{
    fn head(&mut self, _call: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        self.gathered = Some(WholeResponse {
            status: head.status,
            reason: head.reason.clone(),
            fields: head.fields.clone(),
            content: Vec::new(),
            trailer: Fields::new(),
        });
    }

    fn content(&mut self, call: &mut ResponseCall<'_, '_>, piece: &[u8]) {
        let Some(gathered) = &mut self.gathered else {
            return;
        };
        if (gathered.content.len() + piece.len()) as u64 > self.most_bytes {
            return call.fail(RequestCause::TooLong(self.most_bytes));
        }
        gathered.content.extend_from_slice(piece);
    }

    fn ended(&mut self, end: Result<Fields, RequestError>) {
        let Some(done) = self.done.take() else {
            return;
        };
        let gathered = self.gathered.take();
        let missing = || RequestError::given_up("the response has no head");
        done(end.and_then(|trailer| {
            let gathered = gathered.ok_or_else(missing)?;
            Ok(WholeResponse {
                trailer,
                ..gathered
            })
        }));
    }
}

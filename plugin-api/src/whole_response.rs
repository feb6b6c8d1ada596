//! An answer to a plain request that is wanted whole.

use crate::{RequestError, RequestStage, ResponseHandler, ServerResponse, Trailer};

/// An answer, with all of its content: what [`Host::fetch`](crate::Host::fetch) gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeResponse {
    /// The status.
    pub status: u16,
    /// Names and values of the fields, in their order; those behind the content come last.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The content.
    pub content: Vec<u8>,
}

impl WholeResponse {
    /// The value of a field by its name, in any case of letters; the first one if it is repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields.find_map(|(other, value)| other.eq_ignore_ascii_case(name).then_some(&value[..]))
    }

    /// The content as text; none when it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(&self.content).ok()
    }
}

/// Gathers an answer for `done`.
pub(crate) struct Gathering<F> {
    most_bytes: usize,
    gathered: WholeResponse,
    is_too_long: bool,
    /// Until it was called.
    done: Option<F>,
}

impl<F> Gathering<F> {
    pub(crate) fn new(most_bytes: usize, done: F) -> Self {
        Self {
            most_bytes,
            gathered: WholeResponse::default(),
            is_too_long: false,
            done: Some(done),
        }
    }

    fn too_long(&self) -> String {
        let most = self.most_bytes;
        format!(
            "reading the response: its content is longer than the {most} bytes that were asked for"
        )
    }
}

fn owned((name, value): (&str, &[u8])) -> (String, Vec<u8>) {
    (name.to_owned(), value.to_vec())
}

impl<F> ResponseHandler for Gathering<F>
where
    F: FnOnce(Result<WholeResponse, RequestError>) + Send + 'static,
{
    fn on_head(&mut self, response: &mut ServerResponse) {
        self.gathered.status = response.status();
        self.gathered.fields = response.all_headers().map(owned).collect();
    }

    fn on_content(&mut self, response: &mut ServerResponse, piece: &[u8]) {
        if self.gathered.content.len() + piece.len() > self.most_bytes {
            self.is_too_long = true;
            return response.give_up(&self.too_long());
        }
        self.gathered.content.extend_from_slice(piece);
    }

    fn on_end(&mut self, end: Result<Trailer<'_>, RequestError>) {
        let Some(done) = self.done.take() else {
            return;
        };
        let mut gathered = std::mem::take(&mut self.gathered);
        done(match end {
            Ok(trailer) => {
                gathered.fields.extend(trailer.iter().map(owned));
                Ok(gathered)
            }
            Err(_) if self.is_too_long => {
                let stage = RequestStage::Response;
                Err(RequestError::new(stage, self.too_long(), false))
            }
            Err(error) => Err(error),
        });
    }
}

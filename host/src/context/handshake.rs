//! What a protocol has to say of its own opening handshake before there is a session, and what is kept of one.

use std::{fmt, sync::Arc};

use crate::{
    context::{
        handler::{LearntState, ProtocolHandler, RequestFacts, ThreadState, Verdict},
        instances::{Instance, report},
        judging::Granted,
        outgoing::Outgoing,
        policy::PolicyHandler,
        tags::Tags,
    },
    net::peer::AddressBytes,
    wire::{
        answer_head::HeldAnswer,
        fields::{BadField, Fields},
        request_head::RequestHead,
    },
};

/// What a protocol answers that refuses without saying how.
const REFUSED: u16 = 403;

/// An opening handshake while its protocol judges it: all that the hook may ask, and what it has said.
pub struct HandshakeCall<'a> {
    head: &'a RequestHead<'a>,
    /// The subprotocols, the preferred one first.
    offered: &'a [&'a str],
    /// With the subprotocol that the answer is going to name.
    facts: RequestFacts<'a>,
    pub(crate) thread: ThreadState,
    /// What policies have said of it.
    tags: &'a Tags,
    /// For the answer, whatever it will be.
    fields: Fields,
    /// How many bytes of them there may be.
    fields_bytes: usize,
    /// Status and content.
    refusal: Option<(u16, Vec<u8>)>,
    /// Why the hook is about to fail, in its own words.
    pub(crate) fault: String,
    /// Holds the address that [`Self::peer_ip`] gives.
    ip: Option<AddressBytes>,
}

/// Why something that a hook said of the answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// It makes no sense.
    Bad,
    /// It is above `limits.answer_fields_bytes`.
    TooMuch,
}

impl<'a> HandshakeCall<'a> {
    /// The handshake in `head`, of which `facts` are known already.
    pub(crate) fn new(
        head: &'a RequestHead<'a>,
        offered: &'a [&'a str],
        facts: RequestFacts<'a>,
        granted: &'a Granted,
        fields_bytes: usize,
    ) -> Self {
        Self {
            head,
            offered,
            facts,
            thread: ThreadState(0),
            tags: &granted.tags,
            fields: granted.fields.clone(),
            fields_bytes,
            refusal: None,
            fault: String::new(),
            ip: None,
        }
    }

    /// What is known beside the request head.
    #[must_use]
    pub fn facts(&self) -> &RequestFacts<'a> {
        &self.facts
    }

    /// The request target, as it came.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target
    }

    /// Whom the request is for.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.head.host()
    }

    /// The peer's IP address in network order, 4 or 16 bytes; none on a unix socket.
    pub fn peer_ip(&mut self) -> Option<&[u8]> {
        let address = self.facts.peer.address()?;
        let bytes = self.ip.insert(AddressBytes::of(address.ip()));
        Some(bytes.as_slice())
    }

    /// The value with this index of the fields of that name.
    #[must_use]
    pub fn field(&self, name: &str, index: usize) -> Option<&[u8]> {
        self.head.fields(name).nth(index)
    }

    /// Name and value of the field with this index, of all.
    #[must_use]
    pub fn field_at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.head.field_at(index)
    }

    /// What a policy has said by that name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        self.tags.get(name)
    }

    /// The subprotocol that the peer offers at this place.
    #[must_use]
    pub fn offered(&self, index: usize) -> Option<&str> {
        self.offered.get(index).copied()
    }

    /// The answer names this subprotocol; empty: none.
    ///
    /// # Errors
    ///
    /// The peer does not offer it.
    pub fn choose(&mut self, subprotocol: &str) -> Result<(), Unsaid> {
        let mut offered = self.offered.iter().copied();
        let found = offered.find(|other| *other == subprotocol);
        if found.is_none() && !subprotocol.is_empty() {
            return Err(Unsaid::Bad);
        }
        self.facts.subprotocol = found;
        Ok(())
    }

    /// Adds a field to the answer, whatever it will be.
    ///
    /// # Errors
    ///
    /// When it cannot stand there, or is the host's own; or when it is too much.
    pub fn add_field(&mut self, name: &str, value: &[u8]) -> Result<(), Unsaid> {
        if is_of_websocket(name) {
            return Err(Unsaid::Bad);
        }
        // As a line: with a colon, a blank, and the end of the line.
        if self.fields.as_bytes().len() + name.len() + value.len() + 4 > self.fields_bytes {
            return Err(Unsaid::TooMuch);
        }
        self.fields.add(name, value).map_err(|bad: BadField| {
            tracing::debug!(target: "hotsocket::context", protocol = self.facts.protocol.name, name, %bad,
                "a field for the answer to an opening handshake is not taken");
            Unsaid::Bad
        })
    }

    /// How the handshake is refused, once the hook says that it is.
    ///
    /// # Errors
    ///
    /// When no answer has that status, or that content.
    pub fn refuse(&mut self, status: u32, content: &[u8]) -> Result<(), Unsaid> {
        self.refusal = Some((is_refusal(status, content)?, content.to_vec()));
        Ok(())
    }
}

impl HandshakeCall<'_> {
    /// The answer, as whoever refuses has it.
    fn refused(&mut self, by: &str) -> Refused {
        let (status, content) = self.refusal.take().unwrap_or((REFUSED, Vec::new()));
        tracing::debug!(target: "hotsocket::context", by, protocol = self.facts.protocol.name, status,
            peer = %self.facts.peer, "an opening handshake was refused");
        Refused {
            status,
            fields: std::mem::take(&mut self.fields),
            content,
        }
    }
}

/// The status, if something can be refused with it and that content.
pub(super) fn is_refusal(status: u32, content: &[u8]) -> Result<u16, Unsaid> {
    match u16::try_from(status) {
        Ok(status @ 300..=599) if status != 304 || content.is_empty() => Ok(status),
        _ => Err(Unsaid::Bad),
    }
}

/// What only the host says of a WebSocket.
fn is_of_websocket(name: &str) -> bool {
    const PREFIX: &[u8] = b"Sec-WebSocket-";
    let begin = name.as_bytes().get(..PREFIX.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX))
}

/// What is to be said of a handshake that the protocol accepts.
pub(crate) struct Accepted<'a> {
    /// The subprotocol that the answer names.
    pub(crate) subprotocol: Option<&'a str>,
    /// Further fields of the answer.
    pub(crate) fields: Fields,
    pub(crate) learnt: Option<Learnt>,
}

/// The answer to a handshake that the protocol does not accept.
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) content: Vec<u8>,
}

/// Has a policy judge an opening handshake, before its protocol.
///
/// # Errors
///
/// The answer when it is refused; none when the hook failed, which has been reported.
pub(crate) fn ask_policy(
    instance: &Instance<dyn PolicyHandler>,
    call: &mut HandshakeCall<'_>,
) -> Result<(), Option<Refused>> {
    call.thread = instance.thread;
    match instance.handler.handshake(call) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Some(call.refused(instance.handler.name()))),
        Err(fault) => {
            report(&*instance.handler, &fault);
            Err(None)
        }
    }
}

/// Has a protocol judge an opening handshake.
///
/// # Errors
///
/// The answer when it is refused; none when the hook failed, which has been reported.
pub(crate) fn judge<'a>(
    instance: &Instance<dyn ProtocolHandler>,
    mut call: HandshakeCall<'a>,
) -> Result<Accepted<'a>, Option<Refused>> {
    call.thread = instance.thread;
    let verdict = instance.handler.request(&mut call).map_err(|fault| {
        report(&*instance.handler, &fault);
        None
    })?;
    match verdict {
        Verdict::Accepted(learnt) => Ok(Accepted {
            subprotocol: call.facts.subprotocol,
            fields: call.fields,
            learnt: learnt.map(|state| Learnt {
                state: Some(state),
                handler: Arc::clone(&instance.handler),
            }),
        }),
        Verdict::Refused => Err(Some(call.refused(instance.handler.name()))),
    }
}

/// What a protocol has learnt of an opening handshake: freed with this, unless the session took it.
///
/// It holds the instance that made it, so that nothing can free that before. Made and dropped on its service thread.
pub(crate) struct Learnt {
    state: Option<LearntState>,
    handler: Arc<dyn ProtocolHandler>,
}

impl Learnt {
    /// The handler's own from now on.
    pub(crate) fn into_state(mut self) -> Option<LearntState> {
        self.state.take()
    }
}

impl Drop for Learnt {
    fn drop(&mut self) {
        if let Some(state) = self.state.take()
            && let Err(fault) = self.handler.forget(state)
        {
            report(&*self.handler, &fault);
        }
    }
}

impl fmt::Debug for Learnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Learnt").field(&self.state).finish()
    }
}

/// What a session keeps of its opening handshake beside the target. Most have nothing of it, and cost one pointer.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The subprotocol, where it is another one than the protocol's name.
    pub(crate) subprotocol: Option<Box<str>>,
    /// Of the peer, where names are looked up and once it is known.
    pub(crate) peer_name: Option<Arc<str>>,
    /// Values of fields that the manifest names, each with the place of its name there.
    fields: Box<[(u32, Box<[u8]>)]>,
    /// Until the session is open.
    pub(crate) learnt: Option<Learnt>,
    /// What policies have said of it.
    tags: Option<Arc<Tags>>,
    /// Bytes of a message, at most, where a policy has said so.
    pub(crate) message_bytes: Option<u64>,
    /// Of one that we have opened, or are to open.
    pub(crate) client: Option<Box<Outgoing>>,
}

impl Kept {
    /// Of a connection that we are to open.
    pub(crate) fn of_client(outgoing: Outgoing) -> Self {
        Self {
            client: Some(Box::new(outgoing)),
            ..Self::default()
        }
    }

    /// What there is to keep of the answer that opens it. `names` are the fields that the manifest names.
    pub(crate) fn keep_answer(
        &mut self,
        answer: &HeldAnswer,
        names: &[String],
        subprotocol: Option<&str>,
    ) {
        let fields = answer.fields.iter();
        let place = |name: &[u8]| {
            let is_meant = |kept: &String| kept.as_bytes().eq_ignore_ascii_case(name);
            names.iter().position(is_meant)
        };
        let kept = fields.filter_map(|(name, value)| Some((place(name)? as u32, value.into())));
        self.fields = kept.collect();
        self.subprotocol = subprotocol.map(Into::into);
    }

    /// What there is to keep, if there is anything. `names` are the fields that the manifest names.
    pub(crate) fn of(
        head: &RequestHead<'_>,
        names: &[String],
        subprotocol: Option<&str>,
        learnt: Option<Learnt>,
        granted: &Granted,
    ) -> Option<Box<Self>> {
        let values = |(place, name): (usize, &String)| {
            let values: Vec<_> = head
                .fields(name)
                .map(|value| (place as u32, value.into()))
                .collect();
            values
        };
        let kept = Self {
            subprotocol: subprotocol.map(Into::into),
            peer_name: None,
            fields: names.iter().enumerate().flat_map(values).collect(),
            learnt,
            tags: (!granted.tags.is_empty()).then(|| Arc::clone(&granted.tags)),
            message_bytes: granted.message_bytes,
            client: None,
        };
        (!kept.is_empty()).then(|| Box::new(kept))
    }

    /// The value with this index of the fields of that name.
    pub(crate) fn field(&self, names: &[String], name: &str, index: usize) -> Option<&[u8]> {
        let place = names
            .iter()
            .position(|kept| kept.eq_ignore_ascii_case(name))?;
        let mut values = self.fields.iter().filter(|(of, _)| *of as usize == place);
        values.nth(index).map(|(_, value)| &**value)
    }

    /// What a policy has said by that name.
    pub(crate) fn tag(&self, name: &str) -> Option<&[u8]> {
        self.tags.as_ref()?.get(name)
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            subprotocol,
            peer_name,
            fields,
            learnt,
            tags,
            message_bytes,
            client,
        } = self;
        let said = subprotocol.is_none() && tags.is_none() && message_bytes.is_none();
        said && peer_name.is_none() && fields.is_empty() && learnt.is_none() && client.is_none()
    }
}

#[cfg(test)]
mod tests;

//! Opening handshakes in the test host: judged by the plugin, before there is a session.

use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    fmt, ptr,
    rc::Rc,
};

use super::{
    Inner, Instance, ManifestProtocol, Part, client::OpenedClient, facts::KnownFacts,
    handshake_calls::CALLS, session::Handshake,
};
use crate::{
    Fields,
    abi::{self, Status},
};

/// The default of `limits.answer_fields_bytes`.
const FIELDS_BYTES: usize = 16 << 10;

/// The answer to an opening handshake that was refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status code.
    pub status: u16,
    /// Names and values of the fields that the plugin added.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The content.
    pub content: Vec<u8>,
    /// Why the hook failed, as the host would log it; then the status is 500.
    pub failure: Option<String>,
}

impl Refused {
    /// The value of the first field of that name, in any case of letters; none when it is not UTF-8.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        str::from_utf8(&found?.1).ok()
    }

    /// The content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// With status and content, if the plugin has said them.
    pub(super) fn with(said: Option<(u16, Vec<u8>)>, fields: Vec<(String, Vec<u8>)>) -> Self {
        let (status, content) = said.unwrap_or((403, Vec::new()));
        Self {
            status,
            fields,
            content,
            failure: None,
        }
    }

    pub(super) fn failed(failures: &[String]) -> Self {
        Self {
            status: 500,
            fields: Vec::new(),
            content: Vec::new(),
            failure: Some(failures.join("; then ")),
        }
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("status", &self.status)
            .field(
                "fields",
                &self.fields.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .field("text", &self.text())
            .field("failure", &self.failure)
            .finish()
    }
}

/// What came of an opening handshake that was accepted.
pub(super) struct Accepted {
    pub(super) instance: Instance,
    /// With the subprotocol that was agreed on.
    pub(super) handshake: Handshake,
    /// What the plugin added to the answer.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) learnt: Learnt,
    /// Where it is the plugin that has asked.
    pub(super) client: Option<OpenedClient>,
}

/// What the plugin has learnt: given to who takes it, else freed.
pub(super) struct Learnt {
    host: Rc<Inner>,
    index: usize,
    instance: Instance,
    pointer: Cell<*mut c_void>,
}

impl Learnt {
    pub(super) fn nothing(host: &Rc<Inner>, index: usize, instance: Instance) -> Self {
        Self {
            host: Rc::clone(host),
            index,
            instance,
            pointer: Cell::new(ptr::null_mut()),
        }
    }

    /// Null when it is nothing, or was taken before.
    pub(super) fn take(&self) -> *mut c_void {
        self.pointer.replace(ptr::null_mut())
    }

    /// Frees what nobody took; tells when that fails.
    pub(super) fn forget(&self) -> Option<String> {
        let learnt = self.take();
        if learnt.is_null() {
            return None;
        }
        let block = self.host.handshake(self.index)?;
        // SAFETY: `request` of the same block made it, nobody has taken it, and the host is that of the instance.
        match unsafe { (block.forget)(learnt, self.instance.host) } {
            abi::STATUS_OK => None,
            _ => Some(self.host.shared.take_failure().unwrap_or_default()),
        }
    }
}

impl Drop for Learnt {
    fn drop(&mut self) {
        self.forget();
    }
}

/// An opening handshake while the plugin judges it. Its calls come while it is shared, hence the cells.
pub(super) struct Opening {
    pub(super) facts: KnownFacts,
    target: String,
    pub(super) handshake: Handshake,
    /// The place in what is offered; none for no subprotocol.
    chosen: Cell<Option<usize>>,
    fields: RefCell<Vec<(String, Vec<u8>)>>,
    refusal: RefCell<Option<(u16, Vec<u8>)>>,
    pub(super) failures: RefCell<Vec<String>>,
}

/// Has the newest instance of a protocol judge an opening handshake.
pub(super) fn judge(
    host: &Rc<Inner>,
    index: usize,
    mut handshake: Handshake,
) -> Result<Accepted, Refused> {
    let instance = host.instance(Part::Protocol(index));
    let ManifestProtocol { name, id, .. } = &host.protocols[index];
    if handshake.subprotocol.is_none() && handshake.offered.contains(name) {
        handshake.subprotocol = Some(name.clone());
    }
    // What was agreed on was offered.
    if let Some(agreed) = &handshake.subprotocol
        && !handshake.offered.contains(agreed)
    {
        handshake.offered.push(agreed.clone());
    }
    let learnt = |pointer| Learnt {
        host: Rc::clone(host),
        index,
        instance,
        pointer: Cell::new(pointer),
    };
    let Some(block) = host.handshake(index) else {
        return Ok(Accepted {
            instance,
            handshake,
            fields: Vec::new(),
            learnt: learnt(ptr::null_mut()),
            client: None,
        });
    };
    let facts = KnownFacts::new(handshake.clone(), name, *id, abi::ROLE_SERVER);
    let opening = Opening::new(facts, handshake);
    let raw = abi::Handshake {
        context: ptr::from_ref(&opening).cast_mut().cast(),
        calls: &CALLS,
        thread: instance.thread,
    };
    let mut out = ptr::null_mut();
    // SAFETY: the instance is alive, and the handshake is ours until the call returns.
    match unsafe { (block.request)(instance.instance, &raw const raw, &raw mut out) } {
        abi::STATUS_OK => Ok(Accepted {
            instance,
            handshake: opening.agreed(),
            fields: opening.fields.take(),
            learnt: learnt(out),
            client: None,
        }),
        abi::STATUS_NONE => Err(opening.refused()),
        _ => Err(Refused::failed(&opening.failures.take())),
    }
}

impl Inner {
    fn handshake(&self, index: usize) -> Option<&'static abi::HandshakeBlock> {
        let block = self.entry(index).handshake;
        // SAFETY: entries lead to static blocks, or have none.
        unsafe { block.as_ref() }
    }
}

impl Opening {
    pub(super) fn new(facts: KnownFacts, handshake: Handshake) -> Self {
        let named = handshake.subprotocol.as_ref();
        let chosen =
            named.and_then(|name| handshake.offered.iter().position(|other| other == name));
        let target = match &handshake.query {
            Some(query) => format!("{}?{query}", handshake.path),
            None => handshake.path.clone(),
        };
        Self {
            facts,
            target,
            handshake,
            chosen: Cell::new(chosen),
            fields: RefCell::default(),
            refusal: RefCell::default(),
            failures: RefCell::default(),
        }
    }

    pub(super) fn subprotocol(&self) -> Option<&str> {
        self.handshake
            .offered
            .get(self.chosen.get()?)
            .map(String::as_str)
    }

    fn agreed(&self) -> Handshake {
        let subprotocol = self.subprotocol().map(str::to_owned);
        Handshake {
            subprotocol,
            ..self.handshake.clone()
        }
    }

    pub(super) fn refused(&self) -> Refused {
        Refused::with(self.refusal.take(), self.fields.take())
    }

    pub(super) fn take_fields(&self) -> Vec<(String, Vec<u8>)> {
        self.fields.take()
    }

    pub(super) fn bytes(&self, key: u32) -> Option<&[u8]> {
        match key {
            abi::FACT_TARGET => Some(self.target.as_bytes()),
            abi::FACT_HOST => Some(self.handshake.authority.as_bytes()),
            abi::FACT_SUBPROTOCOL => self.subprotocol().map(str::as_bytes),
            key => self.facts.bytes(key),
        }
    }

    pub(super) fn choose(&self, subprotocol: &str) -> Status {
        let offered = &self.handshake.offered;
        let place = offered.iter().position(|other| other == subprotocol);
        if place.is_none() && !subprotocol.is_empty() {
            return abi::STATUS_ERROR;
        }
        self.chosen.set(place);
        abi::STATUS_OK
    }

    pub(super) fn add_field(&self, name: &[u8], value: &[u8]) -> Status {
        add_field(&self.fields, name, value)
    }

    pub(super) fn refuse(&self, status: u32, content: &[u8]) -> Status {
        refuse(&self.refusal, status, content)
    }
}

/// Adds a field to an answer as the host does.
pub(super) fn add_field(
    fields: &RefCell<Vec<(String, Vec<u8>)>>,
    name: &[u8],
    value: &[u8],
) -> Status {
    let name = String::from_utf8_lossy(name).into_owned();
    let is_of_websocket = name.to_ascii_lowercase().starts_with("sec-websocket-");
    if is_of_websocket || Fields::new().field(&name, value).refusal().is_some() {
        return abi::STATUS_ERROR;
    }
    let mut fields = fields.borrow_mut();
    // As lines: with a colon, a blank, and the end of the line.
    let line = |name: &str, value: &[u8]| name.len() + value.len() + 4;
    let had: usize = fields.iter().map(|(name, value)| line(name, value)).sum();
    if had + line(&name, value) > FIELDS_BYTES {
        return abi::STATUS_FULL;
    }
    fields.push((name, value.to_vec()));
    abi::STATUS_OK
}

/// Keeps how something is refused, if an answer can be so.
pub(super) fn refuse(
    refusal: &RefCell<Option<(u16, Vec<u8>)>>,
    status: u32,
    content: &[u8],
) -> Status {
    match u16::try_from(status) {
        Ok(status @ 300..=599) if status != 304 || content.is_empty() => {
            *refusal.borrow_mut() = Some((status, content.to_vec()));
            abi::STATUS_OK
        }
        _ => abi::STATUS_ERROR,
    }
}

/// The value with this index of those of that name.
pub(super) fn nth<'a>(
    fields: &'a [(String, Vec<u8>)],
    name: &[u8],
    index: u64,
) -> Option<&'a [u8]> {
    let mut values = fields
        .iter()
        .filter(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name));
    values
        .nth(usize::try_from(index).ok()?)
        .map(|(_, value)| value.as_slice())
}

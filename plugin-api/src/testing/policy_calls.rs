//! The calls of the test host that concern what a policy judges: all of them only write into it.

use std::{cell::RefCell, ffi::c_void};

use super::{
    exchange::TestRequest,
    facts::KnownFacts,
    handshake::{add_field as add, refuse as keep_refusal},
    handshake_calls::lend,
};
use crate::{
    ConnectionOption,
    abi::{self, Bytes, Status},
};

/// The default of `limits.tags_bytes`.
const TAGS_BYTES: usize = 4 << 10;

pub(super) static CALLS: abi::PolicyCalls = abi::PolicyCalls {
    size: size_of::<abi::PolicyCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    tag,
    set_tag,
    set_option,
    add_field,
    refuse,
    fail,
};

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has just come, or is over.
    Bare,
    /// It is made ready.
    Setup,
    /// It speaks TLS.
    Secured,
    /// There is a request.
    Request,
}

/// A request that is judged.
pub(super) struct JudgedRequest {
    request: TestRequest,
    number: u64,
    is_handshake: bool,
}

impl JudgedRequest {
    pub(super) const fn new(request: TestRequest, number: u64, is_handshake: bool) -> Self {
        Self {
            request,
            number,
            is_handshake,
        }
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let target = &*self.request.target;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let text = match key {
            abi::FACT_METHOD => &self.request.method,
            abi::FACT_TARGET => target,
            abi::FACT_PATH => path,
            abi::FACT_QUERY => query?,
            abi::FACT_HOST => return self.field(b"Host", 0),
            _ => return None,
        };
        Some(text.as_bytes())
    }

    fn field(&self, name: &[u8], index: u64) -> Option<&[u8]> {
        let fields = self.request.fields.iter();
        let mut same = fields.filter(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name));
        let (_, value) = same.nth(usize::try_from(index).ok()?)?;
        Some(value.as_bytes())
    }
}

/// What is judged while a hook runs. Its calls come while it is shared, hence the cells.
pub(super) struct Judging {
    pub(super) id: u64,
    pub(super) stage: Stage,
    pub(super) facts: KnownFacts,
    pub(super) is_encrypted: bool,
    pub(super) is_trusted_proxy: bool,
    pub(super) request: Option<JudgedRequest>,
    pub(super) tags: RefCell<Vec<(String, Vec<u8>)>>,
    pub(super) options: RefCell<Vec<ConnectionOption>>,
    pub(super) fields: RefCell<Vec<(String, Vec<u8>)>>,
    pub(super) refusal: RefCell<Option<(u16, Vec<u8>)>>,
    pub(super) failures: RefCell<Vec<String>>,
}

impl Judging {
    fn number(&self, key: u32) -> Option<u64> {
        let request = self.request.as_ref();
        match key {
            abi::FACT_ID => Some(self.id),
            abi::FACT_ENCRYPTED => Some(self.is_encrypted.into()),
            abi::FACT_TRUSTED_PROXY => Some(self.is_trusted_proxy.into()),
            abi::FACT_EXCHANGE => Some(request?.number),
            abi::FACT_HTTP_MINOR => Some(request?.request.http_minor.into()),
            abi::FACT_IS_HANDSHAKE => Some(request?.is_handshake.into()),
            abi::FACT_PROTOCOL_ID => None,
            key => self.facts.number(key),
        }
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let request = self.request.as_ref();
        match key {
            abi::FACT_METHOD
            | abi::FACT_TARGET
            | abi::FACT_PATH
            | abi::FACT_QUERY
            | abi::FACT_HOST => request?.bytes(key),
            abi::FACT_PROTOCOL => None,
            abi::FACT_LOCAL => {
                let is_inet = self.facts.bytes(abi::FACT_PEER_IP).is_some();
                is_inet.then_some(b"127.0.0.1:80")
            }
            key => self.facts.bytes(key),
        }
    }

    fn set_tag(&self, name: &[u8], value: &[u8]) -> Status {
        let is_token = !name.is_empty() && name.iter().all(|byte| is_token_byte(*byte));
        if self.stage == Stage::Bare || !is_token {
            return abi::STATUS_ERROR;
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let mut tags = self.tags.borrow_mut();
        let others = tags.iter().filter(|(other, _)| *other != name);
        let others: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if others + name.len() + value.len() > TAGS_BYTES {
            return abi::STATUS_FULL;
        }
        tags.retain(|(other, _)| *other != name);
        tags.push((name, value.to_vec()));
        abi::STATUS_OK
    }

    fn set_option(&self, option: u32, value: u64) -> Status {
        let number = u32::try_from(value).ok();
        let option = match (option, number) {
            (abi::OPTION_NO_DELAY, Some(0 | 1)) => ConnectionOption::NoDelay(value == 1),
            (abi::OPTION_SEND_BUFFER, Some(bytes)) => ConnectionOption::SendBuffer(bytes),
            (abi::OPTION_RECEIVE_BUFFER, Some(bytes)) => ConnectionOption::ReceiveBuffer(bytes),
            (abi::OPTION_KEEPALIVE_S, Some(seconds)) => ConnectionOption::KeepaliveS(seconds),
            (abi::OPTION_MESSAGE_BYTES, _) => ConnectionOption::MessageBytes(value),
            (abi::OPTION_FIRST_REQUEST_MS, _) => ConnectionOption::FirstRequestMs(value),
            _ => return abi::STATUS_ERROR,
        };
        if self.stage != Stage::Setup {
            return abi::STATUS_ERROR;
        }
        let is_of_tcp = matches!(
            option,
            ConnectionOption::NoDelay(_) | ConnectionOption::KeepaliveS(_)
        );
        if is_of_tcp && self.facts.bytes(abi::FACT_PEER_IP).is_none() {
            return abi::STATUS_NONE;
        }
        self.options.borrow_mut().push(option);
        abi::STATUS_OK
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// # Safety
///
/// `context` is something that is lent to the hook which is running.
unsafe fn judging<'a>(context: *mut c_void) -> &'a Judging {
    // SAFETY: the caller promises it; what is judged is only shared, and changes in its cells.
    unsafe { &*context.cast::<Judging>() }
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    // SAFETY: the plugin hands back the context of what is judged.
    let Some(number) = unsafe { judging(context) }.number(key) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(number) };
    abi::STATUS_OK
}

unsafe extern "C" fn fact_bytes(
    context: *mut c_void,
    key: u32,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the context of what is judged, and uses the fact until the hook returns.
    unsafe { lend(judging(context).bytes(key), out) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the context of what is judged, and lends the name.
    let (judging, name) = unsafe { (judging(context), name.as_slice()) };
    let request = judging.request.as_ref();
    let value = request.and_then(|request| request.field(name, index));
    // SAFETY: the place is the plugin's, which uses what is lent until the hook returns.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the context of what is judged.
    let request = unsafe { judging(context) }.request.as_ref();
    let found = request.and_then(|judged| {
        let index = usize::try_from(index).ok()?;
        judged.request.fields.get(index)
    });
    // SAFETY: both places are the plugin's, which uses what is lent until the hook returns.
    unsafe {
        lend(found.map(|(name, _)| name.as_bytes()), name);
        lend(found.map(|(_, value)| value.as_bytes()), value)
    }
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the context of what is judged, and lends the name.
    let (judging, name) = unsafe { (judging(context), name.as_slice()) };
    let tags = judging.tags.borrow();
    let found = tags
        .iter()
        .rev()
        .find(|(other, _)| other.as_bytes() == name);
    // SAFETY: the place is the plugin's, which uses what is lent until a tag is set or the hook returns.
    unsafe { lend(found.map(|(_, value)| value.as_slice()), out) }
}

unsafe extern "C" fn set_tag(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the context of what is judged, and lends both.
    unsafe { judging(context).set_tag(name.as_slice(), value.as_slice()) }
}

unsafe extern "C" fn set_option(context: *mut c_void, option: u32, value: u64) -> Status {
    // SAFETY: the plugin hands back the context of what is judged.
    unsafe { judging(context) }.set_option(option, value)
}

unsafe extern "C" fn add_field(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the context of what is judged, and lends both.
    let (judging, name, value) = unsafe { (judging(context), name.as_slice(), value.as_slice()) };
    if judging.stage != Stage::Request {
        return abi::STATUS_ERROR;
    }
    add(&judging.fields, name, value)
}

unsafe extern "C" fn refuse(context: *mut c_void, status: u32, content: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the context of what is judged, and lends the content.
    let (judging, content) = unsafe { (judging(context), content.as_slice()) };
    if judging.stage != Stage::Request {
        return abi::STATUS_ERROR;
    }
    keep_refusal(&judging.refusal, status, content)
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    // SAFETY: the plugin hands back the context of what is judged, and lends the text.
    let (judging, text) = unsafe { (judging(context), text.as_slice()) };
    let text = String::from_utf8_lossy(text).into_owned();
    judging.failures.borrow_mut().push(text);
}

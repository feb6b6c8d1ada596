//! Extensions in the test host: agreed on, and driven piece by piece.

use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    fmt, mem,
    num::NonZeroU64,
    ptr,
    rc::Rc,
};

use super::{Inner, Instance, Part, extension_calls::CALLS, facts::KnownFacts, session::Handshake};
use crate::{CloseCode, FramePiece, Opcode, Rsv, abi};

/// Opcodes that an extension may own: 3 to 7 and 11 to 15.
const RESERVED_OPCODES: u32 = 0xf8f8;

/// A connection that an extension was agreed on for: the extension alone, with the host on both sides of it.
///
/// What it puts is judged as the real host does. Dropped, or ended, the connection is at its end.
pub struct TestConnection {
    host: Rc<Inner>,
    /// Boxed, since calls of the extension lead to it.
    around: Box<Around>,
    part: Part,
    instance: Instance,
    agreement: abi::Agreement,
    response: String,
    skips_inbound: bool,
    skips_outbound: bool,
    failed: bool,
    ended: bool,
}

/// Which calls a hook may make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Offer,
    Accept,
    Inbound,
    Outbound,
    Other,
}

/// What the calls of an extension act on. They come while it is shared, hence the cells.
pub(super) struct Around {
    pub(super) facts: KnownFacts,
    hook: Cell<Hook>,
    parameters: RefCell<String>,
    code: Cell<u32>,
    failures: RefCell<Vec<String>>,
    pieces: RefCell<Vec<RecordedPiece>>,
    inward: Cell<Sequence>,
    outward: Cell<Sequence>,
    limit: Cell<u64>,
    own_rsv: Cell<Rsv>,
    /// Bits on pieces that were sent, of other extensions.
    others_rsv: Cell<Rsv>,
    opcodes: Cell<u32>,
    refused: Cell<Option<abi::Status>>,
}

/// Where a sequence of pieces stands.
#[derive(Clone, Copy, Default)]
struct Sequence {
    bytes: u64,
    message: Option<Opcode>,
    in_frame: bool,
}

/// A piece that an extension has put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPiece {
    /// See [`FramePiece::opcode`].
    pub opcode: Opcode,
    /// See [`FramePiece::rsv`]; inbound none, as what is set there has no effect.
    pub rsv: Rsv,
    /// See [`FramePiece::frame_first`].
    pub frame_first: bool,
    /// See [`FramePiece::frame_last`].
    pub frame_last: bool,
    /// See [`FramePiece::message_first`].
    pub message_first: bool,
    /// See [`FramePiece::message_last`].
    pub message_last: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

impl RecordedPiece {
    /// A copy of `piece`.
    #[must_use]
    pub fn new(piece: FramePiece<'_>) -> Self {
        Self {
            opcode: piece.opcode,
            rsv: piece.rsv,
            frame_first: piece.frame_first,
            frame_last: piece.frame_last,
            message_first: piece.message_first,
            message_last: piece.message_last,
            payload: piece.payload.to_vec(),
        }
    }

    /// The piece, to be given to another connection.
    #[must_use]
    pub fn as_piece(&self) -> FramePiece<'_> {
        FramePiece {
            opcode: self.opcode,
            rsv: self.rsv,
            frame_first: self.frame_first,
            frame_last: self.frame_last,
            message_first: self.message_first,
            message_last: self.message_last,
            payload: &self.payload,
        }
    }
}

/// Why a piece went no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The message was vetoed; the connection goes on.
    Vetoed,
    /// The message became larger than the limit: the connection fails with 1009.
    TooLarge,
    /// The connection fails.
    Failed {
        /// What the peer is sent.
        code: CloseCode,
        /// What the host logs.
        why: String,
    },
}

/// As server.
pub(super) fn accept(
    host: &Rc<Inner>,
    extension: &str,
    handshake: Handshake,
    offer: &str,
) -> Result<Option<TestConnection>, String> {
    let (part, instance, around) = host.begin(extension, handshake, abi::ROLE_SERVER);
    let mut agreement = nothing();
    let status = around.call(Hook::Accept, instance, |call| {
        let accept = host.extension(part).accept;
        let offer = abi::Bytes::new(offer.as_bytes());
        // SAFETY: the instance is alive, the call and `agreement` are ours, and the offer outlives this.
        unsafe { accept(instance.instance, call, offer, &raw mut agreement) }
    });
    match status {
        abi::STATUS_OK => TestConnection::new(host, part, instance, around, agreement).map(Some),
        abi::STATUS_NONE => Ok(None),
        status => Err(around.failure(status).1),
    }
}

/// As client.
pub(super) fn offer(
    host: &Rc<Inner>,
    extension: &str,
    handshake: Handshake,
    alternative: u32,
) -> Result<Option<String>, String> {
    let (part, instance, around) = host.begin(extension, handshake, abi::ROLE_CLIENT);
    let status = around.call(Hook::Offer, instance, |call| {
        let offer = host.extension(part).offer;
        // SAFETY: the instance is alive, and the call is ours.
        unsafe { offer(instance.instance, call, alternative) }
    });
    match status {
        abi::STATUS_OK => Ok(Some(around.parameters.take())),
        abi::STATUS_NONE => Ok(None),
        status => Err(around.failure(status).1),
    }
}

/// As client.
pub(super) fn confirm(
    host: &Rc<Inner>,
    extension: &str,
    handshake: Handshake,
    response: &str,
) -> Result<TestConnection, String> {
    let (part, instance, around) = host.begin(extension, handshake, abi::ROLE_CLIENT);
    let mut agreement = nothing();
    let status = around.call(Hook::Other, instance, |call| {
        let confirm = host.extension(part).confirm;
        let response = abi::Bytes::new(response.as_bytes());
        // SAFETY: the instance is alive, the call and `agreement` are ours, and the response outlives this.
        unsafe { confirm(instance.instance, call, response, &raw mut agreement) }
    });
    match status {
        abi::STATUS_OK => TestConnection::new(host, part, instance, around, agreement),
        status => Err(around.failure(status).1),
    }
}

/// What a protocol says of an extension.
pub(super) fn allows(
    host: &Rc<Inner>,
    protocol: &str,
    handshake: Handshake,
    (name, parameters): (&str, &str),
) -> Result<bool, String> {
    let index = host.index(protocol);
    if !host.protocols[index].extensions.include(name) {
        return Ok(false);
    }
    let entry = host.entry(index);
    // SAFETY: entries lead to static blocks, or have none.
    let Some(block) = (unsafe { entry.handshake.as_ref() }) else {
        return Ok(true);
    };
    let instance = host.instance(Part::Protocol(index));
    let id = host.protocols[index].id;
    let around = Around::new(KnownFacts::new(handshake, protocol, id, abi::ROLE_SERVER));
    let status = around.call(Hook::Other, instance, |call| {
        let [name, parameters] = [name, parameters].map(|text| abi::Bytes::new(text.as_bytes()));
        // SAFETY: the instance is alive, the call is ours, and the texts outlive this.
        unsafe { (block.extension)(instance.instance, call, name, parameters) }
    });
    match status {
        abi::STATUS_OK => Ok(true),
        abi::STATUS_NONE => Ok(false),
        status => Err(around.failure(status).1),
    }
}

const fn nothing() -> abi::Agreement {
    abi::Agreement {
        state: ptr::null_mut(),
        rsv: 0,
        opcodes: 0,
        independence: 0,
    }
}

impl Inner {
    fn begin(
        &self,
        extension: &str,
        handshake: Handshake,
        role: u64,
    ) -> (Part, Instance, Box<Around>) {
        let part = self.extension_part(extension);
        let facts = KnownFacts::new(handshake, "test", 0, role);
        (part, self.instance(part), Around::new(facts))
    }
}

impl TestConnection {
    fn new(
        host: &Rc<Inner>,
        part: Part,
        instance: Instance,
        around: Box<Around>,
        agreement: abi::Agreement,
    ) -> Result<Self, String> {
        let rsv = Rsv::from_bits(agreement.rsv);
        around.own_rsv.set(rsv);
        around.opcodes.set(agreement.opcodes);
        let connection = Self {
            host: Rc::clone(host),
            response: around.parameters.take(),
            around,
            part,
            instance,
            agreement,
            skips_inbound: false,
            skips_outbound: false,
            failed: false,
            ended: false,
        };
        if agreement.opcodes & !RESERVED_OPCODES != 0 {
            return Err("it owns an opcode that is not reserved".to_owned());
        }
        Ok(connection)
    }

    /// The parameters of the answer; none as client.
    #[must_use]
    pub fn response(&self) -> &str {
        &self.response
    }

    /// The bits that it owns.
    #[must_use]
    pub fn rsv(&self) -> Rsv {
        self.around.own_rsv.get()
    }

    /// The opcodes that it owns.
    #[must_use]
    pub fn opcodes(&self) -> Vec<Opcode> {
        let owned = self.around.opcodes.get();
        let mut opcodes: Vec<_> = (0..16).map(Opcode).collect();
        opcodes.retain(|opcode| owned >> opcode.0 & 1 != 0);
        opcodes
    }

    /// The key of [`Agreed::with_independence`](crate::Agreed::with_independence).
    #[must_use]
    pub const fn independence(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.agreement.independence)
    }

    /// How large a message may become, in bytes; without bound at first.
    pub fn set_limit(&self, bytes: u64) {
        self.around.limit.set(bytes);
    }

    /// A piece comes from the peer.
    ///
    /// # Errors
    ///
    /// Why it went no further.
    ///
    /// # Panics
    ///
    /// If the connection has failed before.
    pub fn inbound(&mut self, piece: FramePiece<'_>) -> Result<Vec<RecordedPiece>, Stopped> {
        let inbound = self.host.extension(self.part).inbound;
        if self.skips_inbound {
            self.skips_inbound = !piece.message_last;
            return Ok(Vec::new());
        }
        let passed = self.pass(Hook::Inbound, Some(piece), |state, call, piece| {
            // SAFETY: `run` gives a state that is ours, a call and a piece that outlive this.
            unsafe { inbound(state, call, piece) }
        });
        self.skips_inbound = passed == Err(Stopped::Vetoed) && !piece.message_last;
        passed
    }

    /// A piece is sent to the peer.
    ///
    /// # Errors
    ///
    /// Why it went no further.
    ///
    /// # Panics
    ///
    /// If the connection has failed before.
    pub fn outbound(&mut self, piece: FramePiece<'_>) -> Result<Vec<RecordedPiece>, Stopped> {
        let outbound = self.host.extension(self.part).outbound;
        if self.skips_outbound {
            self.skips_outbound = !piece.message_last;
            return Ok(Vec::new());
        }
        let mut others = self.around.others_rsv.get();
        others |= piece.rsv - self.rsv();
        self.around.others_rsv.set(others);
        let passed = self.pass(Hook::Outbound, Some(piece), |state, call, piece| {
            // SAFETY: `run` gives a state that is ours, a call and a piece that outlive this.
            unsafe { outbound(state, call, piece) }
        });
        self.skips_outbound = passed == Err(Stopped::Vetoed) && !piece.message_last;
        passed
    }

    /// Asks for what was held back.
    ///
    /// # Errors
    ///
    /// Why the connection fails.
    ///
    /// # Panics
    ///
    /// If the connection has failed before.
    pub fn flush(&mut self) -> Result<Vec<RecordedPiece>, Stopped> {
        let flush = self.host.extension(self.part).flush;
        self.pass(Hook::Outbound, None, |state, call, _| {
            // SAFETY: `run` gives a state that is ours, and a call that outlives this.
            unsafe { flush(state, call) }
        })
    }

    /// Ends the connection. Tells what failed in that.
    #[must_use]
    pub fn end(mut self) -> Vec<String> {
        self.destroy();
        self.around.failures.take()
    }

    fn pass(
        &mut self,
        hook: Hook,
        piece: Option<FramePiece<'_>>,
        run: impl FnOnce(
            *mut c_void,
            *const abi::ExtensionCall,
            *const abi::FramePiece<'_>,
        ) -> abi::Status,
    ) -> Result<Vec<RecordedPiece>, Stopped> {
        assert!(!self.failed, "the connection has failed");
        let state = self.agreement.state;
        let raw = piece.map(FramePiece::to_raw);
        let status = self.around.call(hook, self.instance, |call| {
            run(state, call, raw.as_ref().map_or(ptr::null(), ptr::from_ref))
        });
        let put = self.around.pieces.take();
        // What the host refused counts, whatever the extension made of it.
        let status = self.around.refused.take().unwrap_or(status);
        let may_veto = piece.is_some_and(|piece| piece.message_first) && put.is_empty();
        match status {
            abi::STATUS_OK => return Ok(put),
            abi::STATUS_NONE if may_veto => return Err(Stopped::Vetoed),
            _ => self.failed = true,
        }
        if status == abi::STATUS_FULL {
            return Err(Stopped::TooLarge);
        }
        let (code, why) = self.around.failure(status);
        Err(Stopped::Failed { code, why })
    }

    fn destroy(&mut self) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        let destroy = self.host.extension(self.part).destroy;
        self.around.call(Hook::Other, self.instance, |call| {
            // SAFETY: the extension made the state, and this is the last call with it.
            unsafe { destroy(self.agreement.state, call) }
        });
    }
}

impl Drop for TestConnection {
    fn drop(&mut self) {
        self.destroy();
    }
}

impl fmt::Debug for TestConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestConnection")
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}

impl Around {
    fn new(facts: KnownFacts) -> Box<Self> {
        Box::new(Self {
            facts,
            hook: Cell::new(Hook::Other),
            parameters: RefCell::default(),
            code: Cell::default(),
            failures: RefCell::default(),
            pieces: RefCell::default(),
            inward: Cell::default(),
            outward: Cell::default(),
            limit: Cell::new(u64::MAX),
            own_rsv: Cell::default(),
            others_rsv: Cell::default(),
            opcodes: Cell::default(),
            refused: Cell::default(),
        })
    }

    fn call(
        &self,
        hook: Hook,
        instance: Instance,
        run: impl FnOnce(*const abi::ExtensionCall) -> abi::Status,
    ) -> abi::Status {
        self.hook.set(hook);
        let call = abi::ExtensionCall {
            context: ptr::from_ref(self).cast_mut().cast(),
            calls: &CALLS,
            thread: instance.thread,
        };
        let status = run(&raw const call);
        self.hook.set(Hook::Other);
        status
    }

    /// What was told of a hook that failed.
    fn failure(&self, status: abi::Status) -> (CloseCode, String) {
        let code = match u16::try_from(self.code.take()).unwrap_or_default() {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => CloseCode(code),
            _ => CloseCode::INTERNAL_ERROR,
        };
        let told = self.failures.take();
        match told.is_empty() {
            true => (code, format!("it answered {status} without a word")),
            false => (code, told.join("; ")),
        }
    }

    pub(super) fn fail(&self, code: u32, text: &str) {
        if self.code.get() == 0 {
            self.code.set(code);
        }
        self.failures.borrow_mut().push(text.to_owned());
    }

    pub(super) fn set_parameters(&self, text: &str) -> abi::Status {
        if !matches!(self.hook.get(), Hook::Offer | Hook::Accept) {
            return abi::STATUS_NONE;
        }
        text.clone_into(&mut self.parameters.borrow_mut());
        abi::STATUS_OK
    }

    pub(super) fn put(&self, mut piece: FramePiece<'_>) -> abi::Status {
        if let Some(refused) = self.refused.get() {
            return refused;
        }
        let sequence = match self.hook.get() {
            Hook::Inbound => &self.inward,
            Hook::Outbound => &self.outward,
            _ => return abi::STATUS_ERROR,
        };
        let is_inbound = self.hook.get() == Hook::Inbound;
        let is_owned = self.opcodes.get() >> (piece.opcode.0 & 31) & 1 != 0;
        let mut bits = self.own_rsv.get();
        bits |= self.others_rsv.get();
        let is_data = [Opcode::TEXT, Opcode::BINARY].contains(&piece.opcode);
        if is_inbound {
            piece.rsv = Rsv::NONE;
        }
        let taken = if (is_data || is_owned) && bits.contains(piece.rsv) {
            sequence.get().advance(&piece, self.limit.get())
        } else {
            Err(abi::STATUS_ERROR)
        };
        match taken {
            Ok(next) => {
                sequence.set(next);
                self.pieces.borrow_mut().push(RecordedPiece::new(piece));
                abi::STATUS_OK
            }
            Err(refused) => {
                self.refused.set(Some(refused));
                refused
            }
        }
    }
}

impl Sequence {
    /// Judges the next piece.
    fn advance(self, piece: &FramePiece<'_>, limit: u64) -> Result<Self, abi::Status> {
        let whole = piece.frame_first && piece.frame_last;
        if piece.opcode.is_control() {
            let is_message = piece.message_first && piece.message_last;
            let has_order = whole && is_message && piece.payload.len() <= 125 && !self.in_frame;
            return has_order.then_some(self).ok_or(abi::STATUS_ERROR);
        }
        let continues = match self.message {
            None => piece.message_first,
            Some(begun) => !piece.message_first && piece.opcode == begun,
        };
        let has_order = continues
            && piece.frame_first != self.in_frame
            && (piece.frame_first || !piece.message_first && piece.rsv.is_empty())
            && (piece.frame_last || !piece.message_last);
        if !has_order {
            return Err(abi::STATUS_ERROR);
        }
        let before = if piece.message_first { 0 } else { self.bytes };
        let bytes = before.saturating_add(piece.payload.len() as u64);
        if bytes > limit {
            return Err(abi::STATUS_FULL);
        }
        Ok(Self {
            bytes,
            message: (!piece.message_last).then_some(piece.opcode),
            in_frame: !piece.frame_last,
        })
    }
}

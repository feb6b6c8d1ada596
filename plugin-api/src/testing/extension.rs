//! Extensions in the test host: agreed on, and driven piece by piece.

use std::{ffi::c_void, fmt, mem, num::NonZeroU64, ptr, rc::Rc};

use super::{
    Inner, Instance, Part,
    around::{Around, Hook},
    facts::KnownFacts,
    pieces::RecordedPiece,
    session::Handshake,
};
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

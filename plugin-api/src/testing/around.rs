//! What surrounds an extension while one of its hooks runs: the calls that it may make, and what it has put and said.

use std::{
    cell::{Cell, RefCell},
    ptr,
};

use super::{
    Instance,
    extension_calls::CALLS,
    facts::KnownFacts,
    pieces::{RecordedPiece, Sequence},
};
use crate::{CloseCode, FramePiece, Opcode, Rsv, abi};

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
    pub(super) parameters: RefCell<String>,
    code: Cell<u32>,
    pub(super) failures: RefCell<Vec<String>>,
    pub(super) pieces: RefCell<Vec<RecordedPiece>>,
    pub(super) inward: Cell<Sequence>,
    pub(super) outward: Cell<Sequence>,
    pub(super) limit: Cell<u64>,
    pub(super) own_rsv: Cell<Rsv>,
    /// Bits on pieces that were sent, of other extensions.
    pub(super) others_rsv: Cell<Rsv>,
    pub(super) opcodes: Cell<u32>,
    pub(super) refused: Cell<Option<abi::Status>>,
}

impl Around {
    pub(super) fn new(facts: KnownFacts) -> Box<Self> {
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

    pub(super) fn call(
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
    pub(super) fn failure(&self, status: abi::Status) -> (CloseCode, String) {
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

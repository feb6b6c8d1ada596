//! An instance of a plugin's protocol as the context sees it: [`ProtocolHandler`] over the blocks of the ABI.
//!
//! The safety of every call here rests on the same three facts: the blocks come from a library that was checked and is
//! never unmapped; the pointers given back were made by the same blocks and are freed once; the context calls the
//! hooks of a session on its own service thread only, never two at once.

use std::{num::NonZeroUsize, ptr, sync::Arc, time::Duration};

use hotsocket_abi::{
    Bytes, CLOSE_BY_DRAIN, CLOSE_BY_HOST, CLOSE_BY_PEER, CLOSE_BY_PROTOCOL, Client, ClientBlock,
    Close, Handshake, HandshakeBlock, MESSAGE_BINARY, MESSAGE_FIRST, MESSAGE_LAST, MESSAGE_TEXT,
    STATUS_NONE, STATUS_OK, Session, SessionBlock, Status,
};

use crate::{
    connection::websocket::{CloseReport, ClosedBy},
    context::{
        handler::{
            Fault, Hosted, Label, LearntState, ProtocolFacts, ProtocolHandler, RequestFacts,
            SessionState, ThreadState, Verdict,
        },
        handshake::HandshakeCall,
        http_handler::HttpHandler,
        outgoing::ClientCall,
        routes::Route,
        session::SessionCall,
    },
    net::service::Delivered,
    plugin::{
        client_calls::CLIENT_CALLS,
        extension_calls::HookContext,
        handshake_calls::HANDSHAKE_CALLS,
        host_calls::within,
        http_adapter::Http,
        instance::{self, InstancePlan, outcome, pointer},
        services::Services,
        session_calls::SESSION_CALLS,
        tables::ProtocolBlocks,
    },
    wire::MessageKind,
};

/// A protocol of a generation on a vhost.
pub struct Protocol {
    instance: instance::Instance,
    facts: ProtocolFacts,
    /// None of a protocol that answers HTTP only.
    session: Option<SessionBlock>,
    handshake: Option<HandshakeBlock>,
    http: Option<Http>,
    client: Option<ClientBlock>,
    services: Arc<Services>,
}

impl Protocol {
    /// Has the plugin make an instance, on a loader thread.
    ///
    /// # Errors
    ///
    /// What the plugin says against it, such as an option that it does not know; or that it takes too long.
    pub fn create(
        plan: InstancePlan,
        facts: ProtocolFacts,
        blocks: &ProtocolBlocks,
        services: &Arc<Services>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let instance = instance::Instance::create(plan, services, patience)?;
        Ok(Self {
            http: blocks.http.map(|block| Http::new(block, &instance)),
            instance,
            facts,
            session: blocks.session,
            handshake: blocks.handshake,
            client: blocks.client,
            services: Arc::clone(services),
        })
    }

    /// Calls a hook of a connection that we open; true where the protocol has nothing to say.
    fn client_hook(
        &self,
        name: &'static str,
        call: &mut ClientCall<'_>,
        hook: impl FnOnce(&ClientBlock, *const Client) -> Status,
    ) -> Result<bool, Fault> {
        let Some(block) = &self.client else {
            return Ok(true);
        };
        let connection = call.facts().connection;
        let client = Client {
            thread: pointer(call.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &CLIENT_CALLS,
        };
        match within(connection, || hook(block, &client)) {
            STATUS_OK => Ok(true),
            STATUS_NONE => Ok(false),
            status => outcome(status, name, || std::mem::take(&mut call.fault)).map(|()| false),
        }
    }

    /// Calls a hook of a session with what it needs.
    #[inline]
    fn hook(
        &self,
        name: &'static str,
        call: &mut SessionCall<'_, '_>,
        hook: impl FnOnce(&SessionBlock, *const Session) -> Status,
    ) -> Result<(), Fault> {
        let Some(block) = &self.session else {
            return Err(no_sessions(name));
        };
        // What another one said that did not fail after all is nothing of this one.
        call.fault.clear();
        let session = Session {
            thread: pointer(call.instance.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &SESSION_CALLS,
        };
        let status = within(call.id, || hook(block, &session));
        if status == STATUS_OK {
            return Ok(());
        }
        outcome(status, name, || std::mem::take(&mut call.fault))
    }
}

/// The context binds no session to a protocol that has none.
#[cold]
fn no_sessions(hook: &'static str) -> Fault {
    Fault {
        hook,
        panicked: false,
        text: "the protocol has no sessions".into(),
    }
}

impl Hosted for Protocol {
    fn label(&self) -> &Label {
        self.instance.label()
    }

    fn name(&self) -> &str {
        &self.facts.name
    }

    fn retire(&self) -> Result<(), Fault> {
        self.instance.retire()
    }

    fn thread_create(&self) -> Result<ThreadState, Fault> {
        self.instance.thread_create()
    }

    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault> {
        self.instance.thread_destroy(thread)
    }
}

impl ProtocolHandler for Protocol {
    fn facts(&self) -> &ProtocolFacts {
        &self.facts
    }

    fn request(&self, call: &mut HandshakeCall<'_>) -> Result<Verdict, Fault> {
        let Some(block) = &self.handshake else {
            return Ok(Verdict::Accepted(None));
        };
        let mut learnt = ptr::null_mut();
        let handshake = Handshake {
            thread: pointer(call.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &HANDSHAKE_CALLS,
        };
        let connection = call.facts().connection;
        let status = within(connection, || {
            // SAFETY: see the module; the handshake is lent for the call, and `learnt` is a place for one pointer.
            unsafe { (block.request)(self.instance.pointer(), &handshake, &mut learnt) }
        });
        match status {
            STATUS_OK => {
                let learnt = NonZeroUsize::new(learnt.expose_provenance());
                Ok(Verdict::Accepted(learnt.map(LearntState)))
            }
            STATUS_NONE => Ok(Verdict::Refused),
            _ => outcome(status, "handshake", || std::mem::take(&mut call.fault))
                .map(|()| Verdict::Refused),
        }
    }

    fn answered(&self, call: &mut ClientCall<'_>) -> Result<bool, Fault> {
        self.client_hook("answer", call, |block, client| {
            // SAFETY: see the module; the client is lent for the call.
            unsafe { (block.answered)(self.instance.pointer(), client) }
        })
    }

    fn redirected(&self, call: &mut ClientCall<'_>) -> Result<bool, Fault> {
        self.client_hook("redirect", call, |block, client| {
            // SAFETY: as in `answered`.
            unsafe { (block.redirected)(self.instance.pointer(), client) }
        })
    }

    fn connect_failed(&self, call: &mut ClientCall<'_>) -> Result<(), Fault> {
        let failed = self.client_hook("connect_error", call, |block, client| {
            // SAFETY: as in `answered`.
            unsafe { (block.failed)(self.instance.pointer(), client) }
        });
        failed.map(|_| ())
    }

    fn serves(&self, route: &Route) {
        if let Some(door) = self.instance.door() {
            door.open(route, Arc::downgrade(&route.handler), &self.services.hub);
        }
    }

    fn is_linked(&self) -> bool {
        self.instance.generation.is_linked
    }

    fn forget(&self, learnt: LearntState) -> Result<(), Fault> {
        let Some(block) = &self.handshake else {
            return Ok(());
        };
        self.instance.call("forget", |host| {
            // SAFETY: see the module; the context calls this once, for what `request` made.
            unsafe { (block.forget)(pointer(learnt.0.get()), host) }
        })
    }

    fn http(&self) -> Option<&dyn HttpHandler> {
        self.http.as_ref().map(|http| http as &dyn HttpHandler)
    }

    fn allows_extension(
        &self,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        name: &str,
        parameters: &str,
    ) -> Result<bool, Fault> {
        let Some(handshake) = &self.handshake else {
            return Ok(true);
        };
        let mut hook = HookContext::of_request(request, thread);
        let (name, parameters) = (
            Bytes::new(name.as_bytes()),
            Bytes::new(parameters.as_bytes()),
        );
        let status = hook.call(|call| {
            // SAFETY: see the module; all that is given is lent for the call.
            unsafe { (handshake.extension)(self.instance.pointer(), call, name, parameters) }
        });
        match status {
            STATUS_OK => Ok(true),
            STATUS_NONE => Ok(false),
            _ => outcome(status, "extension", || hook.fault).map(|()| true),
        }
    }

    fn open(&self, call: &mut SessionCall<'_, '_>) -> Result<SessionState, Fault> {
        let mut made = ptr::null_mut();
        self.hook("open", call, |block, session| {
            // SAFETY: see the module; `made` is a place for one pointer.
            unsafe { (block.open)(self.instance.pointer(), session, &mut made) }
        })?;
        self.instance.generation.enter();
        Ok(SessionState(made.expose_provenance()))
    }

    #[inline]
    fn message(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        message: Delivered<'_>,
    ) -> Result<(), Fault> {
        let kind = match message.kind {
            MessageKind::Text => MESSAGE_TEXT,
            MessageKind::Binary => MESSAGE_BINARY,
        };
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = kind | flag(message.first, MESSAGE_FIRST) | flag(message.last, MESSAGE_LAST);
        let payload = Bytes::new(message.payload);
        self.hook("message", call, |block, session| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe { (block.message)(pointer(state.0), session, flags, message.remaining, payload) }
        })
    }

    fn writable(&self, state: SessionState, call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        self.hook("writable", call, |block, session| {
            // SAFETY: see the module.
            unsafe { (block.writable)(pointer(state.0), session) }
        })
    }

    fn timer(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        id: u64,
    ) -> Result<(), Fault> {
        self.hook("timer", call, |block, session| {
            // SAFETY: see the module.
            unsafe { (block.timer)(pointer(state.0), session, id) }
        })
    }

    fn notify(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hook("notify", call, |block, session| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe { (block.notify)(pointer(state.0), session, Bytes::new(payload)) }
        })
    }

    fn pong(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hook("pong", call, |block, session| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe { (block.pong)(pointer(state.0), session, Bytes::new(payload)) }
        })
    }

    fn close(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        report: &CloseReport,
    ) -> Result<(), Fault> {
        let close = Close {
            by: match report.by {
                ClosedBy::Peer => CLOSE_BY_PEER,
                ClosedBy::Protocol => CLOSE_BY_PROTOCOL,
                ClosedBy::Host => CLOSE_BY_HOST,
                ClosedBy::Drain => CLOSE_BY_DRAIN,
            },
            code: u32::from(report.code),
            clean: u32::from(report.clean),
            reason: Bytes::new(report.reason.as_bytes()),
        };
        self.hook("close", call, |block, session| {
            // SAFETY: see the module; what `close` points to is lent for the call.
            unsafe { (block.close)(pointer(state.0), session, &close) }
        })
    }

    fn destroy(&self, state: SessionState, call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        self.instance.generation.leave();
        self.hook("drop", call, |block, session| {
            // SAFETY: see the module; the context calls this once and nothing after it.
            unsafe { (block.destroy)(pointer(state.0), session) }
        })
    }
}

//! Calling the hooks of a session, and its place among the sessions of its protocol on this service thread.

use crate::{
    context::{
        broadcast::Set,
        handler::{Fault, ProtocolHandler, SessionState},
        instances::{Instance, report},
        roster::SetId,
        serving::{Context, Io},
        session::{Session, SessionCall},
    },
    net::{peer::Peer, port::Port, token::ConnectionId},
    wire::close_code::INTERNAL_ERROR,
};

impl Context {
    /// Calls a hook of a session, or some in a row, and fails the session when one does not end well.
    #[inline]
    pub(super) fn call(
        &self,
        session: &mut Session,
        port: &mut Port<'_>,
        hook: impl FnOnce(
            &Instance<dyn ProtocolHandler>,
            SessionState,
            &mut SessionCall<'_, '_>,
        ) -> Result<(), Fault>,
    ) {
        let Some(state) = session.state() else {
            return;
        };
        let Some(instance) = self.instances.get(session.instance) else {
            return;
        };
        let mut call = SessionCall {
            id: port.id(),
            peer: port.peer(),
            set: &self.sets[session.set as usize],
            session,
            port: Some(port),
            instance,
            fault: String::new(),
            ip: None,
        };
        if let Err(fault) = hook(instance, state, &mut call) {
            self.fail(instance, session, port, &fault);
        }
    }

    /// A hook did not end well: the session ends with 1011, all others go on.
    #[cold]
    pub(super) fn fail(
        &self,
        instance: &Instance<dyn ProtocolHandler>,
        session: &mut Session,
        port: &mut Port<'_>,
        fault: &Fault,
    ) {
        report(&*instance.handler, fault);
        port.fail(INTERNAL_ERROR, "the protocol failed");
        if fault.panicked
            && let Some(state) = session.take_state()
        {
            // What panicked is only freed; nothing else of it is called.
            self.destroy(instance, session, port.id(), port.peer(), state);
        }
    }

    /// Frees the state of a session.
    pub(super) fn destroy(
        &self,
        instance: &Instance<dyn ProtocolHandler>,
        session: &mut Session,
        id: ConnectionId,
        peer: Peer,
        state: SessionState,
    ) {
        let mut call = self.farewell(instance, session, id, peer);
        if let Err(fault) = instance.handler.destroy(state, &mut call) {
            report(&*instance.handler, &fault);
        }
    }

    /// A call for a session whose connection is gone.
    pub(super) fn farewell<'a>(
        &'a self,
        instance: &'a Instance<dyn ProtocolHandler>,
        session: &'a mut Session,
        id: ConnectionId,
        peer: Peer,
    ) -> SessionCall<'a, 'a> {
        SessionCall {
            id,
            peer,
            set: &self.sets[session.set as usize],
            session,
            port: None,
            instance,
            fault: String::new(),
            ip: None,
        }
    }

    /// The index of a set on this thread.
    pub(super) fn set_index(&mut self, id: SetId) -> usize {
        match self.sets.iter().position(|set| set.id == id) {
            Some(at) => at,
            None => {
                self.sets.push(Set::new(id));
                self.sets.len() - 1
            }
        }
    }

    /// Takes a session out of its set.
    pub(super) fn leave_set(&mut self, session: &Session, id: ConnectionId, io: &mut Io) {
        let members = &mut self.sets[session.set as usize].members;
        let noted = session.member as usize;
        let place = match members.get(noted) {
            Some(member) if *member == id => noted,
            // It was moved after it had ended and before that was told, so it could not note its place.
            _ => match members.iter().position(|member| *member == id) {
                Some(place) => place,
                None => return,
            },
        };
        members.swap_remove(place);
        if let Some(&moved) = members.get(place)
            && let Some(moved) = io.session(moved)
        {
            moved.member = place as u32;
        }
    }
}

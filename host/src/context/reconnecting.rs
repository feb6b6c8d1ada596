//! What becomes of a connection of ours that could not be made: its protocol says, or a redirect, or it is tried again.

use crate::{
    connection::{
        client_redirect::{Redirect, Redirects},
        opening::{OpeningCause, OpeningError, Stage},
    },
    context::connecting::Place,
    context::{
        client_request::ClientRequest,
        outgoing::Next,
        serving::{Context, Io},
        session::Session,
    },
    limits::Limits,
    net::token::ConnectionId,
};

impl Context {
    /// What was dialled was not opened.
    pub(super) fn dial_ended(
        &mut self,
        mut session: Session,
        id: ConnectionId,
        error: &OpeningError,
        io: &mut Io,
    ) {
        if let Some(outgoing) = session.outgoing_mut() {
            let number = outgoing.number;
            outgoing.is_given_up |= self.clients.landed(number);
        }
        for &at in std::mem::take(&mut session.extensions).as_slice() {
            self.extensions.leave(at);
        }
        self.client_failed(session, id, error, io);
    }

    /// There is no session: follows a redirect, or tells the protocol and does what it says.
    pub(super) fn client_failed(
        &mut self,
        mut session: Session,
        id: ConnectionId,
        error: &OpeningError,
        io: &mut Io,
    ) {
        let unfollowed = match self.redirect(&mut session, id, error) {
            Ok(true) => return self.try_after(session, 0, io),
            Ok(false) => None,
            Err(why) => Some(OpeningError {
                stage: error.stage,
                cause: OpeningCause::Unwanted(why.into()),
                answer: error.answer.clone(),
            }),
        };
        let error = unfollowed.as_ref().unwrap_or(error);
        if let Some(outgoing) = session.outgoing_mut() {
            outgoing.failures += 1;
        }
        let told = self.with_client(&mut session, id, None, |instance, call| {
            let mut call = call.with_error(error);
            let told = instance.handler.connect_failed(&mut call);
            (told, call.next)
        });
        let next = match told {
            Some((Ok(()), next)) => next,
            Some((Err(fault), _)) => {
                self.report_of(&session, &fault);
                Next::GiveUp
            }
            None => Next::GiveUp,
        };
        self.go_on(session, next, error, io);
    }

    pub(super) fn go_on(
        &mut self,
        mut session: Session,
        next: Next,
        error: &OpeningError,
        io: &mut Io,
    ) {
        let random = self.clients.random();
        let limits = &self.limits;
        let is_over = self.is_draining;
        let Some(outgoing) = session
            .outgoing_mut()
            .filter(|outgoing| !outgoing.is_given_up)
        else {
            return self.client_ended(session, error);
        };
        let after_ms = match next {
            Next::GiveUp => None,
            Next::Again(after_ms) => Some(after_ms),
            Next::To(request) => {
                outgoing.redirects = redirects(&request, limits);
                outgoing.request = *request;
                Some(0)
            }
            Next::Usual if error.may_pass() => {
                let policy = outgoing.request.retry_policy(limits);
                policy.wait_ms(outgoing.failures, random)
            }
            Next::Usual => None,
        };
        match after_ms {
            Some(after_ms) if !is_over => self.try_after(session, after_ms, io),
            _ => self.client_ended(session, error),
        }
    }

    /// Whether a redirect is followed, and if not what stands against it.
    pub(super) fn redirect(
        &mut self,
        session: &mut Session,
        id: ConnectionId,
        error: &OpeningError,
    ) -> Result<bool, String> {
        let is_answered = error.stage == Stage::Status;
        let Some(answer) = error.answer.as_ref().filter(|_| is_answered) else {
            return Ok(false);
        };
        let Some(outgoing) = session
            .outgoing_mut()
            .filter(|outgoing| !outgoing.is_given_up)
        else {
            return Ok(false);
        };
        let request = &outgoing.request;
        let followed = outgoing
            .redirects
            .follow(("GET", &request.url), &request.fields, answer);
        let Some(redirect) = followed.map_err(|error| error.to_string())? else {
            return Ok(false);
        };
        let judged = self.with_client(session, id, None, |instance, call| {
            let mut call = call.with_answer(Some(answer));
            call.location = Some(redirect.url.to_string());
            instance.handler.redirected(&mut call)
        });
        match judged {
            Some(Ok(true)) => {
                follow(session, redirect);
                Ok(true)
            }
            Some(Err(fault)) => {
                self.report_of(session, &fault);
                Err("the protocol failed at a redirect".to_owned())
            }
            _ => Err(format!("the redirect to {} is not wanted", redirect.url)),
        }
    }

    /// Has it tried after that time.
    pub(super) fn try_after(&mut self, mut session: Session, after_ms: u64, io: &mut Io) {
        let Some(outgoing) = session.outgoing_mut() else {
            return self.instances.leave(session.instance);
        };
        let (number, url) = (outgoing.number, &outgoing.request.url);
        let (target, is_encrypted) = ((&*url.target()).into(), url.scheme().is_secure());
        session.target = target;
        session.is_encrypted = is_encrypted;
        let key = io.call_after(after_ms, number);
        let place = Place::Waiting(session, key);
        self.clients.places.insert(number, place);
    }

    /// The time of one that waited has come.
    pub(super) fn client_due(&mut self, number: u64, io: &mut Io) {
        match self.clients.places.remove(&number) {
            Some(Place::Waiting(session, _)) => {
                self.clients.places.insert(number, Place::Queued(session));
                self.clients.queue.push_back(number);
                self.dial_queued(io);
            }
            Some(other) => {
                self.clients.places.insert(number, other);
            }
            None => {}
        }
    }
}

fn follow(session: &mut Session, redirect: Redirect) {
    if let Some(outgoing) = session.outgoing_mut() {
        outgoing.request.url = redirect.url;
        outgoing.request.fields = redirect.fields;
        // It was the name of the first host.
        outgoing.request.host = None;
    }
}

pub(super) fn redirects(request: &ClientRequest, limits: &Limits) -> Redirects {
    let limits = Limits {
        redirects_count: request.redirects.unwrap_or(limits.redirects_count),
        ..limits.clone()
    };
    Redirects::new(&limits, request.may_downgrade)
}

//! The plain requests of a service thread: their turn, their connection, redirects, and their end.

use std::collections::HashMap;

use crate::{
    connection::{
        client_exchange::PutError,
        client_redirect::{Redirect, Redirects},
        request_error::{RequestCause, RequestError},
        websocket::ClosedBy,
    },
    context::{
        asking::Asking,
        client_share::ClientSeat,
        http_request::{HttpBody, HttpRequest},
        hub::RequestOperation,
        instances::report,
        kept::{Kept, Way},
        outgoing::Whose,
        reconnecting::redirects,
        response_handler::{Listener, ResponseCall, ResponseHandler},
        serving::{Context, Io},
    },
    net::{
        dial::{ClientTls, Dial},
        port::Sent,
        requesting::{EndedRequest, RequestPort, Requested},
        token::ConnectionId,
    },
    wire::{answer_head::AnswerHead, fields::Fields},
};

/// See the module.
#[derive(Default)]
pub(crate) struct Requests {
    asked: HashMap<u64, Box<Asked>>,
    kept: Kept,
}

/// A request that is not over.
struct Asked {
    request: HttpRequest,
    listener: Listener,
    redirects: Redirects,
    /// The instance that asks.
    instance: Option<u32>,
    place: Place,
    /// Where its connection leads, once it has one.
    way: Option<Way>,
    /// It was sent over a connection that was gone already: what was kept is not tried again.
    is_repeated: bool,
    /// Where the answer that is being read leads.
    follow: Option<Box<Redirect>>,
    /// Content of that answer, in bytes.
    passed_over: u64,
    /// The head is to find the answer paused.
    is_paused: bool,
    /// Nobody wants it any more.
    is_given_up: bool,
    /// What its body takes of the memory of all connections, in bytes.
    charged: u64,
    _seat: ClientSeat,
}

/// Where it is.
#[derive(Clone, Copy)]
enum Place {
    /// It waits for its turn.
    Queued,
    /// Its connection is being opened.
    Dialled(ConnectionId),
    /// It is being sent, or its answer read.
    Sent(ConnectionId),
}

impl Requests {
    /// The thread ends: those that are left are told.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
    }
}

impl Context {
    /// A request was asked for.
    pub(super) fn begin_request(&mut self, asking: Asking, io: &mut Io) {
        let Asking {
            number,
            whose,
            request,
            listener,
            seat,
        } = asking;
        let given_up = |why: &str| Err(RequestError::given_up(why));
        if self.is_draining {
            return listener.end(given_up("the host is going away"));
        }
        let Ok(instance) = self.asking_instance(whose) else {
            return listener.end(given_up("the instance that asks is gone"));
        };
        let charged = request.body.bytes();
        if !io.charge(charged) {
            self.leave_instance(instance);
            return listener.end(given_up("limits.buffered_total_bytes is reached"));
        }
        let asked = Asked {
            redirects: redirects(&request.to, &self.limits),
            request,
            listener,
            instance,
            place: Place::Queued,
            way: None,
            is_repeated: false,
            follow: None,
            passed_over: 0,
            is_paused: false,
            is_given_up: false,
            charged,
            _seat: seat,
        };
        self.requests.asked.insert(number, Box::new(asked));
        self.queue_request(number, io);
    }

    /// Counts the request in at the instance that it is for.
    fn asking_instance(&mut self, whose: Option<Whose>) -> Result<Option<u32>, ()> {
        let (key, handler) = match whose {
            None => return Ok(None),
            Some(Whose::Instance { key, handler, .. }) => (key, handler.upgrade().ok_or(())?),
            Some(Whose::Protocol(_)) => return Err(()),
        };
        let entered = self.instances.enter(key, &handler);
        let at = entered.map_err(|fault| report(&*handler, &fault))?;
        if !self.vhosts.serves(key) {
            self.instances.retire(at);
        }
        Ok(Some(at))
    }

    fn leave_instance(&mut self, instance: Option<u32>) {
        if let Some(at) = instance {
            self.instances.leave(at);
        }
    }

    /// Has it sent when it is its turn; at once where a connection is kept.
    fn queue_request(&mut self, number: u64, io: &mut Io) {
        let Some(asked) = self.requests.asked.get(&number) else {
            return;
        };
        let proxy = self.proxy(&asked.request.to);
        let way = Way::of(&asked.request, proxy.as_ref());
        if !asked.is_repeated && self.requests.kept.has(&way) {
            return self.send_request(number, io);
        }
        self.clients.queue.push_back(number);
        self.dial_queued(io);
    }

    /// Sends it, over a connection that was kept or a new one.
    pub(super) fn send_request(&mut self, number: u64, io: &mut Io) {
        let Some(asked) = self.requests.asked.get(&number) else {
            return;
        };
        if !matches!(asked.place, Place::Queued) {
            return;
        }
        let proxy = self.proxy(&asked.request.to);
        let begun = asked.request.begin(proxy.as_ref(), &self.limits);
        let (head, exchange) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.end_request(number, given_up(error), io),
        };
        let mut requested = Box::new(Requested {
            number,
            head,
            body: asked.request.body.shared(),
            exchange,
            answer_ms: asked
                .request
                .answer_ms
                .unwrap_or(self.limits.client_answer_ms),
        });
        let way = Way::of(&asked.request, proxy.as_ref());
        while !asked.is_repeated
            && let Some(id) = self.requests.kept.take(&way)
        {
            match io.ask_on(id, requested) {
                Ok(()) => return self.place_request(number, Place::Sent(id), way),
                Err(back) => requested = back,
            }
        }
        let tls = match asked.request.url().scheme().is_secure() {
            true => self.hub.clients().tls(&asked.request.to.trust),
            false => Ok(ClientTls::Plain),
        };
        let tls = match tls {
            Ok(tls) => tls,
            Err(told) => return self.end_request(number, given_up(told), io),
        };
        let mut dial = Dial::new(asked.request.to.opening([0; 16], String::new(), proxy));
        dial.tls = tls;
        dial.within_ms = asked.request.to.within_ms;
        match io.ask(Box::new(dial), requested) {
            Ok(id) => {
                self.clients.dialled += 1;
                self.place_request(number, Place::Dialled(id), way);
            }
            Err((refused, _)) => self.end_request(number, given_up(refused), io),
        }
    }

    fn place_request(&mut self, number: u64, place: Place, way: Way) {
        if let Some(asked) = self.requests.asked.get_mut(&number) {
            asked.place = place;
            asked.way = Some(way);
        }
    }

    /// Its connection is there.
    pub(super) fn request_is_sent(&mut self, number: u64) {
        if let Some(asked) = self.requests.asked.get_mut(&number)
            && let Place::Dialled(id) = asked.place
        {
            asked.place = Place::Sent(id);
            self.clients.dialled = self.clients.dialled.saturating_sub(1);
        }
    }

    pub(super) fn tell_head(
        &mut self,
        number: u64,
        head: &AnswerHead<'_>,
        port: &mut RequestPort<'_>,
    ) {
        let Some(asked) = self.requests.asked.get_mut(&number) else {
            return;
        };
        let head = head.held();
        if asked.request.to.redirects != Some(0) {
            let (to, method) = (&asked.request.to, &*asked.request.method);
            match asked.redirects.follow((method, &to.url), &to.fields, &head) {
                Ok(Some(redirect)) if asked.follows(&redirect) => {
                    asked.follow = Some(Box::new(redirect));
                    return;
                }
                Ok(_) => {}
                Err(error) => return port.give_up(error),
            }
        }
        if asked.is_paused {
            port.pause();
        }
        asked.tell(number, port, |handler, call| handler.head(call, &head));
    }

    pub(super) fn tell_content(&mut self, number: u64, piece: &[u8], port: &mut RequestPort<'_>) {
        let Some(asked) = self.requests.asked.get_mut(&number) else {
            return;
        };
        if asked.follow.is_none() {
            return asked.tell(number, port, |handler, call| handler.content(call, piece));
        }
        // To read on is worth a connection that can be kept, and not more.
        asked.passed_over += piece.len() as u64;
        if asked.passed_over > self.limits.refusal_content_bytes {
            let why = "the rest of the response is not wanted".to_owned();
            port.give_up(RequestCause::GivenUp(why));
        }
    }

    pub(super) fn tell_writable(&mut self, number: u64, port: &mut RequestPort<'_>) {
        if let Some(asked) = self.requests.asked.get_mut(&number) {
            asked.tell(number, port, |handler, call| handler.writable(call));
        }
    }

    /// Its exchange is over, or there was none: it is sent again, elsewhere or anew, or it has ended.
    pub(super) fn request_over(&mut self, ended: EndedRequest, io: &mut Io) {
        let number = ended.number;
        self.request_is_sent(number);
        let is_draining = self.is_draining;
        let Some(asked) = self.requests.asked.get_mut(&number) else {
            return;
        };
        asked.place = Place::Queued;
        let way = asked.way.take();
        let is_wanted = !asked.is_given_up && !is_draining;
        let mut how = ended.how;
        let is_sent_again = match asked.follow.take() {
            Some(redirect) if is_wanted => {
                asked.redirect(*redirect);
                true
            }
            // The answer that has ended is not the one that was asked for.
            Some(_) => {
                how = how.and_then(|_| given_up("the host is going away"));
                false
            }
            None => {
                let is_repeated = ended.was_stale
                    && is_wanted
                    && !asked.is_repeated
                    && asked.request.may_be_repeated();
                asked.is_repeated |= is_repeated;
                is_repeated
            }
        };
        if let Some(way) = way
            && ended.is_kept
        {
            self.keep_connection(way, ended.id, io);
        }
        match is_sent_again {
            true => self.queue_request(number, io),
            false => self.end_request(number, how, io),
        }
    }

    fn keep_connection(&mut self, way: Way, id: ConnectionId, io: &mut Io) {
        let most = self.limits.client_idle_connections_count;
        let kept = &mut self.requests.kept;
        if let Some(oldest) = kept.put(way, id, most, |id| io.is_kept(id)) {
            io.hang_up(oldest, ClosedBy::Host, "others are kept");
        }
    }

    fn end_request(&mut self, number: u64, end: Result<Fields, RequestError>, io: &mut Io) {
        if let Some(asked) = self.requests.asked.remove(&number) {
            io.release(asked.charged);
            if let Err(error) = &end {
                tracing::debug!(target: "hotsocket::context", url = %asked.request.url(), request = number, %error,
                    "a request has no answer, or not all of one");
            }
            asked.listener.end(end);
            self.leave_instance(asked.instance);
        }
    }

    /// Does with a request what was asked from outside its own calls.
    pub(super) fn operate_request(
        &mut self,
        number: u64,
        operation: &RequestOperation,
        io: &mut Io,
    ) {
        let Some(asked) = self.requests.asked.get_mut(&number) else {
            return;
        };
        match operation {
            RequestOperation::Pause => asked.is_paused = true,
            RequestOperation::Resume => asked.is_paused = false,
            _ => {}
        }
        let Place::Sent(id) = asked.place else {
            if let RequestOperation::Send(_) | RequestOperation::Finish = operation {
                let why = "the body was given before `writable` was told";
                self.give_up_request(number, ClosedBy::Protocol, why, io);
            }
            return;
        };
        io.with_request(id, number, |port| operate(port, operation));
    }

    /// Nobody wants a request any more.
    pub(super) fn give_up_request(&mut self, number: u64, by: ClosedBy, why: &str, io: &mut Io) {
        let Some(asked) = self.requests.asked.get_mut(&number) else {
            return;
        };
        asked.is_given_up = true;
        match asked.place {
            Place::Queued => self.end_request(number, given_up(why), io),
            Place::Dialled(id) | Place::Sent(id) => io.hang_up(id, by, why),
        }
    }

    /// Gives up all requests, of these instances or of all.
    pub(super) fn give_up_requests(&mut self, keys: Option<&[u64]>, why: &str, io: &mut Io) {
        let is_meant = |asked: &Asked| {
            let is_among = |keys| {
                asked
                    .instance
                    .is_some_and(|at| self.instances.is_among(at, keys))
            };
            keys.is_none_or(is_among)
        };
        let meant = self.requests.asked.iter();
        let meant = meant.filter(|(_, asked)| is_meant(asked));
        let numbers: Vec<_> = meant.map(|(number, _)| *number).collect();
        for number in numbers {
            self.give_up_request(number, ClosedBy::Drain, why, io);
        }
    }
}

impl Asked {
    /// Whether a redirect is followed: the handler has a say, and content that was streamed is not there any more.
    fn follows(&mut self, redirect: &Redirect) -> bool {
        let is_lost = redirect.keeps_body && matches!(self.request.body, HttpBody::Streamed(_));
        let is_wanted = |listener: &mut Listener| {
            listener
                .get()
                .is_some_and(|handler| handler.redirected(&redirect.url))
        };
        !is_lost && is_wanted(&mut self.listener)
    }

    /// It goes on elsewhere.
    fn redirect(&mut self, redirect: Redirect) {
        let to = &mut self.request.to;
        let mut fields = redirect.fields;
        if redirect.keeps_secrets
            && !fields.has("Authorization")
            && let Some(credentials) = to.url.credentials()
        {
            // They stood in a URL that is left, and can be written.
            let _ = fields.add("Authorization", credentials.basic().to_string().as_bytes());
        }
        to.url = redirect.url;
        to.fields = fields;
        // It was the name of the first host.
        to.host = None;
        self.request.method = redirect.method;
        self.is_repeated = false;
        self.passed_over = 0;
        if !redirect.keeps_body {
            self.request.body = HttpBody::None;
        }
    }

    fn tell(
        &mut self,
        number: u64,
        port: &mut RequestPort<'_>,
        tell: impl FnOnce(&mut dyn ResponseHandler, &mut ResponseCall<'_, '_>),
    ) {
        let url = &self.request.to.url;
        if let Some(handler) = self.listener.get() {
            tell(handler, &mut ResponseCall { number, url, port });
        }
    }
}

fn operate(port: &mut RequestPort<'_>, operation: &RequestOperation) {
    let full = "more of the body was given than may wait: see limits.high_mark_bytes, and wait for `writable`";
    match operation {
        RequestOperation::Send(piece) => {
            match port.send(piece) {
                Ok(Sent::Full) => port.give_up(RequestCause::GivenUp(full.to_owned())),
                Err(PutError::Length) => port.give_up(RequestCause::Body),
                // A server that has answered without the rest of it wants none.
                Ok(_) | Err(_) => {}
            }
        }
        RequestOperation::Finish => {
            let _ = port.finish(&Fields::new());
        }
        RequestOperation::AskWritable => port.ask_writable(),
        RequestOperation::Pause => port.pause(),
        RequestOperation::Resume => port.resume(),
    }
}

fn given_up(why: impl ToString) -> Result<Fields, RequestError> {
    Err(RequestError::given_up(why.to_string()))
}

//! What a service thread is told from outside the hooks of a session, and what it does with it: operations by id and by
//! set, broadcasts, new routes and limits, drains.

use std::{net::IpAddr, sync::Arc};

use crate::{
    connection::websocket::ClosedBy,
    context::{
        hub::{Command, Operation, SlowPolicy},
        roster::SetId,
        serving::{Context, Io},
        session::Session,
    },
    net::{io::Delivery, peer::Peer, token::ConnectionId},
    wire::close_code::{GOING_AWAY, RESTART, TRY_AGAIN_LATER},
};

/// Keeps the name of a peer where its connection still asks for that address.
fn learn_peer_name((id, address): (ConnectionId, IpAddr), name: &Arc<str>, io: &mut Io) {
    let is_of = |peer: Peer| {
        let peer = peer.address().map(|peer| peer.ip().to_canonical());
        peer == Some(address)
    };
    let told = io.with(id, |session, port| {
        if is_of(port.peer()) {
            session.learn_peer_name(Arc::clone(name));
        }
    });
    if told.is_none()
        && let Some((number, _)) = io.exchange(id)
    {
        io.with_exchange(id, number, |_, port| {
            if is_of(port.peer()) {
                port.note_peer_name(Some(Arc::clone(name)));
            }
        });
    }
}

impl Context {
    pub(super) fn command(&mut self, command: Command, io: &mut Io) {
        match command {
            Command::One(id, operation) => self.operate(id, &operation, io),
            Command::Exchange(id, number, Operation::AskAgain) => self.ask_again(id, number, io),
            Command::Exchange(id, number, operation) => {
                self.operate_exchange((id, number), &operation, io);
            }
            Command::CloseOne(id, code, reason) => {
                self.deliver_all(io);
                // One that closes already goes on as it began.
                io.with(id, |_, port| port.close(ClosedBy::Host, code, &reason));
            }
            Command::Abort(id) => {
                io.hang_up(id, ClosedBy::Host, "the program ended the connection");
            }
            Command::Adopt(adopting) => adopting.settle(|adopt| io.adopt(self, adopt)),
            Command::File(id, number, answer) => {
                io.with_exchange(id, number, |exchange, port| match exchange.handled() {
                    Some(handled) => handled.give_file(port, *answer),
                    None => exchange.site.send_files(port, *answer),
                });
            }
            Command::Resolved(id, number, found) => io.resolved(id, number, found),
            Command::Warmed(id, number, read) => io.warmed(id, number, read.map_err(Into::into)),
            Command::PeerName(id, address, name) => learn_peer_name((id, address), &name, io),
            Command::All(set, operation) => {
                let at = self.set_index(set);
                // Nobody leaves meanwhile: those who end are told later.
                for member in 0..self.sets[at].members.len() {
                    self.operate(self.sets[at].members[member], &operation, io);
                }
            }
            Command::Broadcast(set, frame, slow) => self.gather(set, &frame, slow, io),
            Command::Install(vhosts) => {
                self.instances.install(|key| vhosts.serves(key));
                let extensions = |key| {
                    let mut all = vhosts.iter().flat_map(|routes| &routes.extensions);
                    all.any(|route| route.instance == key)
                };
                self.extensions.install(extensions);
                let policies = |key| {
                    let mut all = vhosts.iter().flat_map(|routes| &routes.policies);
                    all.any(|route| route.instance == key)
                };
                self.judging.install(policies);
                self.vhosts = vhosts;
                // Their mounts may be gone.
                self.files.clear();
                self.ask_all_again(io);
            }
            Command::Limits(limits) => {
                self.message_bytes = limits.message_bytes;
                self.answer_fields_bytes = limits.answer_fields_bytes;
                self.tags_bytes = limits.tags_bytes;
                io.limit(&limits);
                self.hub.clients().set_most(limits.client_connections_count);
                self.limits = limits;
                self.files.clear();
            }
            Command::Listen(change) => io.change_listeners(self.thread, &change),
            Command::DrainInstances(keys) => self.drain_instances(&keys, io),
            Command::Connect(slot) => {
                if let Some(connecting) = slot.take() {
                    self.connect(*connecting, io);
                }
            }
            Command::Ask(slot, _) => {
                if let Some(asking) = slot.take() {
                    self.begin_request(*asking, io);
                }
            }
            Command::Request(number, operation) => self.operate_request(number, &operation, io),
            Command::GiveUp(number) => {
                let why = "nobody wants it any more";
                self.give_up_client(number, ClosedBy::Protocol, why, io);
                self.give_up_request(number, ClosedBy::Protocol, why, io);
            }
            Command::Drain => self.drain(io),
            Command::Stop(after_ms) => io.stop_after(after_ms),
        }
    }

    /// Does with a session what was asked from outside.
    fn operate(&mut self, id: ConnectionId, operation: &Operation, io: &mut Io) {
        io.with(id, |session, port| {
            self.call(session, port, |instance, state, call| {
                match operation {
                    Operation::Send(kind, payload) => {
                        call.send_posted(*kind, payload);
                    }
                    Operation::Ping(payload) => {
                        call.ping(payload);
                    }
                    Operation::Pong(payload) => {
                        call.pong(payload);
                    }
                    Operation::Close(code, reason) => {
                        call.close(*code, reason);
                    }
                    Operation::HangUp => call.hang_up(),
                    Operation::AskWritable => call.ask_writable(),
                    Operation::Pause => call.pause(),
                    Operation::Resume => call.resume(),
                    // For requests only.
                    Operation::AskAgain => {}
                    Operation::Notify(payload) => {
                        return instance.handler.notify(state, call, payload);
                    }
                }
                Ok(())
            });
        });
    }

    /// Does what the hooks have queued until now; false when that is nothing.
    pub(super) fn round(&mut self, io: &mut Io) -> bool {
        let waiting = self.hub.waiting_in_turn();
        for _ in 0..waiting {
            if let Some(command) = self.hub.next_of_turn() {
                self.command(command, io);
            }
        }
        waiting > 0
    }

    /// Gathers a frame for a set until the end of the turn.
    fn gather(&mut self, set: SetId, frame: &[u8], slow: SlowPolicy, io: &mut Io) {
        let at = self.set_index(set);
        if !self.sets[at].takes(frame.len(), slow) {
            self.deliver(at, io);
        }
        if self.sets[at].gather(frame, slow) && !self.gathered.contains(&at) {
            self.gathered.push(at);
        }
    }

    /// Delivers what was gathered for all sets.
    pub(super) fn deliver_all(&mut self, io: &mut Io) {
        let mut gathered = std::mem::take(&mut self.gathered);
        for at in gathered.drain(..) {
            self.deliver(at, io);
        }
        self.gathered = gathered;
    }

    /// Gives all members of a set what they have not had yet.
    fn deliver(&mut self, at: usize, io: &mut Io) {
        let (frames, slow) = self.sets[at].give();
        let end = self.sets[at].frames().len();
        let mut made = Vec::new();
        for member in 0..self.sets[at].members.len() {
            let id = self.sets[at].members[member];
            let mut had = 0;
            let unheard = |session: &mut Session| {
                had = std::mem::take(&mut session.cursor) as usize;
                had..end
            };
            let delivered = match io.deliver(id, &frames, unheard) {
                Delivery::Extended => {
                    let (all, mut partly) = ((*frames).as_ref(), Vec::new());
                    // Made once for those who have had none of it; who has had a part gets the rest by itself.
                    let made = if had == 0 { &mut made } else { &mut partly };
                    io.with(id, |_, port| port.send_frames_once(&all[had..end], made))
                        .map_or(Delivery::Gone, |sent| {
                            if sent { Delivery::Done } else { Delivery::Slow }
                        })
                }
                delivered => delivered,
            };
            if delivered == Delivery::Slow && slow == SlowPolicy::Close {
                io.with(id, |_, port| {
                    port.close(ClosedBy::Host, TRY_AGAIN_LATER, "too slow for a broadcast")
                });
            }
        }
        drop(frames);
        self.sets[at].clear();
    }

    fn drain_instances(&mut self, keys: &[u64], io: &mut Io) {
        self.deliver_all(io);
        self.give_up_clients(Some(keys), "the plugin was replaced", io);
        self.give_up_requests(Some(keys), "the plugin was replaced", io);
        for id in io.ids() {
            self.drain_exchange(id, keys, io);
            let Some(session) = io.session(id) else {
                continue;
            };
            let mut extensions = session.extensions.as_slice().iter();
            if self.instances.is_among(session.instance, keys)
                || extensions.any(|at| self.extensions.is_among(*at, keys))
            {
                io.with(id, |_, port| {
                    port.close(ClosedBy::Drain, RESTART, "the plugin was replaced")
                });
            }
        }
    }

    fn drain(&mut self, io: &mut Io) {
        self.is_draining = true;
        io.drain();
        self.give_up_clients(None, "the host is going away", io);
        self.give_up_requests(None, "the host is going away", io);
        self.deliver_all(io);
        for id in io.ids() {
            io.drain_http(id);
            io.with(id, |_, port| {
                port.close(ClosedBy::Drain, GOING_AWAY, "the server is going away")
            });
        }
    }
}

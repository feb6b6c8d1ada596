//! Both roles of an extension without I/O: what our client offers our server accepts, and what one sends the other
//! hears, through the real tables of permessage-deflate, linked in.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    connection::{
        buffers::BufferPool,
        inbound::{Delivery, Event, InboundRules},
        outbound::Masking,
        websocket::WebSocket,
    },
    context::{
        handler::{
            AllowedExtensions, ExtensionHandler, Hosted, ProtocolFacts, ProtocolHandler,
            RequestFacts, ThreadState,
        },
        hub::Hub,
        instances::Instances,
        negotiation::{Negotiated, Negotiator, Unconfirmed},
        roster::SetId,
        routes::ExtensionRoute,
    },
    net::token::ConnectionId,
    plugin::{
        adapter::Protocol, extension_adapter::HostedExtension, generation::Generation, hash::Hash,
        instance::InstancePlan, services::Services, tables::Opened,
    },
    wire::{
        MessageKind, Role,
        header_list::{self, ExtensionOffer},
    },
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A protocol and an extension, and the instances of one service thread.
struct Side {
    role: Role,
    protocol: Protocol,
    thread: ThreadState,
    routes: Vec<ExtensionRoute>,
    instances: Instances<dyn ExtensionHandler>,
}

impl Side {
    fn new(role: Role, options: &str, allowed: AllowedExtensions) -> Self {
        let hub = Arc::new(Hub::new(Vec::new()));
        let services = Arc::new(Services::new(hub, Box::new(|_| 0), 8));
        let echo = opened(::echo::plugin());
        let facts = ProtocolFacts {
            vhost: "default".into(),
            name: "echo".into(),
            id: 0,
            delivery: Delivery::Messages,
            pongs: false,
            extensions: allowed,
            keep_headers: Vec::new(),
            websocket: true,
            http: None,
        };
        let blocks = echo.protocols[0];
        let protocol = Protocol::create(
            plan(&echo, "echo", "{}", Some(SetId(0)), blocks.instance),
            facts,
            &blocks,
            &services,
            PATIENCE,
        );
        let deflate = opened(permessage_deflate::plugin());
        let blocks = deflate.extensions[0];
        let instance = plan(
            &deflate,
            permessage_deflate::NAME,
            options,
            None,
            blocks.instance,
        );
        let extension =
            HostedExtension::create(instance, blocks.extension, &services, PATIENCE).unwrap();
        let protocol = protocol.unwrap();
        Self {
            role,
            thread: protocol.thread_create().unwrap(),
            protocol,
            routes: vec![ExtensionRoute {
                instance: 1,
                handler: Arc::new(extension),
            }],
            instances: Instances::default(),
        }
    }

    fn negotiator(&mut self) -> Negotiator<'_> {
        Negotiator {
            thread: self.thread,
            request: RequestFacts {
                connection: ConnectionId::new(0, 1, 1),
                vhost: "default",
                target: "/echo?a=b",
                peer: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
                peer_name: None,
                tls: None,
                protocol: self.protocol.facts(),
                subprotocol: None,
                role: self.role,
            },
            protocol: &self.protocol,
            instances: &mut self.instances,
        }
    }

    fn offer(&mut self) -> String {
        let routes = self.routes.clone();
        self.negotiator().offer(&routes)
    }

    fn accept(&mut self, offers: &str) -> Negotiated {
        let routes = self.routes.clone();
        self.negotiator().negotiate(&routes, &parsed(offers))
    }

    fn confirm(&mut self, answer: &str) -> Result<Negotiated, Unconfirmed> {
        let routes = self.routes.clone();
        self.negotiator().confirm(&routes, &parsed(answer))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.protocol.thread_destroy(self.thread).unwrap();
        self.instances.clear();
    }
}

fn opened(plugin: hotsocket_plugin::StaticPlugin) -> Opened {
    Opened::from_linked(plugin.declaration(), plugin.manifest()).unwrap()
}

fn plan(
    opened: &Opened,
    name: &str,
    options: &str,
    set: Option<SetId>,
    block: hotsocket_abi::InstanceBlock,
) -> InstancePlan {
    let manifest = &opened.manifest;
    let generation = Generation::new(
        manifest.plugin.clone(),
        manifest.version.clone(),
        1,
        PathBuf::from("(linked)"),
        Hash::of(b""),
        Vec::new(),
    );
    InstancePlan {
        generation: Arc::new(generation),
        name: name.into(),
        block,
        vhost: "default".into(),
        set,
        options: options.into(),
        finished: Arc::new(|instance| instance.destroy(PATIENCE)),
        door: None,
    }
}

fn parsed(value: &str) -> Vec<ExtensionOffer<'_>> {
    let mut offers = Vec::new();
    header_list::extensions(value.as_bytes(), &mut offers).unwrap();
    offers
}

/// What `to` hears of a message that `from` sends, and how many bytes crossed.
fn pass(from: &mut WebSocket, to: &mut WebSocket, role: Role, text: &str) -> (String, usize) {
    let mut wire = Vec::new();
    let mut keys = || [9, 8, 7, 6];
    let mask = match role {
        Role::Client => Masking::Keys(&mut keys),
        Role::Server => Masking::None,
    };
    let sent = from.sending().message(
        &mut wire,
        mask,
        MessageKind::Text,
        true,
        true,
        text.as_bytes(),
    );
    sent.unwrap();
    let crossed = wire.len();
    let rules = InboundRules {
        role: match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        },
        message_bytes: 1 << 20,
        delivery: Delivery::Messages,
    };
    let mut buffers = BufferPool::new(Arc::default(), 1 << 30);
    let mut keys = || [1, 2, 3, 4];
    let mask = match rules.role {
        Role::Client => Masking::Keys(&mut keys),
        Role::Server => Masking::None,
    };
    let turn = to.next(&rules, &mut buffers, &mut Vec::new(), mask, &mut wire);
    match turn.event {
        Event::Message { payload, .. } => (String::from_utf8(payload.into()).unwrap(), crossed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn seed_8_4_what_our_client_offers_our_server_accepts_and_both_then_understand() {
    for (client, server) in [
        ("{}", "{}"),
        (
            r#"{"client_context_takeover":true}"#,
            r#"{"server_context_takeover":true}"#,
        ),
        (
            r#"{"server_max_window_bits":9}"#,
            r#"{"client_max_window_bits":10,"level":6}"#,
        ),
    ] {
        let mut client = Side::new(Role::Client, client, AllowedExtensions::All);
        let mut server = Side::new(Role::Server, server, AllowedExtensions::All);
        let offers = client.offer();
        assert!(offers.starts_with("permessage-deflate"), "{offers}");
        let accepted = server.accept(&offers);
        assert!(
            accepted.answer.starts_with("permessage-deflate"),
            "{offers}"
        );
        let confirmed = client.confirm(&accepted.answer).unwrap();

        let mut client = WebSocket::with_extensions(confirmed.chain);
        let mut server = WebSocket::with_extensions(accepted.chain);
        let text = "the same words, the same words, ".repeat(40);
        for _ in 0..3 {
            let (heard, crossed) = pass(&mut client, &mut server, Role::Client, &text);
            assert_eq!(heard, text);
            assert!(crossed < text.len() / 4, "{crossed} bytes crossed");
            let (heard, crossed) = pass(&mut server, &mut client, Role::Server, &text);
            assert_eq!(heard, text);
            assert!(crossed < text.len() / 4, "{crossed} bytes crossed");
        }
    }
}

#[test]
fn seed_8_10_a_client_hides_an_extension_that_its_protocol_does_not_want() {
    let except = AllowedExtensions::Except(vec!["permessage-deflate".into()]);
    assert_eq!(Side::new(Role::Client, "{}", except).offer(), "");
    let only = AllowedExtensions::Only(vec!["permessage-deflate".into()]);
    assert_ne!(Side::new(Role::Client, "{}", only).offer(), "");
}

#[test]
fn an_answer_that_was_not_offered_or_cannot_stand_fails_the_connection() {
    for answer in [
        "x-other",
        "permessage-deflate; server_max_window_bits=77",
        "permessage-deflate; unknown",
        "permessage-deflate, permessage-deflate",
    ] {
        let mut client = Side::new(Role::Client, "{}", AllowedExtensions::All);
        client.offer();
        assert!(client.confirm(answer).is_err(), "{answer}");
    }
}

//! What a host does as a client: what its plugins ask for, and what servers and proxies see of it.

mod bridge;
mod connecting;
mod extensions;
mod failing;
pub(crate) mod liar;
mod proxies;
mod redirects;
mod requesting;

use serde_json::Value;

use crate::support::plugins::{echo, plugin};
use crate::support::{Frame, RawPeer, Server, Setup};

/// A host whose plugin connects as it is told, and the session that tells it.
pub(crate) struct Caller {
    server: Server,
    pub(crate) boss: RawPeer,
}

impl Caller {
    pub(crate) fn start() -> Self {
        Self::of(Setup::new().plugin(&plugin("caller")))
    }

    fn of(setup: Setup) -> Self {
        let server = setup.start();
        let boss = server.open("/caller");
        Self { server, boss }
    }

    /// Has it connect, and gives the number of the connection.
    pub(crate) fn connect(&mut self, order: &Value) -> u64 {
        self.boss.text(&order.to_string());
        let told = self.told();
        let number = told.strip_prefix("connecting ");
        let number = number.and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{told}"))
    }

    /// What it reports next.
    pub(crate) fn told(&mut self) -> String {
        let frame = self.boss.frame();
        assert_eq!(frame, Frame::text(&frame.as_text()));
        frame.as_text()
    }

    pub(crate) fn expect(&mut self, told: &str) {
        assert_eq!(self.told(), told);
    }

    /// Waits until all that was given has been dropped.
    fn expect_no_orders(&mut self) {
        for _ in 0..10_000 {
            self.boss.text("orders");
            if self.told() == "0" {
                return;
            }
        }
        panic!("an order is left");
    }
}

/// A server to connect to.
fn upstream() -> Server {
    Server::with([&echo()])
}

fn url(server: &Server, target: &str) -> String {
    format!("ws://{}{target}", server.address())
}

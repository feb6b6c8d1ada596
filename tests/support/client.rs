//! An independent WebSocket client, as second opinion beside the raw peer.

use std::net::{SocketAddr, TcpStream};

use tungstenite::{Message, WebSocket};

use super::DEADLINE;

/// A session opened by tungstenite.
pub(crate) fn open(address: SocketAddr, target: &str) -> WebSocket<TcpStream> {
    let transport = TcpStream::connect(address).expect("the server accepts");
    transport
        .set_read_timeout(Some(DEADLINE))
        .expect("a valid time");
    let url = format!("ws://{address}{target}");
    let (session, _) = tungstenite::client(url, transport).expect("the opening handshake succeeds");
    session
}

/// Sends a message and gives the answer.
pub(crate) fn ask(session: &mut WebSocket<TcpStream>, message: Message) -> Message {
    session.send(message).expect("the session is open");
    session.read().expect("an answer comes")
}

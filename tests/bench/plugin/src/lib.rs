//! Protocols `upload` and `download` for the scenarios of one direction; the servers beside ours do the same in their
//! own ways. To `upload` each message is answered by a text, its length in decimal. To `download` a message is a text
//! with a length in decimal, and the answer is as many bytes, of which byte i is i % 251.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use hotsocket_plugin::prelude::*;

/// The most that can be asked for at once, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Upload;

impl Protocol for Upload {
    const NAME: &'static str = "upload";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        session.text(message.as_bytes().len().to_string());
    }
}

#[derive(Default)]
struct Download;

impl Protocol for Download {
    const NAME: &'static str = "download";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        let asked = match message {
            Message::Text(length) => length.parse::<usize>().ok(),
            Message::Binary(_) => None,
        };
        match asked.and_then(|length| block().get(..length)) {
            Some(bytes) => session.binary(bytes),
            None => session.close(CloseCode::INVALID_PAYLOAD, "not a length of 0 to 1048576"),
        };
    }
}

/// What is sent from.
fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| (0..BLOCK_BYTES).map(|i| (i % 251) as u8).collect())
}

export_plugin!(Upload, Download);

//! How it ended: what people are told, and what scripts are.

use std::fmt::Display;

use hotsocket::cli::tell;
use hotsocket_plugin::{Close, CloseCode, ClosedBy, ConnectError, ConnectStage};

use super::mention;

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it should.
    Well(String),
    /// With a code that means trouble, or without any.
    Badly(String),
    /// It never began.
    NotConnected(String),
    /// What was to be sent is none.
    Unsendable(String),
    /// What was typed makes no sense.
    Usage(String),
    /// Something of this machine.
    Failed(String),
}

impl Ended {
    pub(super) fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// A session was there, and is closed. `misses` is true when a message was awaited that has not come.
    pub(super) fn closed(close: &Close<'_>, misses: bool) -> Self {
        let by = match close.by {
            ClosedBy::Peer => "the server",
            ClosedBy::Protocol | ClosedBy::Drain => "us",
            ClosedBy::Host => "us, since it failed",
        };
        let mut text = match close.code {
            CloseCode::ABNORMAL => format!("cut off by {by}, without a close code"),
            CloseCode::NO_CODE => format!("closed by {by} without a code"),
            CloseCode(code) => format!("closed by {by} with {code}"),
        };
        if !close.reason.is_empty() {
            text.push_str(&format!(": {}", close.reason));
        }
        let is_well = matches!(close.code, CloseCode::NORMAL | CloseCode::NO_CODE) && close.clean;
        if misses && is_well {
            text.push_str("; no message has come");
        }
        if is_well && !misses {
            Self::Well(text)
        } else {
            Self::Badly(text)
        }
    }

    /// There was no session.
    pub(super) fn not_connected(error: &ConnectError) -> Self {
        let client = error.client();
        let (stage, mend) = match error.stage() {
            ConnectStage::Resolve => ("resolve", "look at the name in the URL"),
            ConnectStage::Connect => ("connect", "see that its port can be reached from here"),
            ConnectStage::Proxy => (
                "proxy",
                "look at --proxy, or at http_proxy, https_proxy, all_proxy and no_proxy",
            ),
            ConnectStage::Tls => (
                "tls",
                "name the authority by --ca, or the key by --pin; --insecure accepts any certificate",
            ),
            ConnectStage::Status => ("status", mend_of_status(client.status())),
            _ => ("handshake", "see that the URL leads to a WebSocket server"),
        };
        Self::NotConnected(format!(
            "could not connect to {} (stage {stage}): {error}; {mend}",
            client.url()
        ))
    }

    /// What scripts are told.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::Well(_) => 0,
            Self::NotConnected(_) | Self::Unsendable(_) | Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Badly(_) => 3,
        }
    }

    /// What people are told.
    pub(super) fn tell(&self, is_quiet: bool) {
        match self {
            Self::Well(text) => mention(is_quiet, text),
            Self::Badly(text)
            | Self::NotConnected(text)
            | Self::Unsendable(text)
            | Self::Usage(text)
            | Self::Failed(text) => tell(&format!("error: {text}")),
        }
    }
}

fn mend_of_status(status: Option<u16>) -> &'static str {
    match status {
        Some(401) => "say who you are: --header 'Authorization: ...'",
        Some(403) => "the server wants another --origin, or other fields",
        Some(404) => "look at the path in the URL",
        Some(429 | 503) => "the server is busy: try again later",
        _ => {
            "see that the path in the URL is that of a WebSocket, and what the server wants of --header"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(by: ClosedBy, code: u16, clean: bool, misses: bool) -> u8 {
        let close = Close {
            by,
            code: CloseCode(code),
            clean,
            reason: "",
        };
        Ended::closed(&close, misses).status()
    }

    #[test]
    fn only_a_whole_closing_handshake_without_an_error_code_is_0() {
        assert_eq!(status(ClosedBy::Peer, 1000, true, false), 0);
        assert_eq!(status(ClosedBy::Peer, 1005, true, false), 0);
        assert_eq!(status(ClosedBy::Protocol, 1000, true, false), 0);
        assert_eq!(status(ClosedBy::Protocol, 1000, false, false), 3);
        assert_eq!(status(ClosedBy::Peer, 1000, true, true), 3);
        assert_eq!(status(ClosedBy::Peer, 1001, true, false), 3);
        assert_eq!(status(ClosedBy::Peer, 1006, false, false), 3);
        assert_eq!(status(ClosedBy::Host, 1002, false, false), 3);
    }
}

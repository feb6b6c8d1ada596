//! `publish`: standard input to all sessions of a protocol.

use std::io::{self, BufRead, Read};

use super::args::PublishArgs;
use super::commands::ask;
use super::{Done, print};
use crate::control::{ControlRequest, Publication};

/// A message that is longer is not even read to its end: no host takes it, and memory is not without end.
const MOST_MESSAGE_BYTES: u64 = 256 << 20;

/// Why a message was not even offered.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error("standard input cannot be read")]
    Unread(#[from] io::Error),
    #[error("{what} is not UTF-8 from byte {byte} on, as text has to be; use --binary")]
    NotText { what: String, byte: usize },
    #[error("{what} is longer than {MOST_MESSAGE_BYTES} bytes; use --line, or send less at once")]
    TooLong { what: String },
}

/// `publish`.
pub(super) fn publish(args: PublishArgs) -> Done {
    let mut input = io::stdin().lock();
    if !args.line {
        let what = "standard input";
        let mut message = Vec::new();
        input
            .by_ref()
            .take(MOST_MESSAGE_BYTES + 1)
            .read_to_end(&mut message)
            .map_err(Unsent::from)?;
        let sessions = send(&args, message, what)?;
        print::line(&format!("published to {}", counted(sessions, "session")));
        return Ok(());
    }
    let mut lines = 0;
    while let Some(line) = next_line(&mut input).map_err(Unsent::from)? {
        let sent = send(&args, line, &format!("line {}", lines + 1));
        if sent.is_err() && lines > 0 {
            print::warning(&format!("{} went out before", counted(lines, "message")));
        }
        sent?;
        lines += 1;
    }
    print::line(&format!("published {}", counted(lines, "message")));
    Ok(())
}

/// A line without its end, or the rest without one; none when there is nothing left.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = input.take(MOST_MESSAGE_BYTES + 1);
    if bounded.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// Has the host send one message: to how many sessions. `what` it is called when something is wrong.
fn send(
    args: &PublishArgs,
    message: Vec<u8>,
    what: &str,
) -> Result<u64, Box<dyn std::error::Error>> {
    if message.len() as u64 > MOST_MESSAGE_BYTES {
        let what = what.to_owned();
        return Err(Unsent::TooLong { what }.into());
    }
    let publication = Publication {
        protocol: args.protocol.clone(),
        vhost: args.vhost.clone(),
        slow: args.slow.unwrap_or_default(),
        notify: args.notify,
        ..Publication::default()
    };
    let publication = match args.binary || args.notify {
        true => publication.with_binary(&message),
        false => {
            publication.with_text(String::from_utf8(message).map_err(|error| Unsent::NotText {
                what: what.to_owned(),
                byte: error.utf8_error().valid_up_to(),
            })?)
        }
    };
    let told = ask(args.control.clone(), &ControlRequest::Publish(publication))?;
    let sessions = told
        .get("published")
        .and_then(|told| told["sessions"].as_u64());
    Ok(sessions.unwrap_or_default())
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_line_feeds_alone_and_the_last_needs_none() {
        let mut input = &b"one\n\ntwo\r\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["one", "", "two\r", "last"]);
    }
}

//! Standard input, read by a thread of its own: a line or a piece at a time, no further ahead than the server takes.

use std::{
    io::{self, BufRead, Read as _},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use hotsocket_plugin::{PostError, SessionHandle};

/// So many lines are read ahead of those that are sent.
const AHEAD_COUNT: usize = 64;

/// What was read.
pub(super) enum Said {
    /// A line without its end.
    Text(String),
    /// Bytes as they came.
    Binary(Vec<u8>),
    /// There is no more.
    End,
    /// It cannot be sent, and why.
    Broken(String),
}

/// Begins to read. The session is asked to be writable whenever there is something.
pub(super) fn follow(
    session: SessionHandle,
    is_binary: bool,
    line_bytes: u64,
) -> io::Result<Receiver<Said>> {
    let (sender, receiver) = sync_channel(AHEAD_COUNT);
    let read = move || {
        if is_binary {
            pieces(&sender, session);
        } else {
            lines(&sender, session, line_bytes);
        }
    };
    // Nobody waits for it: it may wait for its input for ever.
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(read)?;
    Ok(receiver)
}

fn lines(sender: &SyncSender<Said>, session: SessionHandle, line_bytes: u64) {
    let mut input = io::stdin().lock();
    for number in 1.. {
        let said = line(&mut input, line_bytes, number);
        if !say(sender, session, said) {
            return;
        }
    }
}

/// The next line, which is the one of that number.
fn line(input: &mut impl BufRead, line_bytes: u64, number: u64) -> Said {
    let mut line = Vec::new();
    match input.take(line_bytes + 1).read_until(b'\n', &mut line) {
        Ok(0) => return Said::End,
        Ok(_) => {}
        Err(error) => return unreadable(&error),
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() as u64 > line_bytes {
        return Said::Broken(format!(
            "line {number} of standard input has more than {line_bytes} bytes: send it with --binary"
        ));
    }
    String::from_utf8(line).map_or_else(
        |_| {
            Said::Broken(format!(
                "line {number} of standard input is not UTF-8: send it with --binary"
            ))
        },
        Said::Text,
    )
}

fn pieces(sender: &SyncSender<Said>, session: SessionHandle) {
    let mut input = io::stdin().lock();
    loop {
        let said = match input.fill_buf() {
            Ok([]) => Said::End,
            Ok(piece) => {
                let piece = piece.to_vec();
                input.consume(piece.len());
                Said::Binary(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => unreadable(&error),
        };
        if !say(sender, session, said) {
            return;
        }
    }
}

fn unreadable(error: &io::Error) -> Said {
    Said::Broken(format!("standard input cannot be read: {error}"))
}

/// False when this was the last, or nobody wants more.
fn say(sender: &SyncSender<Said>, session: SessionHandle, said: Said) -> bool {
    let goes_on = matches!(said, Said::Text(_) | Said::Binary(_));
    // Where too much is queued to be asked once more, it has been asked before and will look.
    let is_wanted = sender.send(said).is_ok() && session.ask_writable() != Err(PostError::Stale);
    goes_on && is_wanted
}

#[cfg(test)]
mod tests {
    use super::{Said, line};

    fn told(said: Said) -> String {
        match said {
            Said::Text(text) => format!("text {text}"),
            Said::Binary(bytes) => format!("{} bytes", bytes.len()),
            Said::End => "end".to_owned(),
            Said::Broken(why) => why,
        }
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf_or_with_the_input() {
        let mut input = &b"a\nb\r\n\nlast"[..];
        let mut next = || told(line(&mut input, 4, 1));
        assert_eq!(next(), "text a");
        assert_eq!(next(), "text b");
        assert_eq!(next(), "text ");
        assert_eq!(next(), "text last");
        assert_eq!(next(), "end");
    }

    #[test]
    fn a_line_that_is_no_message_is_told_by_its_number() {
        let long = told(line(&mut &b"12345"[..], 4, 7));
        assert!(long.starts_with("line 7 ") && long.contains("more than 4 bytes"));
        let bad = told(line(&mut &b"\xff\n"[..], 4, 8));
        assert!(bad.starts_with("line 8 ") && bad.contains("not UTF-8"));
    }
}

//! Small contents in memory: they leave with their head in one write, without a file to keep open meanwhile.

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{Cold, Reach};
use crate::connection::content::{FileAnswer, Part};

/// Up to so many bytes are copied: about where one more system call, and a file that stays open, begin to cost less than
/// copying; and little enough to be given back to the allocator at once.
pub(super) const COPIED_BYTES: u64 = 64 << 10;

/// Why content is not in memory.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It takes the disk.
    Cold,
    /// The file is shorter than it was a moment ago: somebody is writing it.
    Shorter,
    /// The system refuses.
    Broken(Errno),
}

impl From<Cold> for Unread {
    fn from(_: Cold) -> Self {
        Self::Cold
    }
}

/// Reads the content into one part if it is small.
pub(crate) fn load(answer: &mut FileAnswer, reach: Reach) -> Result<(), Unread> {
    let length = answer.content_length();
    if length == 0 || length > COPIED_BYTES {
        return Ok(());
    }
    // It fits: see above.
    let content = read_all(&answer.parts, length as usize, reach)?;
    answer.parts = vec![Part::Bytes(content)];
    Ok(())
}

/// Reads all of these parts, which are so many bytes.
pub(super) fn read_all(parts: &[Part], length: usize, reach: Reach) -> Result<Vec<u8>, Unread> {
    let mut content = Vec::with_capacity(length);
    for part in parts {
        match part {
            Part::Bytes(bytes) => content.extend_from_slice(bytes),
            Part::Shared { bytes, range } => {
                content.extend_from_slice(bytes.get(range).ok_or(Unread::Shorter)?);
            }
            Part::File { file, range } => read(file, range, &mut content, reach)?,
        }
    }
    Ok(content)
}

fn read(file: &File, range: &Range<u64>, out: &mut Vec<u8>, reach: Reach) -> Result<(), Unread> {
    let flags = match reach {
        Reach::Memory => ReadWriteFlags::NOWAIT,
        Reach::Disk => ReadWriteFlags::empty(),
    };
    let mut at = out.len();
    let mut offset = range.start;
    out.resize(at + (range.end - range.start) as usize, 0);
    while at < out.len() {
        match preadv2(file, &mut [IoSliceMut::new(&mut out[at..])], offset, flags) {
            Ok(0) => return Err(Unread::Shorter),
            Ok(count) => {
                at += count;
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            // OPNOTSUPP: this filesystem can only be asked in earnest.
            Err(Errno::AGAIN | Errno::OPNOTSUPP) if reach == Reach::Memory => {
                return Err(Unread::Cold);
            }
            Err(error) => return Err(Unread::Broken(error)),
        }
    }
    Ok(())
}

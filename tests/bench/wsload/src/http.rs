//! Answers over HTTP/1.1, by their Content-Length.

use crate::conn::{Conn, Ev};
use crate::stat::now;
use crate::world::Shared;

impl Conn {
    pub fn feed_http(&mut self, sh: &mut Shared, d: &[u8], ev: &mut Ev) -> Result<(), String> {
        let t = now();
        let carried;
        let mut d: &[u8] = d;
        if !self.head.is_empty() {
            self.head.extend_from_slice(d);
            carried = std::mem::take(&mut self.head);
            d = &carried;
        }
        while !d.is_empty() {
            if self.left == 0 && !self.in_msg {
                let Some(p) = find_head_end(d) else {
                    if d.len() > 16384 {
                        return Err("the response head is too long".into());
                    }
                    self.head.extend_from_slice(d);
                    return Ok(());
                };
                let h = &d[..p];
                if !h.starts_with(b"HTTP/1.1 200") {
                    return Err(format!(
                        "{:?}",
                        String::from_utf8_lossy(&h[..h.len().min(40)])
                    ));
                }
                self.left = content_length(h).ok_or("no Content-Length")?;
                self.msg_len = self.left;
                self.in_msg = true;
                d = &d[p..];
            }
            let n = self.left.min(d.len());
            self.left -= n;
            d = &d[n..];
            if self.left == 0 {
                self.in_msg = false;
                if self.done >= self.queued {
                    return Err("more responses than requests".into());
                }
                if sh.measuring {
                    let k = self.ts.len();
                    sh.hist
                        .add(t.saturating_sub(self.ts[self.done as usize % k]));
                }
                self.done += 1;
                sh.wire_in += self.msg_len as u64;
                ev.msgs += 1;
            }
        }
        Ok(())
    }
}

fn find_head_end(d: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(p) = d[from..].iter().position(|&c| c == b'\r') {
        let i = from + p;
        if d.len() >= i + 4 && &d[i..i + 4] == b"\r\n\r\n" {
            return Some(i + 4);
        }
        from = i + 1;
    }
    None
}

fn content_length(h: &[u8]) -> Option<usize> {
    for line in h.split(|&c| c == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            let s = std::str::from_utf8(&line[15..]).ok()?;
            return s.trim().parse().ok();
        }
    }
    None
}

//! What the hooks of an exchange ask the test host for.

use std::path::Path;

use super::{ExchangeRecord, NUMBER};
use crate::{Fields, abi};

/// Bytes of fields that an answer may have.
const FIELDS_BYTES: usize = 16 * 1024;

/// What hooks ask for.
impl ExchangeRecord {
    pub(in crate::testing) fn number(&self, key: u32) -> Option<u64> {
        match key {
            abi::FACT_ID => Some(self.id),
            abi::FACT_EXCHANGE => Some(NUMBER),
            abi::FACT_HTTP_MINOR => Some(self.request.http_minor.into()),
            abi::FACT_CONTENT_LENGTH => Some(self.request.body.as_ref()?.len() as u64),
            key => self.facts.number(key),
        }
    }

    pub(in crate::testing) fn bytes(&self, key: u32) -> Option<&[u8]> {
        let text = match key {
            abi::FACT_METHOD => &self.request.method,
            abi::FACT_TARGET => &self.request.target,
            abi::FACT_MOUNTPOINT => &self.mountpoint,
            abi::FACT_LOCAL => self.local,
            abi::FACT_HOST => {
                let fields = self.request.fields.iter();
                let mut hosts = fields.filter(|(name, _)| name.eq_ignore_ascii_case("Host"));
                &hosts.next()?.1
            }
            key => return self.facts.bytes(key),
        };
        Some(text.as_bytes())
    }

    pub(in crate::testing) fn tag(&self, name: &[u8]) -> Option<&[u8]> {
        self.facts.tag(name)
    }

    pub(in crate::testing) fn fields(&self, list: u32) -> &[(String, String)] {
        match list {
            abi::FIELDS_HEAD => &self.request.fields,
            _ if self.body_ended.get() => self.incoming_trailers.get().map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    pub(in crate::testing) fn add_field(&self, name: &[u8], value: &[u8]) -> abi::Status {
        let name = String::from_utf8_lossy(name).into_owned();
        if Fields::new().field(&name, value).refusal().is_some() {
            return abi::STATUS_ERROR;
        }
        let answer = &mut *self.answer.borrow_mut();
        let list = match answer.status {
            None => &mut answer.fields,
            Some(_) if answer.is_started && !answer.is_finished && answer.announced.is_none() => {
                &mut answer.trailers
            }
            Some(_) => return abi::STATUS_CLOSED,
        };
        let value = String::from_utf8_lossy(value).into_owned();
        let bytes: usize = list
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes + name.len() + value.len() > FIELDS_BYTES {
            return abi::STATUS_FULL;
        }
        list.push((name, value));
        abi::STATUS_OK
    }

    pub(in crate::testing) fn respond(&self, status: u32, content: &[u8]) -> abi::Status {
        if matches!(status, 204 | 205 | 304) && !content.is_empty() {
            return abi::STATUS_ERROR;
        }
        let begun = self.begin(status, Some(content.len() as u64));
        if begun == abi::STATUS_OK {
            self.put(content);
            self.answer.borrow_mut().is_finished = true;
        }
        begun
    }

    pub(in crate::testing) fn begin(&self, status: u32, announced: Option<u64>) -> abi::Status {
        let answer = &mut *self.answer.borrow_mut();
        if answer.status.is_some() || self.is_over() {
            return abi::STATUS_CLOSED;
        }
        let Some(status) = u16::try_from(status)
            .ok()
            .filter(|s| (200..600).contains(s))
        else {
            return abi::STATUS_ERROR;
        };
        answer.status = Some(status);
        answer.announced = announced;
        answer.is_started = true;
        abi::STATUS_OK
    }

    pub(in crate::testing) fn send(&self, piece: &[u8]) -> abi::Status {
        {
            let answer = self.answer.borrow();
            if self.is_over() || answer.is_finished {
                return abi::STATUS_CLOSED;
            }
            let sent = answer.content.len() + piece.len();
            let is_too_much = answer.announced.is_some_and(|all| sent as u64 > all);
            if !answer.is_started || is_too_much {
                return abi::STATUS_ERROR;
            }
        }
        if self.full.get() {
            return abi::STATUS_FULL;
        }
        self.put(piece);
        abi::STATUS_OK
    }

    pub(in crate::testing) fn finish(&self) -> abi::Status {
        let answer = &mut *self.answer.borrow_mut();
        if self.is_over() || answer.is_finished {
            return abi::STATUS_CLOSED;
        }
        let sent = answer.content.len() as u64;
        if !answer.is_started {
            return abi::STATUS_ERROR;
        }
        if answer.announced.is_some_and(|all| sent < all) {
            self.cut_off.set(true);
            return abi::STATUS_ERROR;
        }
        answer.is_finished = true;
        abi::STATUS_OK
    }

    pub(in crate::testing) fn respond_file(&self, path: &Path) -> abi::Status {
        if path.is_relative() {
            return abi::STATUS_ERROR;
        }
        let begun = self.begin(200, None);
        if begun == abi::STATUS_OK {
            let answer = &mut *self.answer.borrow_mut();
            answer.file = Some(path.to_owned());
            answer.is_finished = true;
        }
        begun
    }

    pub(in crate::testing) fn queued_bytes(&self) -> u64 {
        let answer = self.answer.borrow();
        (answer.content.len() - answer.taken) as u64
    }

    pub(in crate::testing) fn set_timer(&self, id: u64, after_ms: u64) {
        let at = self.host.shared.now_ms().saturating_add(after_ms);
        self.timers.borrow_mut().insert(id, at);
    }

    pub(super) fn is_over(&self) -> bool {
        self.ending.borrow().is_some()
    }

    fn put(&self, content: &[u8]) {
        self.answer.borrow_mut().content.extend_from_slice(content);
    }
}

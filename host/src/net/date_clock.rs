//! The value of the Date field (RFC 9110 section 6.6.1), made once a second and not once a response.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::wire::{http_date, response_head::Dated};

/// The date as it stands in responses.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    /// The second of the service thread's clock that `dated` was made in, counted from 1.
    second: u64,
    dated: Dated,
}

impl DateClock {
    /// The lines with the date, `now` being milliseconds of the service thread's clock.
    pub(crate) fn dated(&mut self, now: u64) -> &Dated {
        let second = now / 1000 + 1;
        if second != self.second {
            self.second = second;
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let since = since.map_or(0, |since| since.as_secs());
            let seconds = i64::try_from(since).unwrap_or_default();
            self.dated = Dated::new(&http_date::format(seconds).unwrap_or_default());
        }
        &self.dated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_made_once_a_second_and_can_be_read() {
        let mut clock = DateClock::default();
        let line = String::from_utf8(clock.dated(0).line().to_vec()).unwrap();
        let date = line.strip_prefix("Date: ").unwrap().trim_end();
        assert!(http_date::parse(date.as_bytes()).is_some(), "{line}");
        clock.dated = Dated::new("a mark");
        assert_eq!(clock.dated(999).line(), b"Date: a mark\r\n");
        assert_ne!(clock.dated(1000).line(), b"Date: a mark\r\n");
    }
}

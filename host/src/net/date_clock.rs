//! The value of the Date field (RFC 9110 section 6.6.1), made once a second and not once a response.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::wire::http_date;

/// The date as it stands in responses.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    /// The second of the service thread's clock that `text` was made in, counted from 1.
    second: u64,
    text: String,
}

impl DateClock {
    /// The date, `now` being milliseconds of the service thread's clock.
    pub(crate) fn text(&mut self, now: u64) -> &str {
        let second = now / 1000 + 1;
        if second != self.second {
            self.second = second;
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let since = since.map_or(0, |since| since.as_secs());
            let seconds = i64::try_from(since).unwrap_or_default();
            self.text = http_date::format(seconds).unwrap_or_default();
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_made_once_a_second_and_can_be_read() {
        let mut clock = DateClock::default();
        let first = clock.text(0).to_owned();
        assert!(http_date::parse(first.as_bytes()).is_some(), "{first}");
        clock.text.push('!');
        assert!(clock.text(999).ends_with('!'));
        assert!(!clock.text(1000).ends_with('!'));
    }
}

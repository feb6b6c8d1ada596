//! Points in time as fields say them. RFC 9110 section 5.6.7.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second of the year 10000, which has no date of four digits.
const END: i64 = 253_402_300_800;

/// Reads any of the three formats; seconds since 1970.
#[must_use]
pub fn parse(field: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(field).ok()?;
    let time = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Writes seconds since 1970. `None` before that and after the year 9999: a file may have such a time.
#[must_use]
pub fn format(seconds: i64) -> Option<String> {
    let since = u64::try_from(seconds).ok().filter(|_| seconds < END)?;
    let time: SystemTime = UNIX_EPOCH.checked_add(Duration::from_secs(since))?;
    Some(httpdate::fmt_http_date(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_formats_are_read_and_the_first_is_written() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        let written = format(784_111_777);
        assert_eq!(written.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Thu, 01 Jan 0000 00:00:00 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"\xff"), None);
    }

    #[test]
    fn any_time_that_a_file_may_have_is_written_or_left_out() {
        assert!(format(0).is_some() && format(END - 1).is_some());
        for seconds in [i64::MIN, -1, END, i64::MAX] {
            assert_eq!(format(seconds), None, "{seconds}");
        }
    }
}

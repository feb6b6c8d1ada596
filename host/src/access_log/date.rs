//! A point in time as day and hour, for lines: in UTC, so that they sort and mean the same everywhere.

use std::time::{SystemTime, UNIX_EPOCH};

/// A time of day in UTC.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: u64,
    /// From 1.
    pub(super) month: usize,
    pub(super) day: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: u64,
    pub(super) millisecond: u32,
}

impl Date {
    /// A clock that stands before 1970 shows its beginning.
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Counted in years that begin with March, so that the leap day is the last one; in eras of 400 years.
        let day = days + 719_468;
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let is_next_year = month_from_march >= 10;
        let month = if is_next_year {
            month_from_march - 9
        } else {
            month_from_march + 3
        };
        Self {
            year: era * 400 + year_of_era + u64::from(is_next_year),
            month: month as usize,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            millisecond: since.subsec_millis(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        let date = |seconds| {
            let Date {
                year,
                month,
                day,
                hour,
                minute,
                second,
                ..
            } = Date::of(UNIX_EPOCH + Duration::from_secs(seconds));
            format!("{year}-{month}-{day} {hour}:{minute}:{second}")
        };
        assert_eq!(date(0), "1970-1-1 0:0:0");
        assert_eq!(date(951_868_799), "2000-2-29 23:59:59");
        assert_eq!(date(951_868_800), "2000-3-1 0:0:0");
        assert_eq!(date(4_107_542_400), "2100-3-1 0:0:0");
        assert_eq!(date(1_798_761_599), "2026-12-31 23:59:59");
        let before = Date::of(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(before, Date::of(UNIX_EPOCH));
        // The days of 800 years, one by one.
        let mut last = Date::of(UNIX_EPOCH);
        for days in 1..292_194_u64 {
            let next = Date::of(UNIX_EPOCH + Duration::from_secs(days * 86_400));
            let every = |years| last.year.is_multiple_of(years);
            let is_leap = every(4) && (!every(100) || every(400));
            let most = match last.month {
                2 => 28 + u64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match (last.day == most, last.month) {
                (false, month) => (last.year, month, last.day + 1),
                (true, 12) => (last.year + 1, 1, 1),
                (true, month) => (last.year, month + 1, 1),
            };
            assert_eq!((next.year, next.month, next.day), expected);
            last = next;
        }
    }
}

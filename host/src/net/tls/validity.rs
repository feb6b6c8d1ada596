//! Until when a certificate holds, read out of its DER. RFC 5280 section 4.1.2.5.
//!
//! Only what tells the operator of an end in time: whether a certificate is any good is for its reader to judge.

use std::time::{Duration, SystemTime};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The time after which a certificate does not hold; none when it cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate) = value(certificate, SEQUENCE)?;
    let (_, mut rest) = value(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = skip(rest)?;
    }
    // The serial number, the algorithm of the signature, the issuer.
    for _ in 0..3 {
        rest = skip(rest)?;
    }
    let (_, validity) = value(rest, SEQUENCE)?;
    let (_, tag, text) = element(skip(validity)?)?;
    time(tag, text)
}

/// The first element: what follows it, its tag and its value.
fn element(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (&[tag, short], rest) = bytes.split_first_chunk()?;
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let len = digits
                .iter()
                .fold(0_usize, |len, digit| len << 8 | usize::from(*digit));
            (len, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((rest, tag, value))
}

fn value(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (rest, tag, value) = element(bytes)?;
    (tag == wanted).then_some((rest, value))
}

fn skip(bytes: &[u8]) -> Option<&[u8]> {
    element(bytes).map(|(rest, ..)| rest)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, at) = match tag {
        // Two digits stand for 1950 to 2049.
        UTC_TIME => {
            let year = number(0, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |index: usize| number(at + 2 * index, at + 2 * index + 2);
    let days = days_since_1970(year, part(0)?, part(1)?);
    let seconds = days * 86_400 + part(2)? * 3600 + part(3)? * 60 + part(4)?;
    let since = Duration::from_secs(seconds.unsigned_abs());
    match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(since),
        false => SystemTime::UNIX_EPOCH.checked_add(since),
    }
}

/// Of a day of the Gregorian calendar, counted in years that begin with March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tag: u8, text: &str) -> u64 {
        let time = time(tag, text.as_bytes()).unwrap();
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    }

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), 0);
        assert_eq!(seconds(UTC_TIME, "240229123456Z"), 1_709_210_096);
        assert_eq!(seconds(GENERALIZED_TIME, "20500101000000Z"), 2_524_608_000);
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let end = not_after(certificate.der()).unwrap();
        assert_eq!(
            end.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
            1_930_089_600
        );
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_end_whatever_they_are() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let der = certificate.der();
        for len in 0..200 {
            assert_eq!(not_after(&der[..len]), None);
        }
        for at in 0..der.len() {
            let mut bytes = der.to_vec();
            bytes[at] = 0xff;
            let _ = not_after(&bytes);
        }
    }
}

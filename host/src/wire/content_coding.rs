//! How much a client likes a content coding: the Accept-Encoding field. RFC 9110 sections 12.4 and 12.5.3.

use super::header_list::is_token;

/// The weight that the field gives to a coding, in thousandths; 0 is *not acceptable*.
///
/// A coding that is not named has the weight of `*`. Without that it is not acceptable, and `identity`, which means no
/// coding, is the last choice. What is malformed in the list is passed over. Without a field any coding is acceptable,
/// but `identity` alone is sure to be understood, so only that has a weight.
#[must_use]
pub fn weight(field: Option<&[u8]>, coding: &str) -> u16 {
    let is_identity = coding == "identity";
    let Some(field) = field else {
        return if is_identity { 1000 } else { 0 };
    };
    let mut any = None;
    for element in field.split(|byte| *byte == b',') {
        let Some((name, weight)) = read(element) else {
            continue;
        };
        if is_same(name, coding) {
            return weight;
        }
        if name == b"*" && any.is_none() {
            any = Some(weight);
        }
    }
    any.unwrap_or(if is_identity { 1 } else { 0 })
}

/// In any case of letters. Section 8.4.1.3: `x-gzip` is `gzip`.
fn is_same(name: &[u8], coding: &str) -> bool {
    name.eq_ignore_ascii_case(coding.as_bytes())
        || (coding == "gzip" && name.eq_ignore_ascii_case(b"x-gzip"))
}

/// A coding and its weight.
fn read(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element
        .splitn(2, |byte| *byte == b';')
        .map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| is_token(name))?;
    let weight = match parts.next() {
        Some([b'q' | b'Q', b'=', value @ ..]) => thousandths(value)?,
        Some(_) => return None,
        None => 1000,
    };
    Some((name, weight))
}

/// `0` to `1` with at most three decimal places: section 12.4.2.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, places) = value.split_first()?;
    let places = match places {
        [] => places,
        [b'.', places @ ..] if places.len() <= 3 => places,
        _ => return None,
    };
    let whole = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    let mut unit = 100;
    let mut weight = whole;
    for place in places {
        let digit = char::from(*place).to_digit(10)? as u16;
        weight += digit * unit;
        unit /= 10;
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_field() {
        for (field, gzip, br, identity) in [
            ("gzip", 1000, 0, 1),
            ("gzip, br", 1000, 1000, 1),
            ("GZIP;q=0.5, br;Q=1.0", 500, 1000, 1),
            ("x-gzip", 1000, 0, 1),
            ("gzip ; q=0.123 ,br;q=0.", 123, 0, 1),
            ("gzip;q=0, *", 0, 1000, 1000),
            ("*;q=0", 0, 0, 0),
            ("identity;q=0", 0, 0, 0),
            ("identity;q=0, *;q=0.2", 200, 200, 0),
            ("identity, gzip;q=0.5", 500, 0, 1000),
            ("", 0, 0, 1),
            ("gzip;q=2, br;q=1.001, *;q=0.001", 1, 1, 1),
            ("gzip;q=0.1234, br;q=-1", 0, 0, 1),
            ("gzip;level=1, br;q, g zip, ;q=1", 0, 0, 1),
            ("gzip;q=0.2, gzip;q=0.9", 200, 0, 1),
            ("gzip;q=.5, br;q=1.0000", 0, 0, 1),
        ] {
            let found =
                ["gzip", "br", "identity"].map(|coding| weight(Some(field.as_bytes()), coding));
            assert_eq!(found, [gzip, br, identity], "{field}");
        }
        assert_eq!(weight(None, "identity"), 1000);
        assert_eq!(weight(None, "gzip"), 0);
    }
}

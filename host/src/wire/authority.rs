//! Whom a request is for, as targets and the Host field write it: RFC 3986 section 3.2, RFC 9112 section 3.2.

use std::net::Ipv6Addr;

/// Which bytes a host may have that is no address in brackets.
const HOST_BYTES: [bool; 256] = {
    let mut fits = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        fits[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+,;=";
    let mut at = 0;
    while at < others.len() {
        fits[others[at] as usize] = true;
        at += 1;
    }
    fits
};

/// Scheme and rest of a target in absolute form.
pub(super) fn absolute_form(target: &str) -> Option<(&str, &str)> {
    // As nearly all are, and no scheme is.
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"];
    known
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        .then_some((scheme, rest))
}

/// A host with an optional port, without user information: RFC 3986 section 3.2.2. It chooses the vhost, so nobody may read
/// another name in it than we do.
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    let (is_host, rest) = match bytes {
        [b'[', bytes @ ..] => {
            let Some(end) = bytes.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let address = std::str::from_utf8(&bytes[..end]).ok();
            let address = address.and_then(|address| address.parse::<Ipv6Addr>().ok());
            (address.is_some(), &bytes[end + 1..])
        }
        _ => {
            // A colon begins the port; whatever else does not fit is refused with it.
            let end = bytes
                .iter()
                .position(|byte| !HOST_BYTES[usize::from(*byte)]);
            (true, &bytes[end.unwrap_or(bytes.len())..])
        }
    };
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    is_host && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_letters_of_rfc_3986_and_a_port_of_digits() {
        for byte in 0..=255_u8 {
            let is_fit = byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(&byte);
            assert_eq!(is_authority(&[b'a', byte]), is_fit, "{byte}");
            assert_eq!(is_authority(&[b':', byte]), byte.is_ascii_digit(), "{byte}");
        }
    }
}

//! The header that a proxy sends ahead of everything else on a connection: the PROXY protocol of haproxy, versions 1 and
//! 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The most bytes of a line of version 1, with its end.
const LINE_BYTES: usize = 107;
/// The bytes of version 2 whose length is fixed: signature, version, family and length.
const FIXED_BYTES: usize = 16;

/// What stands at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Good so far.
    Incomplete,
    /// The proxy passes on a connection. What is spoken on it begins behind `len` bytes.
    Proxied {
        /// Who has connected.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
        /// Bytes of the header.
        len: usize,
    },
    /// The proxy speaks for itself, or for a connection whose ends have no IP addresses. What is spoken begins behind
    /// `len` bytes.
    Unnamed {
        /// Bytes of the header.
        len: usize,
    },
    /// Neither version.
    Malformed,
    /// It has more bytes than it may.
    TooLong,
}

impl ProxyHeader {
    /// Reads a header from the beginning of `input`, of at most `most` bytes. Nothing is kept of a part of it: the next
    /// call gets the whole.
    #[must_use]
    pub fn decode(input: &[u8], most: usize) -> Self {
        if begins_like(input, SIGNATURE) {
            binary(input, most)
        } else if begins_like(input, b"PROXY ") {
            line(input)
        } else {
            Self::Malformed
        }
    }
}

/// Whether `input` begins with `expected`, as far as it goes.
fn begins_like(input: &[u8], expected: &[u8]) -> bool {
    let known = input.len().min(expected.len());
    input[..known] == expected[..known]
}

/// Version 1, section 2.1: one line of text.
fn line(input: &[u8]) -> ProxyHeader {
    let known = &input[..input.len().min(LINE_BYTES)];
    let Some(end) = known.iter().position(|byte| *byte == b'\n') else {
        return if known.len() < LINE_BYTES {
            ProxyHeader::Incomplete
        } else {
            ProxyHeader::Malformed
        };
    };
    let text = known[..end].strip_suffix(b"\r");
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let len = end + 1;
    let header = text.and_then(|text| read_line(text, len));
    header.unwrap_or(ProxyHeader::Malformed)
}

/// The line without its end.
fn read_line(text: &str, len: usize) -> Option<ProxyHeader> {
    let mut words = text.split(' ');
    let _proxy = words.next()?;
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Whatever stands behind it means nothing.
        return Some(ProxyHeader::Unnamed { len });
    }
    let mut ip = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, destination) = (ip()?, ip()?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(ProxyHeader::Proxied {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
        len,
    })
}

/// Digits, without a zero in front.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && !is_padded)
}

/// Version 2, section 2.2: a fixed part, addresses, and extensions, which mean nothing here.
fn binary(input: &[u8], most: usize) -> ProxyHeader {
    let command = match input.get(SIGNATURE.len()) {
        None => return ProxyHeader::Incomplete,
        Some(command @ (0x20 | 0x21)) => *command,
        Some(_) => return ProxyHeader::Malformed,
    };
    let Some(family) = input.get(SIGNATURE.len() + 1) else {
        return ProxyHeader::Incomplete;
    };
    // What a proxy that speaks for itself says of families is ignored.
    let is_local = command == 0x20;
    if !is_local && (family >> 4 > 3 || family & 15 > 2) {
        return ProxyHeader::Malformed;
    }
    let Some(&[high, low]) = input.get(FIXED_BYTES - 2..FIXED_BYTES) else {
        return ProxyHeader::Incomplete;
    };
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if len > most {
        return ProxyHeader::TooLong;
    }
    let Some(rest) = input.get(FIXED_BYTES..len) else {
        return ProxyHeader::Incomplete;
    };
    match family {
        _ if is_local => ProxyHeader::Unnamed { len },
        // TCP over IPv4.
        0x11 => {
            let pair = addresses::<4>(rest, |bytes| Ipv4Addr::from(bytes).into());
            proxied(pair, len)
        }
        // TCP over IPv6.
        0x21 => {
            let pair = addresses::<16>(rest, |bytes| Ipv6Addr::from(bytes).into());
            proxied(pair, len)
        }
        // Unix sockets, datagrams and what is not told: taken, and without a name.
        _ => ProxyHeader::Unnamed { len },
    }
}

fn proxied(pair: Option<(SocketAddr, SocketAddr)>, len: usize) -> ProxyHeader {
    pair.map_or(ProxyHeader::Malformed, |(source, destination)| {
        ProxyHeader::Proxied {
            source,
            destination,
            len,
        }
    })
}

/// Source and destination: two addresses of `N` bytes, then two ports.
fn addresses<const N: usize>(
    bytes: &[u8],
    ip: impl Fn([u8; N]) -> IpAddr,
) -> Option<(SocketAddr, SocketAddr)> {
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let to = rest.first_chunk::<2>()?;
    Some((
        SocketAddr::new(ip(*source), u16::from_be_bytes(*from)),
        SocketAddr::new(ip(*destination), u16::from_be_bytes(*to)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than version 2 can have.
    const MOST: usize = 1 << 17;

    /// Version 2 with this command, family and rest.
    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn proxied(source: &str, destination: &str, len: usize) -> ProxyHeader {
        ProxyHeader::Proxied {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            len,
        }
    }

    /// The header is read when its last byte is there and not before, whatever follows it.
    fn check(header: &[u8], expected: ProxyHeader) {
        let shown = header.escape_ascii();
        for cut in 0..header.len() {
            let read = ProxyHeader::decode(&header[..cut], MOST);
            assert_eq!(read, ProxyHeader::Incomplete, "{cut} bytes of {shown}");
        }
        assert_eq!(ProxyHeader::decode(header, MOST), expected, "{shown}");
        let more = [header, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(
            ProxyHeader::decode(&more, MOST),
            expected,
            "{shown} and more"
        );
    }

    #[test]
    fn a_line_of_version_1_tells_both_ends() {
        check(
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
            proxied("192.0.2.1:56324", "198.51.100.2:443", 45),
        );
        check(
            b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
            proxied("255.255.255.255:65535", "0.0.0.0:0", 44),
        );
        check(
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
            proxied("[2001:db8::1]:1", "[::1]:2", 32),
        );
    }

    #[test]
    fn an_unknown_connection_of_version_1_has_no_names_whatever_stands_behind() {
        check(b"PROXY UNKNOWN\r\n", ProxyHeader::Unnamed { len: 15 });
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        check(longest.as_bytes(), ProxyHeader::Unnamed { len: 107 });
    }

    #[test]
    fn a_line_of_version_1_that_is_too_long_is_malformed_before_it_ends() {
        let long = format!("PROXY UNKNOWN {}", "f".repeat(93));
        let cut = &long.as_bytes()[..106];
        assert_eq!(ProxyHeader::decode(cut, MOST), ProxyHeader::Incomplete);
        let all = long.as_bytes();
        assert_eq!(ProxyHeader::decode(all, MOST), ProxyHeader::Malformed);
    }

    #[test]
    fn version_2_tells_both_ends_and_its_extensions_are_skipped() {
        let four = b"\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";
        let (source, destination) = ("192.0.2.1:56324", "198.51.100.2:443");
        check(
            &version_2(0x21, 0x11, four),
            proxied(source, destination, 28),
        );
        let extended = [&four[..], b"\x04\0\x02ab"].concat();
        check(
            &version_2(0x21, 0x11, &extended),
            proxied(source, destination, 33),
        );
        let mut six = [0; 36];
        (six[..4]).copy_from_slice(b"\x20\x01\x0d\xb8");
        (six[15], six[31], six[33], six[35]) = (1, 1, 1, 2);
        check(
            &version_2(0x21, 0x21, &six),
            proxied("[2001:db8::1]:1", "[::1]:2", 52),
        );
    }

    #[test]
    fn version_2_without_ip_addresses_has_no_names() {
        let of_len = |len| ProxyHeader::Unnamed { len };
        check(&version_2(0x20, 0, b""), of_len(16));
        check(&version_2(0x20, 0x11, &[1; 12]), of_len(28));
        check(&version_2(0x20, 0xff, b""), of_len(16));
        check(&version_2(0x21, 0, b"abc"), of_len(19));
        check(&version_2(0x21, 0x12, &[1; 12]), of_len(28));
        check(&version_2(0x21, 0x31, &[0; 216]), of_len(232));
        let longest = version_2(0x21, 0, &[0; 65535]);
        assert_eq!(ProxyHeader::decode(&longest, MOST), of_len(65551));
        let cut = &longest[..65550];
        assert_eq!(ProxyHeader::decode(cut, MOST), ProxyHeader::Incomplete);
    }

    #[test]
    fn version_2_that_is_too_long_is_known_by_its_length_before_it_comes() {
        let header = version_2(0x21, 0, &[0; 100]);
        assert_eq!(
            ProxyHeader::decode(&header[..16], 115),
            ProxyHeader::TooLong
        );
        assert_eq!(
            ProxyHeader::decode(&header[..15], 115),
            ProxyHeader::Incomplete
        );
        let fits = ProxyHeader::Unnamed { len: 116 };
        assert_eq!(ProxyHeader::decode(&header, 116), fits);
    }

    #[test]
    fn what_is_neither_version_is_malformed() {
        for header in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"proxy TCP4",
            b"\r\n\r\n\0\r\nQUIX",
            b"\x16\x03\x01",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 a b 1 2\r\n",
            b"PROXY \r\n",
            b"PROXY UNKNOWN\xff\r\n",
        ] {
            let read = ProxyHeader::decode(header, MOST);
            assert_eq!(read, ProxyHeader::Malformed, "{}", header.escape_ascii());
        }
        for (command, family, len) in [
            (0x11, 0x11, 12),
            (0x22, 0x11, 12),
            (0x21, 0x41, 12),
            (0x21, 0x13, 12),
            (0x21, 0x11, 11),
            (0x21, 0x21, 35),
        ] {
            let header = version_2(command, family, &vec![0; len]);
            let read = ProxyHeader::decode(&header, MOST);
            assert_eq!(read, ProxyHeader::Malformed, "{command:x} {family:x} {len}");
        }
    }
}

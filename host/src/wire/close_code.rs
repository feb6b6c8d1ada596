//! Close codes, the payload of a Close frame, and what a failure is. RFC 6455 sections 5.5.1 and 7.4.

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;
/// The endpoint goes away.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of message that is not accepted.
pub const UNSUPPORTED: u16 = 1003;
/// Told, never sent: the Close frame had no code.
pub const NO_CODE: u16 = 1005;
/// Told, never sent: there was no Close frame.
pub const ABNORMAL: u16 = 1006;
/// A text message is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A policy was violated.
pub const POLICY: u16 = 1008;
/// A message is too big.
pub const TOO_BIG: u16 = 1009;
/// The server met something it did not expect.
pub const INTERNAL_ERROR: u16 = 1011;
/// The service is restarted.
pub const RESTART: u16 = 1012;
/// Too busy; try again later.
pub const TRY_AGAIN_LATER: u16 = 1013;

/// The payload of a control frame is at most this long (section 5.5).
pub const CONTROL_PAYLOAD_BYTES: usize = 125;
/// So the reason beside a close code is at most this long.
pub const REASON_BYTES: usize = CONTROL_PAYLOAD_BYTES - 2;

/// Why the connection is to be failed (section 7.1.7): the close code to send, and the rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The close code to send.
    pub code: u16,
    /// The rule in words; short enough to be a close reason.
    pub why: &'static str,
}

impl Failure {
    /// The peer broke a rule of the protocol: 1002.
    pub const fn protocol(why: &'static str) -> Self {
        Self {
            code: PROTOCOL_ERROR,
            why,
        }
    }
}

/// A message is above its limit.
pub const TOO_LARGE: Failure = Failure {
    code: TOO_BIG,
    why: "message too big",
};

/// Text that is not UTF-8.
pub const NOT_UTF8: Failure = Failure {
    code: INVALID_PAYLOAD,
    why: "text is not UTF-8",
};

/// Whether a code may stand in a Close frame, sent or received: those of the RFC and of the IANA registry that are
/// meant for the wire, and the ranges for libraries and applications (section 7.4.2).
#[inline]
pub const fn may_stand_in_frame(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a Close frame: the code if there is one, and the reason.
///
/// # Errors
/// A payload of one byte and a forbidden code are protocol errors; a reason that is not UTF-8 is 1007.
pub fn decode(payload: &[u8]) -> Result<(Option<u16>, &str), Failure> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok((None, ""))
        } else {
            Err(Failure::protocol("close frame with one byte of payload"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_stand_in_frame(code) {
        return Err(Failure::protocol("close code that must not be sent"));
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok((Some(code), reason)),
        Err(_) => Err(Failure {
            code: INVALID_PAYLOAD,
            why: "close reason is not UTF-8",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_codes_of_section_7_4_may_stand_in_a_frame() {
        let ranges = [(1000, 1003), (1007, 1014), (3000, 4999)];
        for code in 0..=u16::MAX {
            let expected = ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&code));
            assert_eq!(may_stand_in_frame(code), expected, "{code}");
        }
    }

    #[test]
    fn payload_is_empty_or_a_code_and_a_reason() {
        assert_eq!(decode(b""), Ok((None, "")));
        assert_eq!(decode(b"\x03\xe8"), Ok((Some(1000), "")));
        assert_eq!(decode(b"\x0b\xb8bye"), Ok((Some(3000), "bye")));
    }

    #[test]
    fn one_byte_a_forbidden_code_and_a_reason_that_is_not_utf8_are_refused() {
        assert_eq!(decode(b"\x03").unwrap_err().code, PROTOCOL_ERROR);
        assert_eq!(decode(b"\x03\xed").unwrap_err().code, PROTOCOL_ERROR);
        assert_eq!(decode(b"\x03\xe8\xff").unwrap_err().code, INVALID_PAYLOAD);
    }
}

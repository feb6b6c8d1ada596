//! What must not be dropped unseen, as a program sees that has the host in it. Each is compiled twice: with a use, and
//! without, where it has to be an error.

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket::{config::LogConfig, limits::Limits, logging::{LineFileError, LogControl, PreparedLog}};
/// # fn prepared(log: &LogControl) -> Result<PreparedLog, LineFileError> {
/// #     log.prepare(&LogConfig::default(), &Limits::default())
/// # }
/// # let log = LogControl::without_output(&LogConfig::default());
/// log.install(prepared(&log)?);
/// # Ok::<(), LineFileError>(())
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket::{config::LogConfig, limits::Limits, logging::{LineFileError, LogControl, PreparedLog}};
/// # fn prepared(log: &LogControl) -> Result<PreparedLog, LineFileError> {
/// #     log.prepare(&LogConfig::default(), &Limits::default())
/// # }
/// # let log = LogControl::without_output(&LogConfig::default());
/// prepared(&log)?;
/// # Ok::<(), LineFileError>(())
/// ```
fn seed_11_4_a_log_that_is_prepared_and_not_installed_is_an_error() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket::{config::LogConfig, limits::Limits, logging};
/// let _ = logging::init(&LogConfig::default(), &Limits::default());
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket::{config::LogConfig, limits::Limits, logging};
/// logging::init(&LogConfig::default(), &Limits::default());
/// ```
fn seed_11_4_a_log_that_may_not_have_begun_is_an_error() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket::wire::frame_header::{Decoded, FrameHeader};
/// fn decoded(bytes: &[u8]) -> Decoded {
///     FrameHeader::decode(bytes)
/// }
/// assert!(matches!(decoded(&[]), Decoded::Need(2)));
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket::wire::frame_header::{Decoded, FrameHeader};
/// fn decoded(bytes: &[u8]) -> Decoded {
///     FrameHeader::decode(bytes)
/// }
/// decoded(&[]);
/// ```
fn seed_11_4_what_was_decoded_and_not_looked_at_is_an_error() {}

/// ```
/// #![deny(unused_must_use)]
/// assert!(!hotsocket::version().commit.is_empty());
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// hotsocket::version();
/// ```
fn seed_11_4_a_version_that_is_asked_for_and_not_read_is_an_error() {}

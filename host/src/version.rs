//! Which build this is.

use std::fmt;

/// Which build of the host this is. Shown as one line: `0.1.0 (git 0123456789ab, abi 0.1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version of the crate.
    pub number: &'static str,
    /// The first twelve digits of the commit it was built from, with `-dirty` behind them when files of the checkout were
    /// changed; `unknown` when it was built outside of one.
    pub commit: &'static str,
    /// The ABI of plugins, major and minor.
    pub abi: (u32, u32),
}

/// Which build of the host this is.
///
/// ```
/// let version = hotsocket::version();
/// assert_eq!(version.to_string().split(' ').next(), Some(version.number));
/// ```
#[must_use]
pub const fn version() -> Version {
    Version {
        number: env!("CARGO_PKG_VERSION"),
        commit: env!("HOTSOCKET_COMMIT"),
        abi: (hotsocket_abi::ABI_MAJOR, hotsocket_abi::ABI_MINOR),
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.abi;
        write!(
            f,
            "{} (git {}, abi {major}.{minor})",
            self.number, self.commit
        )
    }
}

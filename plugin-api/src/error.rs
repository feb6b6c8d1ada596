//! Why an instance or a session could not be made.

use std::{error::Error, fmt};

/// Why an instance or a session could not be made. The host logs it with the plugin's name and version.
///
/// Every error turns into one by `?`, with all its causes; [`PluginError::new`] makes one from a text.
pub struct PluginError {
    text: String,
}

impl PluginError {
    /// An error that says `what` went wrong, and at best what to do about it.
    pub fn new(what: impl fmt::Display) -> Self {
        Self {
            text: what.to_string(),
        }
    }
}

impl<E: Error> From<E> for PluginError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self { text }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_all_its_causes() {
        let inner = std::io::Error::other("disk is full");
        let outer = std::io::Error::other(Wrapped(inner));
        assert_eq!(
            PluginError::from(outer).to_string(),
            "cannot open the journal: disk is full"
        );
    }

    #[derive(Debug)]
    struct Wrapped(std::io::Error);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot open the journal")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
}

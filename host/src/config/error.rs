//! What is wrong with a config: where, why, and the mend.

use std::fmt;

use super::source::Place;

/// Everything that is wrong with a config, in the order in which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    place: Origin,
    cause: String,
    mend: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// A line of a file.
    Written(Place),
    /// A file as a whole, a flag or a variable of the environment.
    Named(String),
}

impl Fault {
    /// A fault in a line of a file.
    pub(super) fn at(place: Place, cause: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            place: Origin::Written(place),
            cause: cause.into(),
            mend: mend.into(),
        }
    }

    /// A fault of `name`: a file as a whole, a flag, a variable.
    pub(super) fn of(
        name: impl Into<String>,
        cause: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            place: Origin::Named(name.into()),
            cause: cause.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Origin::Written(place) => {
                writeln!(
                    f,
                    "{}:{}:{}: {}",
                    place.file, place.line, place.column, self.cause
                )?;
                writeln!(f, "  {}", place.text)?;
                writeln!(f, "  {}{}", place.indent, "^".repeat(place.width))?;
            }
            Origin::Named(name) => writeln!(f, "{name}: {}", self.cause)?,
        }
        write!(f, "  {}", self.mend)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
        }
    }
}

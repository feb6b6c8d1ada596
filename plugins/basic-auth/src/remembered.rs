//! What was found right, for a while: as a keyed hash, so that no password lies in memory for long.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hotsocket_plugin::PluginError;
use sha2::{Digest, Sha256};

use crate::credentials::Credentials;

/// More are not remembered. Only what was found right is, so that strangers cannot fill it.
const MOST: usize = 4096;

/// What stands for a name with its password.
pub(crate) type Fingerprint = [u8; 32];

/// Fingerprints of what was found right, and when.
pub(crate) struct Remembered {
    found: HashMap<Fingerprint, Instant>,
    time: Duration,
}

/// Makes fingerprints that nobody else can make.
pub(crate) struct Key([u8; 32]);

impl Key {
    /// A key of this process and instance.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub(crate) fn random() -> Result<Self, PluginError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| PluginError::new(format!("there are no random numbers: {error}")))?;
        Ok(Self(key))
    }

    pub(crate) fn fingerprint(&self, credentials: &Credentials) -> Fingerprint {
        let Credentials { name, password } = credentials;
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(password);
        hash.finalize().into()
    }
}

impl Remembered {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            found: HashMap::new(),
            time,
        }
    }

    /// Whether it was found right not long ago.
    pub(crate) fn has(&mut self, fingerprint: &Fingerprint, now: Instant) -> bool {
        let Some(at) = self.found.get(fingerprint) else {
            return false;
        };
        let holds = now.duration_since(*at) < self.time;
        if !holds {
            self.found.remove(fingerprint);
        }
        holds
    }

    /// It is right.
    pub(crate) fn add(&mut self, fingerprint: Fingerprint, now: Instant) {
        if self.time.is_zero() {
            return;
        }
        if self.found.len() >= MOST {
            let time = self.time;
            self.found.retain(|_, at| now.duration_since(*at) < time);
        }
        if self.found.len() < MOST {
            self.found.insert(fingerprint, now);
        }
    }

    /// The file has changed.
    pub(crate) fn forget(&mut self) {
        self.found.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(key: &Key, name: &str, password: &str) -> Fingerprint {
        key.fingerprint(&Credentials {
            name: name.into(),
            password: password.into(),
        })
    }

    #[test]
    fn a_fingerprint_is_of_one_name_one_password_and_one_key() {
        let [key, other] = [Key([1; 32]), Key([2; 32])];
        let ada = fingerprint(&key, "ada", "pass");
        assert_eq!(ada, fingerprint(&key, "ada", "pass"));
        for differs in [
            fingerprint(&key, "adap", "ass"),
            fingerprint(&key, "ada", "pasS"),
            fingerprint(&other, "ada", "pass"),
        ] {
            assert_ne!(ada, differs);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_in_time_and_number() {
        let second = Duration::from_secs(1);
        let mut remembered = Remembered::new(second);
        let now = Instant::now();
        remembered.add([1; 32], now);
        assert!(remembered.has(&[1; 32], now + second / 2));
        assert!(!remembered.has(&[1; 32], now + second));
        for number in 0..MOST + 10 {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&number.to_le_bytes());
            remembered.add(fingerprint, now);
        }
        assert_eq!(remembered.found.len(), MOST);
        remembered.add([1; 32], now + second);
        assert_eq!(
            remembered.found.len(),
            1,
            "those whose time was over are gone"
        );
        let mut never = Remembered::new(Duration::ZERO);
        never.add([1; 32], now);
        assert!(!never.has(&[1; 32], now));
    }
}

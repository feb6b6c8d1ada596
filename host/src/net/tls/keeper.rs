//! Certificates over time: files that change are read again, and the operator is told of an end in time.

use std::{
    collections::BTreeMap,
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use crate::net::{
    tls::{
        TlsFault, TlsSettings, TlsStream,
        choice::{Choice, Chosen},
        judges::files_at,
        material::{self, Material},
    },
    transport::Transport,
};

const DAY: u64 = 86_400;
/// The operator is told when no more than so many days are left.
const TOLD_AT_DAYS: [u64; 3] = [1, 7, 30];

/// What listeners speak TLS with. All copies take a new certificate at the same time.
#[derive(Clone)]
pub struct Tls {
    current: Arc<RwLock<Arc<Choice>>>,
    /// The names that the listener leads to; empty for all of them.
    scope: Arc<[String]>,
}

impl Tls {
    fn new(choice: &Arc<Choice>) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::clone(choice))),
            scope: Arc::default(),
        }
    }

    /// The same for a listener that leads to these names only, or to all when there is none.
    #[must_use]
    pub fn scoped(self, names: &[String]) -> Self {
        Self {
            scope: names.into(),
            ..self
        }
    }

    /// A connection that was accepted, of which `prefix` was read already; its handshake is still to come.
    pub(crate) fn accept(&self, socket: Transport, prefix: Vec<u8>) -> Transport {
        TlsStream::new(self.clone(), socket, prefix).into()
    }

    /// What is spoken with a client that asks for this name.
    pub(super) fn choose(&self, asked: Option<&str>) -> Chosen {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.choose(&self.scope, asked)
    }

    fn set(&self, choice: &Arc<Choice>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::clone(choice);
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Keeps what TLS is spoken with as its files are. For one thread, which is not a service thread.
pub struct TlsKeeper {
    settings: TlsSettings,
    /// Of what is in use.
    stamps: Stamps,
    /// Of what could not be used, as was told.
    refused: Stamps,
    material: Material,
    tls: Tls,
    /// The last number of days that was told, of each certificate.
    told: Vec<Option<u64>>,
}

/// What TLS may be spoken with from now on.
#[must_use = "nothing changes before it is installed"]
pub struct PreparedTls {
    settings: TlsSettings,
    stamps: Stamps,
    material: Material,
}

/// What tells that a file has changed; none when there is no file.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// By file.
type Stamps = BTreeMap<PathBuf, Stamp>;

impl TlsKeeper {
    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// What is wrong with them or with the settings.
    pub fn open(settings: &TlsSettings) -> Result<Self, TlsFault> {
        let stamps = stamps(settings);
        let material = material::load(settings, None)?;
        let tls = Tls::new(&material.choice);
        let mut keeper = Self {
            settings: settings.clone(),
            stamps,
            refused: Stamps::new(),
            material,
            tls,
            told: Vec::new(),
        };
        keeper.tell_expiry(SystemTime::now());
        Ok(keeper)
    }

    /// What listeners speak it with.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Takes files that cannot be seen any more for unchanged, since we have become somebody who may not look at them.
    pub fn forget_unseen(&mut self) {
        let before = std::mem::take(&mut self.stamps);
        let now = stamps(&self.settings).into_iter();
        self.stamps = now
            .map(|(path, now)| {
                let was = before.get(&path).copied().flatten();
                (path, was.filter(|_| now.is_some()))
            })
            .collect();
    }

    /// Looks whether files have changed. What they hold now is used from the next handshake on; if it cannot be, that is
    /// told once, what was there before stays, and the next look tries again: the files may be well, and no descriptor left
    /// to read them by.
    pub fn look(&mut self, now: SystemTime) {
        let stamps = stamps(&self.settings);
        if stamps != self.stamps {
            match material::load(&self.settings, Some(&self.material)) {
                Ok(material) => {
                    self.stamps = stamps;
                    self.take(material);
                    tracing::info!(target: "hotsocket::tls", cert = %self.settings.cert.display(),
                        "the certificate has changed: it is used from the next handshake on");
                }
                Err(fault) if stamps != self.refused => {
                    self.refused = stamps;
                    tracing::error!(target: "hotsocket::tls", "{fault}; what was read before stays in use");
                }
                Err(_) => {}
            }
        }
        self.tell_expiry(now);
    }

    /// Reads the files of other settings; nothing has changed yet.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn prepare(&self, settings: &TlsSettings) -> Result<PreparedTls, TlsFault> {
        Ok(PreparedTls {
            settings: settings.clone(),
            stamps: stamps(settings),
            material: material::load(settings, Some(&self.material))?,
        })
    }

    /// Uses what was prepared, from the next handshake on.
    pub fn install(&mut self, prepared: PreparedTls) {
        self.settings = prepared.settings;
        self.stamps = prepared.stamps;
        self.take(prepared.material);
        self.tell_expiry(SystemTime::now());
    }

    fn take(&mut self, material: Material) {
        self.tls.set(&material.choice);
        self.material = material;
        self.refused.clear();
        self.told.clear();
    }

    /// Tells of the ends of certificates, once for each number of days.
    fn tell_expiry(&mut self, now: SystemTime) {
        let ends = &self.material.ends;
        self.told.resize(ends.len(), None);
        for ((cert, end), told) in ends.iter().zip(&mut self.told) {
            let due = end.and_then(|end| days_told(end, now));
            if std::mem::replace(told, due) != due {
                tell_days(cert, due);
            }
        }
    }
}

/// Tells how many days a certificate has left.
fn tell_days(cert: &Path, due: Option<u64>) {
    let cert = cert.display();
    match due {
        Some(0) => tracing::warn!(target: "hotsocket::tls", %cert,
            "the certificate has expired: clients refuse it; put a new one into the file"),
        Some(days) => tracing::warn!(target: "hotsocket::tls", %cert,
            "the certificate expires within {days} days; put a new one into the file in time"),
        None => {}
    }
}

/// How many days are told of, if any: 0 after the end.
fn days_told(end: SystemTime, now: SystemTime) -> Option<u64> {
    let Ok(left) = end.duration_since(now) else {
        return Some(0);
    };
    let left = left.as_secs();
    TOLD_AT_DAYS.into_iter().find(|days| left <= days * DAY)
}

fn stamps(settings: &TlsSettings) -> Stamps {
    let files = settings.files();
    let files = files.flat_map(files_at);
    files.map(|path| (path.clone(), stamp(&path))).collect()
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.ctime(),
        found.ctime_nsec(),
        found.len(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_end_is_told_at_thirty_seven_and_one_days_and_when_it_has_come() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * DAY);
        let told = |before: u64| days_told(end, end - Duration::from_secs(before));
        assert_eq!(told(31 * DAY), None);
        assert_eq!(told(30 * DAY), Some(30));
        assert_eq!(told(8 * DAY), Some(30));
        assert_eq!(told(7 * DAY), Some(7));
        assert_eq!(told(3600), Some(1));
        assert_eq!(days_told(end, end + Duration::from_secs(1)), Some(0));
    }
}

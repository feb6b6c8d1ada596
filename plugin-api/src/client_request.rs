//! What a plugin asks for that opens a connection as a client, and what it gives along.

use std::{
    any::Any,
    error::Error,
    ffi::c_void,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Host, abi,
    guard::{guard, status},
    session::milliseconds,
};

/// Where a connection is to lead, and how: to be given to [`Host::connect`](crate::Host::connect).
///
/// ```
/// use std::time::Duration;
/// use hotsocket_plugin::ClientRequest;
///
/// let request = ClientRequest::to("wss://example.org/chat")
///     .subprotocol("chat")
///     .field("Authorization", "Bearer abc")
///     .within(Duration::from_secs(10))
///     .retries(5);
/// # drop(request);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before it is given to `Host::connect`"]
pub struct ClientRequest {
    url: String,
    host: String,
    origin: String,
    subprotocols: Vec<String>,
    fields: Vec<(String, Vec<u8>)>,
    tls: ServerTrust,
    roots: PathBuf,
    proxy: Proxies,
    may_downgrade: bool,
    within_ms: u64,
    redirects: u64,
    retries: u64,
    retry_first_ms: u64,
    retry_most_ms: u64,
}

#[derive(Clone, Debug)]
enum ServerTrust {
    Verified,
    SelfSigned,
    Pinned([u8; 32]),
}

#[derive(Clone, Debug)]
enum Proxies {
    Usual,
    None,
    Given(String),
}

impl ClientRequest {
    /// To this URL: `ws:` or `wss:`. What is wrong with it, and with all that is added, [`Host::connect`](crate::Host::connect)
    /// tells.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            host: String::new(),
            origin: String::new(),
            subprotocols: Vec::new(),
            fields: Vec::new(),
            tls: ServerTrust::Verified,
            roots: PathBuf::new(),
            proxy: Proxies::Usual,
            may_downgrade: false,
            within_ms: abi::CONNECT_USUAL,
            redirects: abi::CONNECT_USUAL,
            retries: 0,
            retry_first_ms: abi::CONNECT_USUAL,
            retry_most_ms: abi::CONNECT_USUAL,
        }
    }

    /// With this value of the field Host, in place of what the URL says.
    pub fn host(self, host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            ..self
        }
    }

    /// With an Origin, as browsers send it.
    pub fn origin(self, origin: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            ..self
        }
    }

    /// Offers a subprotocol, behind those that were offered before. The server chooses one of them, or none.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// With one more field in the opening handshake.
    pub fn field(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Accepts any certificate of the server: nobody who reads along learns anything, but anybody may be at the other end.
    pub fn accepting_self_signed(self) -> Self {
        Self {
            tls: ServerTrust::SelfSigned,
            ..self
        }
    }

    /// Accepts the server whose key has this SHA-256 (of the SubjectPublicKeyInfo), whoever has signed its certificate.
    pub fn pinned(self, sha256: [u8; 32]) -> Self {
        Self {
            tls: ServerTrust::Pinned(sha256),
            ..self
        }
    }

    /// Checks the server's certificate against the authorities of this PEM file, in place of those of the platform.
    pub fn roots(self, file: impl AsRef<Path>) -> Self {
        Self {
            tls: ServerTrust::Verified,
            roots: file.as_ref().to_owned(),
            ..self
        }
    }

    /// Through this proxy, `[http://][NAME:PASSWORD@]HOST:PORT`, whatever config and environment say.
    pub fn proxy(self, proxy: impl Into<String>) -> Self {
        Self {
            proxy: Proxies::Given(proxy.into()),
            ..self
        }
    }

    /// Without a proxy, whatever config and environment say.
    pub fn without_proxy(self) -> Self {
        Self {
            proxy: Proxies::None,
            ..self
        }
    }

    /// Follows so many redirects, in place of `limits.redirects_count`.
    pub fn redirects(self, count: u64) -> Self {
        Self {
            redirects: count,
            ..self
        }
    }

    /// Follows redirects from `wss:` to `ws:` too.
    pub fn allowing_downgrade(self) -> Self {
        Self {
            may_downgrade: true,
            ..self
        }
    }

    /// Each try fails that is not open after this time, in place of `limits.dial_ms`.
    pub fn within(self, time: Duration) -> Self {
        Self {
            within_ms: milliseconds(time),
            ..self
        }
    }

    /// Tries so many times more when it fails for a reason that may pass: the server cannot be reached, is too busy, or does
    /// not answer.
    pub fn retries(self, count: u64) -> Self {
        Self {
            retries: count,
            ..self
        }
    }

    /// Tries again and again, as [`retries`](Self::retries), without end.
    pub fn retries_forever(self) -> Self {
        self.retries(abi::CONNECT_FOREVER)
    }

    /// Waits before a further try at most `first` the first time, twice as long each time after it, and never more than `most`;
    /// how long within that is chance. In place of `limits.retry_first_ms` and `limits.retry_most_ms`.
    pub fn retry_waits(self, first: Duration, most: Duration) -> Self {
        Self {
            retry_first_ms: milliseconds(first),
            retry_most_ms: milliseconds(most),
            ..self
        }
    }

    /// Calls `body` with this as the ABI has it.
    pub(crate) fn lend<R>(&self, body: impl FnOnce(*const abi::ConnectRequest<'_>) -> R) -> R {
        let subprotocols: Vec<_> = self.subprotocols.iter().map(|name| bytes(name)).collect();
        let fields = self.fields.iter().map(|(name, value)| abi::Field {
            name: bytes(name),
            value: abi::Bytes::new(value),
        });
        let fields: Vec<_> = fields.collect();
        let (tls, pin) = match &self.tls {
            ServerTrust::Verified => (abi::TLS_VERIFIED, &[][..]),
            ServerTrust::SelfSigned => (abi::TLS_SELF_SIGNED, &[][..]),
            ServerTrust::Pinned(pin) => (abi::TLS_PINNED, &pin[..]),
        };
        let (proxies, proxy) = match &self.proxy {
            Proxies::Usual => (abi::PROXIES_USUAL, ""),
            Proxies::None => (abi::PROXIES_NONE, ""),
            Proxies::Given(proxy) => (abi::PROXIES_GIVEN, &**proxy),
        };
        let roots = self.roots.as_os_str().as_encoded_bytes();
        body(&abi::ConnectRequest {
            size: size_of::<abi::ConnectRequest<'_>>(),
            url: bytes(&self.url),
            host: bytes(&self.host),
            origin: bytes(&self.origin),
            subprotocols: subprotocols.as_ptr(),
            subprotocol_count: subprotocols.len(),
            fields: fields.as_ptr(),
            field_count: fields.len(),
            tls,
            proxies,
            pin: abi::Bytes::new(pin),
            roots: abi::Bytes::new(roots),
            proxy: abi::Bytes::new(proxy.as_bytes()),
            flags: if self.may_downgrade {
                abi::CONNECT_DOWNGRADE
            } else {
                0
            },
            reserved: 0,
            within_ms: self.within_ms,
            redirects: self.redirects,
            retries: self.retries,
            retry_first_ms: self.retry_first_ms,
            retry_most_ms: self.retry_most_ms,
        })
    }
}

fn bytes(text: &str) -> abi::Bytes<'_> {
    abi::Bytes::new(text.as_bytes())
}

/// Names a connection that was asked for, from [`Host::connect`](crate::Host::connect) on until its session ends. Never used again for another
/// one while the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectId(pub u64);

impl fmt::Display for ConnectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why nothing is opened. What was given is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectRefused {
    /// The request makes no sense, or asks for a file that cannot be read: which part of it, and the mend.
    Request(String),
    /// A bound is reached; which one.
    Full(String),
    /// Nothing is opened here any more, or never was.
    Closed(String),
}

impl fmt::Display for ConnectRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Request(why) | Self::Full(why) | Self::Closed(why)) = self;
        f.write_str(why)
    }
}

impl Error for ConnectRefused {}

impl ConnectRefused {
    pub(crate) fn new(status: abi::Status, why: String) -> Self {
        match status {
            abi::STATUS_FULL => Self::Full(why),
            abi::STATUS_CLOSED | abi::STATUS_NONE => Self::Closed(why),
            _ => Self::Request(why),
        }
    }
}

/// What the caller gives to a connection: any value, in a box that has one word.
pub(crate) type GivenValue = Box<dyn Any + Send>;

/// Gives a value to the host.
pub(crate) fn give(value: GivenValue) -> abi::Given {
    abi::Given {
        value: Box::into_raw(Box::new(value)).cast(),
        free: abi::FreeGiven(free_given),
    }
}

/// Takes over what was given.
///
/// # Safety
///
/// `give` made it, and nobody uses it any more; or it is null.
pub(crate) unsafe fn take_back(given: *mut c_void) -> Option<GivenValue> {
    // SAFETY: the caller promises it.
    (!given.is_null()).then(|| *unsafe { Box::from_raw(given.cast::<GivenValue>()) })
}

unsafe extern "C" fn free_given(value: *mut c_void, host: *const abi::Host) -> abi::Status {
    // SAFETY: the contract has a host that stays valid for ever.
    let host = unsafe { Host::from_raw(host) };
    // SAFETY: the host hands back what it was given, once.
    let value = unsafe { take_back(value) };
    status(guard(
        |text| host.fail(text),
        || {
            drop(value);
            Ok(())
        },
    ))
}

/// What wants to know why a request is refused.
pub(crate) unsafe extern "C" fn explain(data: *mut c_void, text: abi::Bytes<'_>) {
    // SAFETY: the host hands back the text that it was given a pointer to, and lends its own.
    let (told, text) = unsafe { (&mut *data.cast::<String>(), text.as_slice()) };
    told.clear();
    told.push_str(&String::from_utf8_lossy(text));
}

//! What a policy judges before anything else has a say on it: a request.

use std::{fmt, net::SocketAddr};

use crate::{
    ExchangeHandle, ExchangeId, FieldError, Host, PluginError, PostError, Refusal, Tls, Transport,
    abi,
    facts::Facts,
    judged::{Judged, SetError},
};

/// A request as a policy sees it: valid during [`Policy::on_request`](crate::Policy::on_request), on its thread.
pub struct PolicyRequest {
    raw: abi::Judged,
}

/// The request.
impl PolicyRequest {
    /// Which request this is: its connection, and its number there.
    #[must_use]
    pub fn id(&self) -> Option<ExchangeId> {
        let connection = self.raw.number(abi::FACT_ID)?;
        ExchangeId::new(connection, self.raw.number(abi::FACT_EXCHANGE)?)
    }

    /// The method, as it came.
    #[must_use]
    pub fn method(&self) -> &str {
        self.raw.words(abi::FACT_METHOD).unwrap_or_default()
    }

    /// The path of the request target, as it came, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.raw.words(abi::FACT_PATH).unwrap_or_default()
    }

    /// What follows the `?` of the request target, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.raw.words(abi::FACT_QUERY)
    }

    /// The request target, as it came.
    #[must_use]
    pub fn target(&self) -> &str {
        self.raw.words(abi::FACT_TARGET).unwrap_or_default()
    }

    /// Whom the request is for, host and port, from the target or the Host field.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.raw.words(abi::FACT_HOST).unwrap_or_default()
    }

    /// Whether it is an opening handshake.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        self.raw.number(abi::FACT_IS_HANDSHAKE) == Some(1)
    }

    /// The value of a field by its name, in any case of letters; the first one if it is repeated. Need not be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.nth_header(name, 0)
    }

    /// The same, as text; none when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The values of a field, in their order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        (0..).map_while(move |index| self.nth_header(name, index))
    }

    /// Names and values of all fields, in their order.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        (0..).map_while(|index| {
            let (mut name, mut value) = (abi::Bytes::empty(), abi::Bytes::empty());
            let field_at = self.raw.calls().field_at;
            // SAFETY: the calls are valid during the hook; both places are ours to write.
            let status =
                unsafe { field_at(self.raw.context, index, &raw mut name, &raw mut value) };
            if status != abi::STATUS_OK {
                return None;
            }
            // SAFETY: the host lends both until the hook returns, which this borrow does not outlive.
            let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
            Some((str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// The name of the vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.raw.words(abi::FACT_VHOST).unwrap_or_default()
    }

    /// The address of the client: the peer, or whom a trusted proxy asks for. None on a unix socket; and where a trusted
    /// proxy has sent it for somebody whom it does not name, or not so that it can be believed, which a client can bring
    /// about: so whoever goes by addresses refuses that.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.raw.peer()
    }

    /// Whether a proxy that the config trusts (`trusted_proxies`) has sent it, for whichever client.
    #[must_use]
    pub fn is_of_trusted_proxy(&self) -> bool {
        self.raw.number(abi::FACT_TRUSTED_PROXY) == Some(1)
    }

    /// The address that the connection was accepted on; none on a unix socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.raw.words(abi::FACT_LOCAL)?.parse().ok()
    }

    /// What carries the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.raw.transport()
    }

    /// Whether the transport is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.raw.is_encrypted()
    }

    /// What was agreed on with TLS; none without it.
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        self.raw.tls()
    }

    /// What a policy has said by that name of the request, or of its connection.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        self.raw.tag(name)
    }

    /// The host.
    ///
    /// # Panics
    ///
    /// Never with a host that keeps the contract.
    #[must_use]
    pub fn host(&self) -> Host {
        self.raw.thread_state().host
    }
}

/// What is said of it.
impl PolicyRequest {
    /// Says something of the request that policies behind this one, and the session or exchange that comes of it, can
    /// read, in place of what was said by that name before.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub fn set_tag(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), SetError> {
        self.raw.set_tag(name, value.as_ref())
    }

    /// Adds a field to the answer, whatever it will be.
    ///
    /// # Errors
    ///
    /// Why it is not taken; nothing is added.
    pub fn add_field(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        let name = abi::Bytes::new(name.as_bytes());
        let value = abi::Bytes::new(value.as_ref());
        let add_field = self.raw.calls().add_field;
        // SAFETY: the calls are valid during the hook; name and value outlive this one.
        match unsafe { add_field(self.raw.context, name, value) } {
            abi::STATUS_OK => Ok(()),
            abi::STATUS_FULL => Err(FieldError::TooMuch),
            _ => Err(FieldError::Invalid),
        }
    }

    /// By which any thread has the hook called again for this request, which is answered with
    /// [`Verdict::Later`](crate::Verdict::Later) now.
    #[must_use]
    pub fn ask_again(&self) -> Option<AskAgain> {
        let handle = ExchangeHandle::new(self.host(), self.id()?);
        Some(AskAgain(handle))
    }

    /// Refuses the request.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) -> Result<(), PluginError> {
        if let Some(failure) = &refusal.failure {
            return Err(PluginError::new(failure));
        }
        for (name, value) in &refusal.fields {
            let added = self.add_field(name, value);
            added.map_err(|error| {
                PluginError::new(format!("the refusal's field {name}: {error}"))
            })?;
        }
        let (status, content) = (refusal.status, abi::Bytes::new(&refusal.content));
        let refuse = self.raw.calls().refuse;
        // SAFETY: the calls are valid during the hook; the content outlives this one.
        match unsafe { refuse(self.raw.context, status.into(), content) } {
            abi::STATUS_OK => Ok(()),
            _ => Err(PluginError::new(format!(
                "a request cannot be refused with status {status} and {} bytes of content: use 300 to 599, and no \
                 content with 304",
                refusal.content.len()
            ))),
        }
    }

    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Judged) -> Self {
        Self { raw }
    }

    fn nth_header(&self, name: &str, index: u64) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        let field = self.raw.calls().field;
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { field(self.raw.context, name, index, &raw mut out) };
        // SAFETY: the host lends fields until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}

impl fmt::Debug for PolicyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRequest")
            .field("id", &self.id())
            .field("method", &self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// Has a policy asked again about a request that it has answered with [`Verdict::Later`](crate::Verdict::Later). May be used
/// on any thread.
#[derive(Clone, Copy, Debug)]
pub struct AskAgain(ExchangeHandle);

impl AskAgain {
    /// The request.
    #[must_use]
    pub const fn id(&self) -> ExchangeId {
        self.0.id()
    }

    /// Has [`Policy::on_request`](crate::Policy::on_request) called again.
    ///
    /// # Errors
    ///
    /// When the request is gone, or too much is queued for its thread.
    pub fn now(self) -> Result<(), PostError> {
        self.0.ask_again()
    }
}

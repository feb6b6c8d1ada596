//! What an exchange can read of its request and its connection.

use std::{borrow::Cow, iter, net::SocketAddr};

use super::Exchange;
use crate::{ExchangeId, Tls, Transport, abi, facts::Facts};

/// What the request asks for.
impl Exchange {
    /// The method, as it came: `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.words(abi::FACT_METHOD).unwrap_or_default()
    }

    /// The request target, as it came.
    #[must_use]
    pub fn target(&self) -> &str {
        self.words(abi::FACT_TARGET).unwrap_or_default()
    }

    /// The path of the request target, as it came, without the query. Nothing in it is decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.words(abi::FACT_PATH).unwrap_or_default()
    }

    /// What a policy has said by that name of the request or its connection; see [`Policy`](crate::Policy).
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { (self.calls().tag)(self.raw.context, name, &raw mut out) };
        // SAFETY: the host lends it until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    /// The mountpoint that led here; the path begins with it.
    #[must_use]
    pub fn mountpoint(&self) -> &str {
        self.words(abi::FACT_MOUNTPOINT).unwrap_or_default()
    }

    /// What follows the mountpoint in the path: `/list` for `/shop/list` on `/shop`, `shop/list` for it on `/`.
    #[must_use]
    pub fn path_below(&self) -> &str {
        let path = self.path();
        path.strip_prefix(self.mountpoint()).unwrap_or(path)
    }

    /// What follows the `?` of the request target, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.words(abi::FACT_QUERY)
    }

    /// The names and values of a query that was made by a form (`application/x-www-form-urlencoded`), decoded. What is
    /// not UTF-8 in them is replaced by U+FFFD.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// The first value of that name among the [`query_pairs`](Self::query_pairs).
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.query_pairs().find(|(other, _)| other == name);
        found.map(|(_, value)| value)
    }

    /// Whom the request is for: what the target says, or the Host field. With the port, if one was given.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.words(abi::FACT_HOST)
    }

    /// The minor version of HTTP/1.x: 0 or 1.
    #[must_use]
    pub fn http_minor(&self) -> u8 {
        let minor = self.number(abi::FACT_HTTP_MINOR);
        minor
            .and_then(|minor| minor.try_into().ok())
            .unwrap_or_default()
    }

    /// Bytes of the body, as its head announces them: 0 without a body, none for a chunked one.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.number(abi::FACT_CONTENT_LENGTH)
    }

    /// The value of the field `name`, in any case of letters; the first one if there are several. It need not be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.field(abi::FIELDS_HEAD, name, 0)
    }

    /// The value of the field `name`. None also when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// All values of the field `name`, in their order.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields(abi::FIELDS_HEAD, name)
    }

    /// Names and values of all fields, in their order and as they came.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.all_fields(abi::FIELDS_HEAD)
    }

    /// The value of the trailer field `name`, behind a chunked body: there are none before its last piece has come.
    #[must_use]
    pub fn trailer_value(&self, name: &str) -> Option<&[u8]> {
        self.field(abi::FIELDS_TRAILER, name, 0)
    }

    /// All values of the trailer field `name`, in their order.
    pub fn trailers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields(abi::FIELDS_TRAILER, name)
    }

    /// Names and values of all trailer fields, in their order and as they came.
    pub fn all_trailers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.all_fields(abi::FIELDS_TRAILER)
    }
}

/// Facts.
impl Exchange {
    /// Names this exchange; never used again for another one while the host runs.
    ///
    /// # Panics
    ///
    /// Never with a host that keeps the contract.
    #[must_use]
    pub fn id(&self) -> ExchangeId {
        let connection = self.number(abi::FACT_ID).unwrap_or_default();
        let number = self.number(abi::FACT_EXCHANGE).unwrap_or_default();
        ExchangeId::new(connection, number).expect("the host gives each exchange an id")
    }

    /// The name of its vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.words(abi::FACT_VHOST).unwrap_or_default()
    }

    /// The name of its handler, or of the protocol that it stands beside.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.words(abi::FACT_PROTOCOL).unwrap_or_default()
    }

    /// [`HttpHandler::ID`](crate::HttpHandler::ID), or that of the protocol.
    #[must_use]
    pub fn protocol_id(&self) -> u32 {
        Facts::protocol_id(self)
    }

    /// The address of the peer; none on a unix socket.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        Facts::peer(self)
    }

    /// The name of the peer's address, where the operator has names looked up (`reverse_names`); it leads back to the address.
    /// None until it is known: a name is looked up beside the first request of an address.
    #[must_use]
    pub fn peer_name(&self) -> Option<&str> {
        Facts::peer_name(self)
    }

    /// The address that the connection was accepted on; none on a unix socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.words(abi::FACT_LOCAL)?.parse().ok()
    }

    /// What carries the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Facts::transport(self)
    }

    /// Whether the transport is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        Facts::is_encrypted(self)
    }

    /// What was agreed on with TLS; none without it, and once the exchange has ended.
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        Facts::tls(self)
    }
}

impl Facts for Exchange {
    fn number(&self, key: u32) -> Option<u64> {
        let mut out = 0;
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { (self.calls().fact_number)(self.raw.context, key, &raw mut out) };
        (status == abi::STATUS_OK).then_some(out)
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { (self.calls().fact_bytes)(self.raw.context, key, &raw mut out) };
        // SAFETY: the host lends facts until the hook returns, which this borrow of the exchange does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}

impl Exchange {
    fn field(&self, list: u32, name: &str, index: u64) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; the name outlives this one, `out` is ours to write.
        let status =
            unsafe { (self.calls().field)(self.raw.context, list, name, index, &raw mut out) };
        // SAFETY: the host lends fields until the hook returns, which this borrow of the exchange does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    fn fields<'a>(&'a self, list: u32, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        (0..).map_while(move |index| self.field(list, name, index))
    }

    fn all_fields(&self, list: u32) -> impl Iterator<Item = (&str, &[u8])> {
        let mut index = 0;
        iter::from_fn(move || {
            let (mut name, mut value) = (abi::Bytes::empty(), abi::Bytes::empty());
            // SAFETY: the calls are valid during the hook; both are ours to write.
            let status = unsafe {
                (self.calls().field_at)(
                    self.raw.context,
                    list,
                    index,
                    &raw mut name,
                    &raw mut value,
                )
            };
            index += 1;
            if status != abi::STATUS_OK {
                return None;
            }
            // SAFETY: as in `field`.
            let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
            Some((str::from_utf8(name).unwrap_or_default(), value))
        })
    }
}

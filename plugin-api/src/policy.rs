//! The trait of a policy: what has a say on connections and requests before anything else has.

use serde::de::DeserializeOwned;

use crate::{Admission, Connection, Handshake, Host, PluginError, PolicyRequest, Refusal, Verdict};

/// A policy on one vhost. It acts on the vhosts whose config names it in `policies`, and nowhere else; where several are
/// named they are asked in that order, and the first that refuses ends it.
///
/// ```standalone_crate
/// use hotsocket_plugin::{prelude::*, testing::{TestHost, TestRequest}};
///
/// /// Lets nobody change anything on Sundays.
/// struct Sunday;
///
/// impl Policy for Sunday {
///     const NAME: &'static str = "sunday";
///     type Options = NoOptions;
///
///     fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
///         Ok(Self)
///     }
///
///     fn on_request(&self, request: &mut PolicyRequest) -> Result<Verdict, Refusal> {
///         if request.method() != "GET" {
///             return Err(Refusal::new(503).text("not on Sundays"));
///         }
///         request.set_tag("day", "sunday")?;
///         Ok(Verdict::Allow)
///     }
/// }
///
/// export_plugin!(policies: Sunday);
///
/// let host = TestHost::new(plugin());
/// let connection = host.connect("sunday");
/// assert_eq!(connection.request(TestRequest::get("/")).unwrap().tag("day"), Some("sunday"));
/// let refused = connection.request(TestRequest::post("/", "x")).unwrap_err();
/// assert_eq!((refused.status, refused.text().as_str()), (503, "not on Sundays"));
/// ```
///
/// # Order
///
/// [`on_create`](Self::on_create), [`on_accept`](Self::on_accept), [`on_connection`](Self::on_connection), with TLS
/// [`on_certificate`](Self::on_certificate) when the peer has shown one, for each request
/// [`on_request`](Self::on_request) and for an opening handshake [`on_handshake`](Self::on_handshake), and
/// [`on_destroy`](Self::on_destroy). The first and the last are called exactly once for each connection, also for one that
/// was refused or that never spoke. A hook that is not written has nothing against it.
///
/// Which vhost a connection is for is known with TLS, or with its first request: the hooks before that, and `on_destroy`,
/// are those of the vhost that the listener's connections begin in.
///
/// # Threads
///
/// [`new`](Self::new), [`on_retire`](Self::on_retire) and `drop` as in [`Instance`](crate::Instance); everything else runs
/// on service threads, several at once: hence `Sync`. All that concerns one connection runs on the thread that owns it,
/// which serves nobody else meanwhile: what takes its time belongs on a thread of the policy's own, see
/// [`Verdict::Later`].
///
/// # Failure
///
/// An error or a panic in `new` refuses the whole file, or the whole new config. In a hook it refuses the connection, or
/// answers the request with 500. A vhost whose config names a policy that no plugin provides answers 503 to everything.
#[expect(
    unused_variables,
    reason = "the names of what a hook gets are its documentation"
)]
pub trait Policy: Send + Sync + Sized + 'static {
    /// The name by which a config asks for it, a token. Checked when the plugin is compiled.
    const NAME: &'static str;

    /// The options of the policy on this vhost, as [`Instance::Options`](crate::Instance::Options).
    type Options: DeserializeOwned;

    /// Makes the policy. `host` may be kept: it is valid for ever, on all threads. It has no protocol and no sessions.
    ///
    /// # Errors
    ///
    /// What this plugin cannot work with, in words for the operator.
    fn new(host: &Host, options: Self::Options) -> Result<Self, PluginError>;

    /// There is a connection.
    fn on_create(&self, connection: &Connection) {}

    /// The connection was accepted, and nothing was read. One that is refused ends without a byte.
    fn on_accept(&self, connection: &Connection) -> Admission {
        Admission::Accept
    }

    /// The connection stays: options of its socket, limits and tags can be set.
    fn on_connection(&self, connection: &mut Connection) -> Admission {
        Admission::Accept
    }

    /// The peer has shown a certificate with TLS that the host accepts; [`Connection::tls`] has it. Tags can be set. It
    /// is not asked about one that the host refuses.
    fn on_certificate(&self, connection: &mut Connection) -> Admission {
        Admission::Accept
    }

    /// The head of a request has come, and nothing was answered. A redirect is a refusal with a `Location`.
    ///
    /// # Errors
    ///
    /// The answer when it is refused; a failure is answered with 500.
    fn on_request(&self, request: &mut PolicyRequest) -> Result<Verdict, Refusal> {
        Ok(Verdict::Allow)
    }

    /// An opening handshake that the host would accept, before its protocol is asked. It may add fields to the answer and
    /// choose the subprotocol. What it keeps is dropped: a policy says by tags what it has learnt.
    ///
    /// # Errors
    ///
    /// As [`on_request`](Self::on_request).
    fn on_handshake(&self, request: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    /// The connection is over. Of `connection` its id and its peer are known.
    fn on_destroy(&self, connection: &Connection) {}

    /// A newer instance is asked about new connections and all requests from now on, or none is. Called at most once.
    fn on_retire(&self) {}
}

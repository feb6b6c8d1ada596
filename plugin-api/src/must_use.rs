//! What an author must not drop unseen. Each is compiled twice: with a use, and without, where it has to be an error.

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::{Exchange, Response};
/// fn answer() -> Response<'static> {
///     Response::text(200, "hello")
/// }
/// fn respond(exchange: &Exchange) {
///     exchange.respond(answer());
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::{Exchange, Response};
/// fn answer() -> Response<'static> {
///     Response::text(200, "hello")
/// }
/// fn respond(exchange: &Exchange) {
///     answer();
/// }
/// ```
fn seed_11_4_an_answer_that_is_made_and_not_given_is_an_error() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::{Handshake, Refusal};
/// fn judge(request: &mut Handshake) -> Result<(), Refusal> {
///     Err(Refusal::new(403).text("not here"))
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::{Handshake, Refusal};
/// fn judge(request: &mut Handshake) -> Result<(), Refusal> {
///     Refusal::new(403).text("not here");
///     Ok(())
/// }
/// ```
fn seed_11_4_a_refusal_that_is_not_returned_is_an_error() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::{SessionHandle, PostError};
/// fn tell(session: &SessionHandle) -> Result<(), PostError> {
///     session.send("hello")
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::{SessionHandle, PostError};
/// fn tell(session: &SessionHandle) -> Result<(), PostError> {
///     session.send("hello");
///     Ok(())
/// }
/// ```
fn seed_11_4_a_message_to_a_session_that_may_have_ended_is_an_error_when_nobody_looks() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::Handshake;
/// fn judge(request: &Handshake) -> bool {
///     request.choose("chat")
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::Handshake;
/// fn judge(request: &Handshake) -> bool {
///     request.choose("chat");
///     true
/// }
/// ```
fn seed_11_4_a_subprotocol_that_may_not_be_offered_is_an_error_when_nobody_looks() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::Stop;
/// fn outbound() -> Result<(), Stop> {
///     Err(Stop::veto())
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::Stop;
/// fn outbound() -> Result<(), Stop> {
///     Stop::veto();
///     Ok(())
/// }
/// ```
fn seed_11_4_a_veto_of_an_extension_that_is_not_returned_is_an_error() {}

/// ```
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::Session;
/// fn keep(session: &Session) -> u64 {
///     session.handle().id().get()
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// use hotsocket_plugin::Session;
/// fn keep(session: &Session) {
///     session.handle();
/// }
/// ```
fn seed_11_4_a_handle_that_is_made_and_not_kept_is_an_error() {}

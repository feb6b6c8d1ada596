//! What happens to plugin files under a running host.

mod bad_files;
mod cgi;
mod generations;
mod http_handlers;
mod lives;
pub(crate) mod marker_versions;
mod names;
mod options;
mod panicking;
mod permissions;
mod post_form;
mod reload;
pub(crate) mod reload_load;
mod reload_ways;
mod removal;
mod server_sent_events;
mod template;
mod two_protocols;

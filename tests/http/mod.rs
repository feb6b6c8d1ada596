//! What a client of HTTP sees.

pub(crate) mod answer;
mod archives;
mod bodies;
mod clients;
mod failing_handlers;
mod file_cache;
mod handlers;
mod keep_alive;
mod methods;
mod mounts;
mod odd_files;
pub(crate) mod peer;
mod proxies;
mod site;
mod splits;
mod stalled;
mod strict_heads;
mod strict_lengths;

//! What is bounded beside messages: connections by vhost, fields by name, and the time of peers that have vanished.

mod field_bounds;
mod keepalive;
mod vhost_connections;

//! Sockets, readiness, deadlines. Knows no URL, no vhost and no plugin; generic over one trait.

pub mod timer_wheel;

//! The broadcast plugin.

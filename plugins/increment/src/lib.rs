//! The increment plugin.

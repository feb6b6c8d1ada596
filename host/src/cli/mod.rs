//! What was typed, what is printed.

pub mod signals;

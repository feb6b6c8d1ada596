//! What was written, then what is meant.

//! What was typed, what is printed.

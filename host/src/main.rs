//! The `hotsocket` command.
fn main() {}

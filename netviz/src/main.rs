//! The `netviz` command.
fn main() {}

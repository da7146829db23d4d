//! Helpers for the tests of the command line, of what it shows and of what it finds.

pub mod chains;
pub mod doors;
pub mod netviz;
pub mod random;
pub mod schema;
pub mod sight;
pub mod terminal;
pub mod verdicts;
pub mod wait;

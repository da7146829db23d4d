//! Helpers for the tests of the command line and of what it shows.

pub mod schema;
pub mod sight;

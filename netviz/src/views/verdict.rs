//! What was found out of a pair, or of many: each view a function of [`crate::verify::Verdict`]s,
//! and of nothing else.

pub mod json;
pub mod ladder;
mod path;
mod words;

pub use words::{sent, summary, word};

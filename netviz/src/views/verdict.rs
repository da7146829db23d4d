//! What was found out of a pair, or of many: each view a function of [`crate::verify::Verdict`]s,
//! and of nothing else.

pub mod json;
pub mod junit;
pub mod ladder;
pub mod matrix;
pub mod mermaid;
mod path;
pub mod svg;
mod words;

pub use words::{sent, summary};

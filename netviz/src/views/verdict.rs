//! Drawings of verdicts: each a function of [`crate::verify::Verdict`]s.

pub mod explain;
pub mod json;
pub mod junit;
pub mod ladder;
pub mod matrix;
pub mod mermaid;
mod path;
mod sentences;
pub mod svg;
mod words;

pub use sentences::{causes, detours, notes, unclear};
pub use words::{sent, summary};

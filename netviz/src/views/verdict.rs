//! Drawings of verdicts: each a function of [`crate::verify::Verdict`]s.

mod causes;
pub mod drawing;
pub mod explain;
pub mod json;
pub mod junit;
pub mod ladder;
pub mod matrix;
pub mod mermaid;
mod path;
mod places;
mod reasons;
pub mod results;
mod sentences;
pub mod watch;
mod words;

pub use causes::{causes, remedies};
pub use sentences::{detours, notes, unclear};
pub use words::{sent, summary};

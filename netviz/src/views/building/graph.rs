//! The building as a graph: Mermaid for a README, DOT for Graphviz.

mod dot;
mod mermaid;
mod parts;

pub use dot::dot;
pub use mermaid::mermaid;

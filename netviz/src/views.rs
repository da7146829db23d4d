//! Everything that is shown: each view a function of one snapshot, and of nothing else.

pub mod audit;
pub mod building;
pub mod csv;
pub mod filter;
mod footnotes;
pub mod json;
pub mod lines;
mod sources;
mod svg;
pub mod table;
pub mod text;
pub mod tui;
pub mod verdict;

//! Everything that is shown: each view is a function of one snapshot, verdict or audit.

pub mod audit;
pub mod building;
pub mod csv;
mod door;
pub mod filter;
mod footnotes;
pub mod json;
pub mod lines;
mod sources;
mod summary;
mod svg;
pub mod table;
pub mod text;
pub mod tui;
pub mod verdict;

//! Everything that is shown: each view a function of one snapshot, and of nothing else.

pub mod audit;
pub mod csv;
pub mod filter;
pub mod json;
pub mod layout;
pub mod lines;
pub mod map;
mod reasons;
pub mod table;
pub mod text;
pub mod tui;
pub mod verdict;

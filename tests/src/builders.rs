//! Plain data for views, rules and parsers, without a kernel.

pub mod api_server;
pub mod chains;
pub mod fixtures;
pub mod flows;
pub mod fuzz;
pub mod hostile;
pub mod parsers;
pub mod paths;
pub mod random;
pub mod snapshot_builder;
pub mod verdicts;

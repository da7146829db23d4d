//! Flows: who talks with whom, per interface and per pair of pods.

pub mod csv;
mod interfaces;
pub mod matrix;
mod owners;
pub mod pair_table;
mod pairs;
mod report;
pub mod screen;
mod services;
mod subject;
pub mod table;
mod words;

pub(super) use interfaces::ends;
pub use interfaces::interfaces;
pub use owners::Owner;
pub use pairs::{CountedAt, Group, PAIRS_SCHEMA, PairCounts, PairReport, Party, TalkingPair};
pub use report::{FlowReport, FlowSort, NamedFlow, Rest, SCHEMA, Selected, TopTalkers, Uncounted};
pub use services::Translation;

use crate::views::json;

/// The schema of [`FlowReport`].
#[must_use]
pub fn schema() -> serde_json::Value {
    json::schema_of::<FlowReport>()
}

/// The schema of [`PairReport`].
#[must_use]
pub fn pairs_schema() -> serde_json::Value {
    json::schema_of::<PairReport>()
}

//! The building for programs: what stands where, with the snapshot that it is made of.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Map, layout::Layout};
use crate::{model::Snapshot, views::json::schema_of};

/// Name and version of this form.
pub const SCHEMA: &str = "netviz.map/2";

/// What is written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Drawing<'a> {
    /// `netviz.map/2`.
    schema: &'static str,
    /// Buildings, and in them rooms and gates in the order of all drawings. Doors are named by
    /// `netns` and `ifindex`, and found under `snapshot`.
    layout: &'a Layout,
    /// As `netviz doors -o json` writes it.
    snapshot: &'a Snapshot,
}

/// The schema of what is written.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Drawing<'_>>()
}

/// What is written for a map.
#[must_use]
pub fn drawing<'a>(map: &'a Map<'_>) -> Drawing<'a> {
    Drawing {
        schema: SCHEMA,
        layout: &map.layout,
        snapshot: map.snapshot,
    }
}

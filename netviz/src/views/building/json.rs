//! The building for programs: the layout, and its snapshot.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Map, layout::Layout};
use crate::{model::Snapshot, views::json::schema_of};

/// Name and version of this form.
pub const SCHEMA: &str = "netviz.map/2";

/// The JSON form.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Drawing<'a> {
    /// `netviz.map/2`.
    schema: &'static str,
    /// Buildings, with their rooms and gates in the order of all drawings. Doors of `snapshot` are
    /// identified by their `id`.
    layout: &'a Layout,
    /// As `netviz doors -o json` writes it.
    snapshot: &'a Snapshot,
}

/// The schema.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Drawing<'_>>()
}

/// The JSON form of a map.
#[must_use]
pub fn drawing<'a>(map: &'a Map<'_>) -> Drawing<'a> {
    Drawing {
        schema: SCHEMA,
        layout: &map.layout,
        snapshot: map.snapshot,
    }
}

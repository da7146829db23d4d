//! The programs at each door: each view is a function of one audit.

mod grouping;
pub mod sarif;
pub mod text;

use crate::audit::Audit;

/// The schema of the JSON form.
#[must_use]
pub fn schema() -> serde_json::Value {
    super::json::schema_of::<Audit>()
}

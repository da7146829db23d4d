//! A snapshot as metrics, for Prometheus.

mod families;
mod series;
mod text_format;

pub use families::openmetrics;
pub use series::{Level, Metrics};
pub use text_format::from_openmetrics;

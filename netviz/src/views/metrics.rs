//! A snapshot as metrics, for Prometheus.

mod families;
mod path_tests;
mod series;
mod text_format;

pub use families::openmetrics;
pub use path_tests::{PairResult, PathTests};
pub use series::{Level, Metrics};
pub use text_format::from_openmetrics;

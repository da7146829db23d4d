//! A snapshot as metrics, for Prometheus.

mod families;
mod series;
mod text_format;

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};

use crate::model::Snapshot;
use series::Series;
pub use text_format::from_openmetrics;

/// The interfaces that have metrics of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Those of nodes: uplinks, tunnels, `cilium_host`.
    Node,
    /// Also one per pod: its own end.
    #[default]
    Pod,
    /// All of them, with segments and other programs.
    Door,
}

/// The metrics of one snapshot.
#[derive(Debug)]
pub struct Metrics {
    snapshot: Arc<Snapshot>,
    level: Level,
    series: Series,
    last_scrape: Duration,
}

impl Metrics {
    /// The metrics of `snapshot` at a level of detail; `last_scrape` is how long the scrape before
    /// took.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, level: Level, last_scrape: Duration) -> Self {
        let series = Series::new(&snapshot, level);
        Self {
            snapshot,
            level,
            series,
            last_scrape,
        }
    }

    /// The metrics in the format of OpenMetrics 1.0.
    #[must_use]
    pub fn openmetrics(self) -> String {
        let mut registry = Registry::with_prefix("netviz");
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut written, &registry);
        written
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        families::FAMILIES
            .iter()
            .try_for_each(|family| family.encode(self, &mut encoder))
    }
}

//! The families of metrics: each is a row here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::series::{Labels, Level, Metrics, outward};
use crate::{
    model::{Direction, DoorState, PairDirection, Programs, Status as Answer, Traffic},
    views::door::Status,
};

/// Writes the metrics in the format of OpenMetrics 1.0.
#[must_use]
pub fn openmetrics(metrics: Metrics) -> String {
    let mut registry = Registry::with_prefix("netviz");
    registry.register_collector(Box::new(metrics));
    let mut written = String::new();
    // Writing to a string does not fail.
    let _ = text::encode(&mut written, &registry);
    written
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut families = FAMILIES.iter();
        families.try_for_each(|family| family.encode(self, &mut encoder))?;
        match &self.tests {
            Some(tests) => tests.encode(&mut encoder),
            None => Ok(()),
        }
    }
}

/// Metrics of one name.
struct Family {
    /// Without `netviz_` and `_total`.
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// The most general level that has it.
    level: Level,
    samples: fn(&Metrics) -> Vec<(Labels, f64)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Family {
    fn encode(&self, metrics: &Metrics, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        if self.level == Level::Door && metrics.level != Level::Door {
            return Ok(());
        }
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let mut family = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (labels, value) in (self.samples)(metrics) {
            let series = family.encode_family(&labels)?;
            match self.kind {
                Kind::Counter => ConstCounter::new(value).encode(series)?,
                Kind::Gauge => ConstGauge::new(value).encode(series)?,
            }
        }
        Ok(())
    }
}

const FAMILIES: &[Family] = &[
    Family {
        name: "interface_packets",
        help: "Packets (socket buffers) at one hook of an interface since netviz attached to it. A packet crosses several interfaces: never sum over interfaces.",
        kind: Kind::Counter,
        level: Level::Node,
        samples: |metrics| traffic(metrics, |hook| hook.packets),
    },
    Family {
        name: "interface_bytes",
        help: "Bytes at one hook of an interface, Ethernet headers included. Never sum over interfaces.",
        kind: Kind::Counter,
        level: Level::Node,
        samples: |metrics| traffic(metrics, |hook| hook.bytes),
    },
    Family {
        name: "interface_segments",
        help: "Packets as on the wire at one hook of an interface: a GSO packet counts as its segments. Never sum over interfaces.",
        kind: Kind::Counter,
        level: Level::Door,
        samples: |metrics| traffic(metrics, |hook| hook.segments),
    },
    Family {
        name: "interface_state",
        help: "1 for each interface that is not ok, with its state: losing, blind, interrupted, bypassed or attaching.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: states,
    },
    Family {
        name: "interface_lost_segments",
        help: "Segments, at least, that left an interface and did not arrive at the other end of its veth pair.",
        kind: Kind::Counter,
        level: Level::Node,
        samples: |metrics| pairs(metrics, |direction| direction.missing),
    },
    Family {
        name: "interface_bypassed_segments",
        help: "Segments, at least, that arrived at the other end of a veth pair without crossing this interface's egress hook.",
        kind: Kind::Counter,
        level: Level::Door,
        samples: |metrics| pairs(metrics, |direction| direction.skipped),
    },
    Family {
        name: "interface_gaps",
        help: "How often another tool displaced netviz at an interface: packets until it was attached again are not counted.",
        kind: Kind::Counter,
        level: Level::Door,
        samples: |metrics| doors(metrics, |door| Some(f64::from(door.gaps))),
    },
    Family {
        name: "hook_programs",
        help: "Programs of others at one hook of an interface.",
        kind: Kind::Gauge,
        level: Level::Door,
        samples: programs,
    },
    Family {
        name: "interfaces",
        help: "Interfaces by node and state, those without series of their own included.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: interfaces,
    },
    Family {
        name: "interfaces_hidden",
        help: "Interfaces without series because another one has the same labels.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: |metrics| vec![(Vec::new(), metrics.hidden as f64)],
    },
    Family {
        name: "source_up",
        help: "Whether a source of names answered: 1, or 0 after an error. A source that does not exist here has no series.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: sources,
    },
    Family {
        name: "snapshot_timestamp_seconds",
        help: "When the counters were read.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: |metrics| {
            let taken_at = metrics.snapshot.taken_at.parse::<Timestamp>().ok();
            let seconds = taken_at.map(|at| at.as_millisecond() as f64 / 1e3);
            seconds.map(|it| (Vec::new(), it)).into_iter().collect()
        },
    },
    Family {
        name: "scrape_duration_seconds",
        help: "How long netviz took to write the metrics of the scrape before this one.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: |metrics| vec![(Vec::new(), metrics.last_scrape.as_secs_f64())],
    },
    Family {
        name: "build_info",
        help: "The version of netviz.",
        kind: Kind::Gauge,
        level: Level::Node,
        samples: |_| vec![(vec![("version", env!("CARGO_PKG_VERSION").into())], 1.0)],
    },
];

/// A sample of each interface for which `value` is known.
fn doors(metrics: &Metrics, value: impl Fn(&DoorState) -> Option<f64>) -> Vec<(Labels, f64)> {
    let series = metrics.doors.iter();
    let samples = series.filter_map(|(place, labels)| {
        let door = metrics.snapshot.doors.get(*place)?;
        Some((labels.clone(), value(door)?))
    });
    samples.collect()
}

/// A sample of each hook for which `value` is known.
fn hooks(
    metrics: &Metrics,
    value: impl Fn(&DoorState, Direction) -> Option<f64>,
) -> Vec<(Labels, f64)> {
    let directions = [Direction::Ingress, Direction::Egress];
    let samples = directions.into_iter().flat_map(|direction| {
        let mut samples = doors(metrics, |door| value(door, direction));
        for (labels, _) in &mut samples {
            labels.push(("direction", direction.to_string()));
        }
        samples
    });
    samples.collect()
}

fn traffic(metrics: &Metrics, figure: fn(&Traffic) -> Option<u64>) -> Vec<(Labels, f64)> {
    hooks(metrics, |door, direction| {
        let hook = match direction {
            Direction::Ingress => &door.ingress,
            Direction::Egress => &door.egress,
        };
        Some(figure(hook)? as f64)
    })
}

fn pairs(metrics: &Metrics, figure: fn(&PairDirection) -> Option<u64>) -> Vec<(Labels, f64)> {
    let outward = outward(&metrics.snapshot);
    doors(metrics, |door| Some(figure(outward.get(&door.id)?)? as f64))
}

fn programs(metrics: &Metrics) -> Vec<(Labels, f64)> {
    hooks(metrics, |door, direction| {
        let Programs { ingress, egress } = &door.programs;
        let chain = match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        };
        let chain = chain.as_ref()?;
        Some((chain.ahead.len() + chain.behind.len()) as f64)
    })
}

fn states(metrics: &Metrics) -> Vec<(Labels, f64)> {
    let series = metrics.doors.iter();
    let samples = series.filter_map(|(place, labels)| {
        let status = Status::of(metrics.snapshot.doors.get(*place)?);
        let state = ("state", status.word().to_owned());
        let labels = [labels.as_slice(), &[state]].concat();
        (status != Status::Ok).then_some((labels, 1.0))
    });
    samples.collect()
}

fn interfaces(metrics: &Metrics) -> Vec<(Labels, f64)> {
    let mut samples = Vec::new();
    for node in &metrics.snapshot.nodes {
        let doors = metrics.snapshot.doors.iter();
        let own = doors.filter(|door| door.node_netns == node.netns);
        let statuses: Vec<_> = own.map(Status::of).collect();
        for status in Status::ALL.into_iter().filter(|it| *it != Status::Gone) {
            let number = statuses.iter().filter(|it| **it == status).count();
            let name = metrics.nodes.get(&node.netns).cloned();
            let node = ("node", name.unwrap_or_default());
            samples.push((vec![node, ("state", status.word().into())], number as f64));
        }
    }
    samples
}

fn sources(metrics: &Metrics) -> Vec<(Labels, f64)> {
    let mut up = BTreeMap::new();
    for status in &metrics.snapshot.sources {
        let value = match status.status {
            Answer::Ok { .. } => 1.0,
            Answer::Failed { .. } => 0.0,
            Answer::Absent => continue,
        };
        let node = status.node.as_ref();
        let node = node.map_or_else(String::new, ToString::to_string);
        // Nodes with one name have one series, the worst.
        let worst = up.entry((status.source, node)).or_insert(value);
        *worst = f64::min(*worst, value);
    }
    let samples = up.into_iter().map(|((source, node), value)| {
        let source = ("source", source.to_string());
        (vec![source, ("node", node)], value)
    });
    samples.collect()
}

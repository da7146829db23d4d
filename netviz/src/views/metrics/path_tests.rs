//! Metrics of path tests that run again and again.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
};
use serde::Deserialize;

use crate::{model::safe, verify::Kind};

/// Round trips of the same node take tens of microseconds, across continents 0.2 s.
const BUCKETS: [f64; 13] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
];

/// All verdicts.
const KINDS: [Kind; 4] = [Kind::Verified, Kind::Detour, Kind::Lost, Kind::Unclear];

/// The results of path tests, by name.
#[derive(Clone, Debug, Default)]
pub struct PathTests {
    tests: BTreeMap<String, PathTest>,
    /// Runs that ended with verdicts, and those that did not.
    runs: [u64; 2],
    /// Seconds since 1970 at the end of the last run with verdicts.
    last_run: Option<f64>,
}

/// One test, which may have several pairs.
#[derive(Clone, Debug, Default)]
struct PathTest {
    /// Whether all pairs passed in the last run.
    passed: bool,
    /// Pairs by verdict in the last run.
    pairs: BTreeMap<&'static str, u64>,
    sent: u64,
    lost: u64,
    round_trips: RoundTrips,
}

/// A histogram of round trips in seconds.
#[derive(Clone, Debug)]
struct RoundTrips(Histogram);

impl Default for RoundTrips {
    fn default() -> Self {
        Self(Histogram::new(BUCKETS))
    }
}

/// The result of one pair: what has metrics of a verdict in JSON.
#[derive(Clone, Debug, Deserialize)]
pub struct PairResult {
    test: TestResult,
    verdict: Kind,
    sent: u64,
    delivered: u64,
    round_trip_microseconds: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct TestResult {
    name: String,
    passed: bool,
}

impl PathTests {
    /// Adds a run that ended at `at`, in seconds since 1970.
    pub fn add(&mut self, pairs: &[PairResult], at: f64) {
        for test in self.tests.values_mut() {
            (test.passed, test.pairs) = (true, BTreeMap::new());
        }
        for pair in pairs {
            let test = self
                .tests
                .entry(safe(&pair.test.name))
                .or_insert_with(|| PathTest {
                    passed: true,
                    ..PathTest::default()
                });
            test.passed &= pair.test.passed;
            *test.pairs.entry(pair.verdict.word()).or_insert(0) += 1;
            test.sent += pair.sent;
            test.lost += pair.sent.saturating_sub(pair.delivered);
            if let Some(microseconds) = pair.round_trip_microseconds {
                test.round_trips.0.observe(microseconds / 1e6);
            }
        }
        // A test without pairs has no result: its pods are gone.
        self.tests.retain(|_, test| !test.pairs.is_empty());
        self.runs[0] += 1;
        self.last_run = Some(at);
    }

    /// Adds a run without verdicts: nothing is known any more.
    pub fn fail(&mut self) {
        self.tests.clear();
        self.runs[1] += 1;
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        let help = "Whether all pairs of a path test passed in the last run.";
        let passed = self.samples(|test| test.passed.into());
        family(encoder, ("path_verified", help, gauge), passed)?;
        let help = "Pairs of a path test by verdict, in the last run.";
        let pairs = self.tests.iter().flat_map(|(name, test)| {
            KINDS.map(|kind| {
                let labels = vec![("test", name.as_str()), ("verdict", kind.word())];
                (labels, test.pairs.get(kind.word()).copied().unwrap_or(0))
            })
        });
        family(encoder, ("path_pairs", help, gauge), pairs)?;
        let help = "Probes of a path test.";
        let sent = self.samples(|test| test.sent);
        family(encoder, ("path_probes", help, counter), sent)?;
        let help = "Probes of a path test that were not delivered.";
        let lost = self.samples(|test| test.lost);
        family(encoder, ("path_lost_probes", help, counter), lost)?;
        let help = "Runs of all path tests: with verdicts, or failed.";
        let runs = ["ok", "failed"].into_iter().zip(self.runs);
        let runs = runs.map(|(result, number)| (vec![("result", result)], number));
        family(encoder, ("path_runs", help, counter), runs)?;
        if let Some(at) = self.last_run {
            let name = "path_last_run_timestamp_seconds";
            let help = "When the path tests last ended with verdicts.";
            let family = encoder.encode_descriptor(name, help, None, gauge)?;
            ConstGauge::new(at).encode(family)?;
        }
        self.encode_round_trips(encoder)
    }

    fn encode_round_trips(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Median round trip of each pair and run.";
        let kind = MetricType::Histogram;
        let mut family = encoder.encode_descriptor("path_round_trip_seconds", help, None, kind)?;
        for (name, test) in &self.tests {
            let labels = [("test", name.as_str())];
            test.round_trips.0.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A figure of each test.
    fn samples(&self, figure: fn(&PathTest) -> u64) -> impl Iterator<Item = Sample<'_>> {
        let tests = self.tests.iter();
        tests.map(move |(name, test)| (vec![("test", name.as_str())], figure(test)))
    }
}

/// Labels and value.
type Sample<'a> = (Vec<(&'static str, &'a str)>, u64);

/// Writes the samples of a counter or gauge.
fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    samples: impl Iterator<Item = Sample<'a>>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        let series = family.encode_family(&labels)?;
        match kind {
            MetricType::Counter => ConstCounter::new(value).encode(series)?,
            _ => ConstGauge::new(value).encode(series)?,
        }
    }
    Ok(())
}

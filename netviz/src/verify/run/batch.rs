//! Runs all pairs of a plan: those with equal probes at the same time.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    probes::{ProbePair, Prober, Stage},
    session::Options,
};
use crate::{
    sys::signals::Signals,
    verify::{
        Protocol, Verdict,
        collect::probe::{MOST_SYNS, ProbeOptions},
        context::View,
        plan::PlannedPair,
    },
};

/// The most pairs of one run: each has a socket.
const AT_ONCE: usize = 2_000;

/// The probes that pairs of one run have in common: protocol, count and size.
pub(crate) type Probes = (Protocol, u32, Option<u16>);

/// Runs all pairs, and returns the verdicts by their places in the plan; a signal leaves out the rest.
/// `probe_options` returns how to send, `progress` is called with the number of pairs done, and
/// with the stage of the others.
pub(crate) async fn run(
    view: &View,
    plan: &[PlannedPair],
    options: Options,
    probe_options: impl Fn(Probes, &[ProbePair]) -> Result<ProbeOptions>,
    progress: impl Fn(usize, Stage),
    signals: &mut Signals,
) -> Result<BTreeMap<usize, Verdict>> {
    let mut equal: BTreeMap<Probes, Vec<usize>> = BTreeMap::new();
    for (place, pair) in plan.iter().enumerate() {
        let test = &pair.test;
        let probes = (pair.protocol, test.count, test.size);
        equal.entry(probes).or_default().push(place);
    }
    let mut tested = BTreeMap::new();
    'all: for (probes, places) in equal {
        for places in places.chunks(at_once(probes)) {
            let pairs = places.iter().map(|place| probe_pair(&plan[*place]));
            let pairs: Vec<_> = pairs.collect();
            let probe_options = probe_options(probes, &pairs)?;
            let done = tested.len();
            let stage = |stage| progress(done, stage);
            let mut prober = Prober::start(view, probe_options, pairs.len(), options)?;
            let run = prober.round(view, &pairs, &stage, signals).await?;
            drop(prober);
            tested.extend(places.iter().copied().zip(run.verdicts));
            if run.interrupted {
                break 'all;
            }
        }
    }
    Ok(tested)
}

fn at_once((protocol, count, _): Probes) -> usize {
    match protocol {
        Protocol::Tcp => AT_ONCE.min((MOST_SYNS / count.max(1)) as usize).max(1),
        Protocol::Icmp | Protocol::Udp => AT_ONCE,
    }
}

fn probe_pair(pair: &PlannedPair) -> ProbePair {
    ProbePair {
        route: pair.route.clone(),
        port: pair.port,
        protocol: pair.protocol,
        notes: pair.notes.clone(),
    }
}

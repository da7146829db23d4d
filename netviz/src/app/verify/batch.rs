//! Many pairs: every pod to every other one, or those of a file.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::{Context as _, Result};

use super::options;
use crate::{
    cli::VerifyArgs,
    sys::signals::Signals,
    verify::{
        Route, Verdict,
        collect::{
            probe::{MOST_SYNS, Protocol},
            round::{self, ProbePair},
        },
        context::View,
        plan::{self, Outcome, Plan, Test},
        target::{self, Family},
    },
};

/// Pairs of one round, in which all are sent to at the same time: bounded, for each is a socket.
const AT_ONCE: usize = 2_000;

/// A pair of a plan, and what came of it.
pub(super) struct Tried {
    pub(super) verdict: Verdict,
    pub(super) outcome: Outcome,
}

/// Which pairs the command line asks for, or the file that it names.
pub(super) fn plan(
    args: &VerifyArgs,
    file: Option<&Plan>,
    look: &View,
) -> Result<Vec<plan::PlannedPair>> {
    let pods = &look.cluster.pods;
    if let Some(plan) = file {
        return Ok(plan::expand(plan, pods)?);
    }
    let size = u16::try_from(args.size).ok();
    let pairs = plan::all(
        pods,
        &Test::usual(args.protocol(), args.port, args.count, size),
    )?;
    anyhow::ensure!(
        !pairs.is_empty(),
        "no two pods with names and addresses were found: no pair to try; see `netviz doors`"
    );
    Ok(pairs)
}

/// What is sent alike can be sent in one round.
type Kind = (Protocol, u32, Option<u16>);

/// Tries all of them, those that are alike side by side. In the order of the plan; what a signal
/// kept from being tried is not among them.
pub(super) async fn run(
    args: &VerifyArgs,
    look: &View,
    plan: &[plan::PlannedPair],
    signals: &mut Signals,
) -> Result<Vec<Tried>> {
    let mut alike: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
    for (place, pair) in plan.iter().enumerate() {
        let kind = (pair.protocol, pair.count, pair.size);
        alike.entry(kind).or_default().push(place);
    }
    let mut tried: BTreeMap<usize, Tried> = BTreeMap::new();
    'all: for ((protocol, count, size), places) in alike {
        let most = match protocol {
            Protocol::Tcp => AT_ONCE.min((MOST_SYNS / count.max(1)) as usize),
            _ => AT_ONCE,
        };
        for places in places.chunks(most.max(1)) {
            say_progress(tried.len(), plan.len());
            let mut args = args.clone();
            args.proto = Some(protocol);
            args.count = count;
            args.size = size.map_or(args.size, u32::from);
            let pairs = places.iter().map(|place| resolve(look, &plan[*place]));
            let pairs = pairs.collect::<Result<Vec<_>>>()?;
            let outcome = round::run(look, &pairs, options(&args, &pairs)?, signals).await?;
            for (place, verdict) in places.iter().zip(outcome.verdicts) {
                let outcome = plan::check(&plan[*place], &verdict);
                tried.insert(*place, Tried { verdict, outcome });
            }
            if outcome.interrupted {
                break 'all;
            }
        }
    }
    say_progress(tried.len(), plan.len());
    Ok(tried.into_values().collect())
}

/// In one line at a terminal, over the one before.
fn say_progress(done: usize, all: usize) {
    let mut out = io::stderr().lock();
    if all > 1 && out.is_terminal() {
        let end = if done == all { "\n" } else { "" };
        let _ = write!(out, "\rnetviz: {done} of {all} pairs tried{end}");
    }
}

fn resolve(look: &View, pair: &plan::PlannedPair) -> Result<ProbePair> {
    let of = |name: &str, address: Option<std::net::IpAddr>, family, port| match address {
        Some(address) => anyhow::Ok((target::by_address(&look.cluster, address), port)),
        None => {
            let target = target::find(&look.cluster, name, family, port)?;
            Ok((target.party, target.port))
        }
    };
    let wrong = || format!("{} to {}", pair.from, pair.to);
    let (to, port) = of(&pair.to, pair.to_address, None, pair.port).with_context(wrong)?;
    let family = to.address.map(Family::of);
    let (from, _) = of(&pair.from, pair.from_address, family, None).with_context(wrong)?;
    Ok(ProbePair {
        protocol: pair.protocol,
        note: None,
        route: Route { from, to },
        port: port.filter(|_| pair.protocol != Protocol::Icmp),
    })
}

//! The options of `netviz verify` as the library takes them.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{
    attach::AttachOptions,
    cli::VerifyArgs,
    lab,
    verify::{
        Mode, Protocol, Route,
        collect::probe::{MOST_SYNS, ProbeOptions},
        context::View,
        run::{Options, probes::ProbePair},
        target::{self, Family, Reading, Target, pods::Pods},
    },
};

/// The most packets per second of all senders together.
const MOST_A_SECOND: f64 = 2_000.0;

/// Resolves A and B.
pub(super) fn ends(args: &VerifyArgs, view: &View) -> Result<(Target, Target)> {
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        anyhow::bail!("missing A and B: netviz verify A B");
    };
    let pods = Pods::new(&view.cluster);
    let asked = Reading {
        namespace: args.namespace.as_deref(),
        family: args.ipv6.then_some(Family::V6),
        complete: view.complete,
        ..Reading::default()
    };
    let sender = target::find(&pods, from, asked)?;
    let port = args.port;
    let avoid = Some(sender.party.place);
    let to = target::find(
        &pods,
        to,
        Reading {
            port,
            avoid,
            ..asked
        },
    )?;
    // Both ends need addresses of one family: that of B decides.
    let family = to.party.address.map(Family::of).or(asked.family);
    let from = target::find(&pods, from, Reading { family, ..asked })?;
    Ok((from, to))
}

/// The pair to send probes between.
pub(super) fn pair(args: &VerifyArgs, view: &View) -> Result<ProbePair> {
    let (from, to) = ends(args, view)?;
    let (protocol, port, served) = to.probe(args.proto)?;
    to.party.needed_address()?;
    view.namespace(&from.party)?;
    let notes = [from.note, to.note, served].into_iter().flatten();
    Ok(ProbePair {
        notes: notes.collect(),
        route: Route::new(from.party, to.party),
        port,
        protocol,
    })
}

/// How to send to these pairs.
pub(super) fn probe_options(args: &VerifyArgs, pairs: &[ProbePair]) -> Result<ProbeOptions> {
    let mut cookie = [0; 16];
    let mut prefix = [0; 2];
    for random in [&mut cookie[..], &mut prefix[..]] {
        getrandom::fill(random).context("cannot get random numbers from the kernel")?;
    }
    let protocol = pairs.first().map_or(args.protocol(), |pair| pair.protocol);
    let packets = args.count as usize * pairs.len();
    anyhow::ensure!(
        protocol != Protocol::Tcp || packets <= MOST_SYNS as usize,
        "{packets} SYNs are more than one run can distinguish ({MOST_SYNS}): use a smaller --count"
    );
    let to = pairs.iter().find_map(|pair| pair.route.to.address);
    let slowest = Duration::from_secs_f64(pairs.len() as f64 / MOST_A_SECOND);
    Ok(ProbeOptions {
        protocol,
        count: args.count,
        interval: args.interval.max(slowest),
        size: to.map_or(args.size, |to| protocol.size(to, args.size)),
        whole: !args.fragment,
        patience: args.timeout,
        cookie,
        prefix: u16::from_ne_bytes(prefix),
    })
}

pub(super) fn options(args: &VerifyArgs) -> Options {
    Options {
        mode: args.mode.map(mode),
        one_way: args.one_way,
        every_door: args.every_door,
        attach: AttachOptions::of_command(args.fast_attach),
    }
}

fn mode(mode: lab::Mode) -> Mode {
    Mode {
        tunnel: mode.tunnels(),
        host_routing: mode.bypasses_stack(),
        endpoint_routes: mode.routes_each_endpoint(),
    }
}

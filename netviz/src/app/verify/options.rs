//! The options of `netviz verify` as the library takes them.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{
    attach::AttachOptions,
    cli::VerifyArgs,
    lab,
    verify::{
        Mode, Note, Party, Protocol, Route,
        collect::probe::{MOST_SYNS, ProbeOptions},
        context::View,
        run::{Options, probes::ProbePair},
        target::{self, Family, Target},
    },
};

/// The most packets per second of all senders together.
const MOST_A_SECOND: f64 = 2_000.0;

/// Resolves A and B.
pub(super) fn ends(args: &VerifyArgs, view: &View) -> Result<(Party, Target)> {
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        anyhow::bail!("missing A and B: netviz verify A B");
    };
    let asked = args.ipv6.then_some(Family::V6);
    let to = target::find(&view.cluster, to, asked, args.port)?;
    // Both ends need addresses of one family: that of B decides.
    let family = to.party.address.map(Family::of).or(asked);
    let from = target::find(&view.cluster, from, family, None)?;
    Ok((from.party, to))
}

/// The pair to send probes between.
pub(super) fn pair(args: &VerifyArgs, view: &View) -> Result<ProbePair> {
    let (from, to) = ends(args, view)?;
    let port = to.port;
    // Only TCP and UDP have ports, and no service answers an echo request.
    let default = port.map_or(Protocol::Icmp, |_| Protocol::Tcp);
    let served = to.protocol.filter(|_| args.protocol() == Protocol::Icmp);
    let protocol = served.or(args.proto).unwrap_or(default);
    anyhow::ensure!(
        port.is_none() || protocol != Protocol::Icmp,
        "icmp has no ports: drop the port, or use --proto tcp or udp"
    );
    let note = served.zip(port);
    let note = note.map(|(protocol, port)| Note::ServicePort { protocol, port });
    anyhow::ensure!(
        port.is_some() || protocol == Protocol::Icmp,
        "{protocol} probes need a port: use B:PORT or --port"
    );
    Ok(ProbePair {
        route: Route::new(from, to.party),
        port: port.filter(|_| protocol != Protocol::Icmp),
        protocol,
        note,
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

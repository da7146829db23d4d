//! `netviz verify`: what is expected, what was observed, and what follows.

mod batch;
mod output;
mod watch_mode;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use caps::Capability;

use super::{output::print, preflight};
use crate::{
    attach::AttachOptions,
    cli::VerifyArgs,
    discover::Selection,
    lab,
    names::SourceOptions,
    sys::{privileges, signals::Signals, symbols::Symbols},
    verify::{
        Kind, Mode, Party, Route,
        collect::{
            passive,
            probe::{MOST_SYNS, Manner, Protocol},
            round,
            round::{Options, ProbePair},
        },
        context::{Context, View},
        plan::{self, Plan},
        target::{self, Family, Target},
    },
};

/// At the most so many packets a second leave all senders together.
const MOST_A_SECOND: f64 = 2_000.0;

/// Runs `netviz verify`; the exit code is 0 for verified, 1 for detour or lost, 2 for unclear.
///
/// # Errors
/// When it could not do its work: one line that names the operation, the object and the remedy.
pub async fn run(args: &VerifyArgs) -> Result<ExitCode> {
    preflight::check()?;
    let mut signals = Signals::new()?;
    // What the kernel's functions are called is shown to who opens them with all privileges.
    let symbols = Arc::new(Symbols::open());
    let needed = privileges::REQUIRED.map(|(capability, _)| capability);
    privileges::keep_only(&[&needed[..], &[Capability::CAP_NET_RAW]].concat());
    let file = args.file.as_deref().map(plan::read).transpose()?;
    let selection = Selection::new(args.netns.clone(), false, &[], &[])?;
    let sources = SourceOptions {
        kubeconfig: args.kubeconfig.clone(),
        services: true,
    };
    let mut context = Context::start(selection, &sources, symbols)?;
    let many = args.all || file.is_some();
    context.named(many).await;
    if let Some(pause) = args.watch {
        return Ok(code(
            &watch_mode::run(args, &mut context, pause, &mut signals).await?,
        ));
    }
    if many {
        return all(args, file.as_ref(), &mut context, &mut signals).await;
    }
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        anyhow::bail!("who sends and who receives is not said: netviz verify A B");
    };
    if args.passive {
        let (look, (from, to)) = context.find(|look| ends(args, look, from, to)).await?;
        let port = to.port;
        let route = Route { from, to: to.party };
        let verdict = passive::run(args, &look, route, port, &mut signals).await?;
        print(output::one(args, &verdict)?, &mut signals).await?;
        return Ok(code(&[verdict.verdict]));
    }
    let (look, pair) = context.find(|look| pair(args, look, from, to)).await?;
    let pairs = [pair];
    let outcome = round::run(&look, &pairs, options(args, &pairs)?, &mut signals).await?;
    anyhow::ensure!(!outcome.interrupted, "ended by a signal before its time");
    let kinds: Vec<_> = outcome.verdicts.iter().map(|one| one.verdict).collect();
    for verdict in &outcome.verdicts {
        print(output::one(args, verdict)?, &mut signals).await?;
    }
    Ok(code(&kinds))
}

async fn all(
    args: &VerifyArgs,
    file: Option<&Plan>,
    context: &mut Context,
    signals: &mut Signals,
) -> Result<ExitCode> {
    let (look, plan) = context.find(|look| batch::plan(args, file, look)).await?;
    let tried = batch::run(args, &look, &plan, signals).await?;
    print(output::many(args, &tried)?, signals).await?;
    anyhow::ensure!(
        tried.len() == plan.len(),
        "ended by a signal: {} of {} pairs were not tried",
        plan.len() - tried.len(),
        plan.len()
    );
    // What was wanted decides, not the verdict: a policy's test wants its packets lost.
    let failed = tried.iter().filter(|tried| !tried.outcome.passed);
    let kinds: Vec<_> = failed.map(|tried| tried.verdict.verdict).collect();
    Ok(match kinds.as_slice() {
        [] => ExitCode::SUCCESS,
        kinds if kinds.iter().all(|kind| *kind == Kind::Unclear) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

/// The worst verdict decides.
fn code(verdicts: &[Kind]) -> ExitCode {
    let any = |kinds: &[Kind]| verdicts.iter().any(|verdict| kinds.contains(verdict));
    if any(&[Kind::Detour, Kind::Lost]) {
        ExitCode::FAILURE
    } else if any(&[Kind::Unclear]) || verdicts.is_empty() {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}

fn pair(args: &VerifyArgs, look: &View, from: &str, to: &str) -> Result<ProbePair> {
    let (from, to) = ends(args, look, from, to)?;
    let port = to.port;
    // An echo request is what is sent where nothing else is asked for, and no service answers it.
    let served = to.protocol.filter(|_| args.protocol() == Protocol::Icmp);
    let protocol = served.unwrap_or(args.protocol());
    let note = served.zip(port).map(|(protocol, port)| {
        let name = &to.party.name;
        format!("{name} is a service, which answers at its ports alone: {protocol} to {port}")
    });
    anyhow::ensure!(
        port.is_some() || protocol == Protocol::Icmp,
        "{protocol} probes need a port: say B:PORT or --port"
    );
    Ok(ProbePair {
        route: Route { from, to: to.party },
        port: port.filter(|_| protocol != Protocol::Icmp),
        protocol,
        note,
    })
}

/// Who is meant.
fn ends(args: &VerifyArgs, look: &View, from: &str, to: &str) -> Result<(Party, Target)> {
    let asked = args.ipv6.then_some(Family::V6);
    let to = target::find(&look.cluster, to, asked, args.port)?;
    // An address decides; otherwise both have to be of one family.
    let family = to.party.address.map(Family::of).or(asked);
    let from = target::find(&look.cluster, from, family, None)?;
    Ok((from.party, to))
}

fn options(args: &VerifyArgs, pairs: &[ProbePair]) -> Result<Options> {
    let mut cookie = [0; 16];
    let mut prefix = [0; 2];
    for chance in [&mut cookie[..], &mut prefix[..]] {
        getrandom::fill(chance).context("the kernel gives no random numbers")?;
    }
    let protocol = pairs.first().map_or(args.protocol(), |pair| pair.protocol);
    let packets = args.count as usize * pairs.len();
    anyhow::ensure!(
        protocol != Protocol::Tcp || packets <= MOST_SYNS as usize,
        "{packets} SYNs are more than can be told apart in one run ({MOST_SYNS}): ask for fewer with --count"
    );
    let to = pairs.iter().find_map(|pair| pair.route.to.address);
    let size = to.map_or(args.size, |to| protocol.size(to, args.size));
    let slowest = Duration::from_secs_f64(pairs.len() as f64 / MOST_A_SECOND);
    Ok(Options {
        manner: Manner {
            protocol,
            count: args.count,
            interval: args.interval.max(slowest),
            size,
            whole: !args.fragment,
            patience: args.timeout,
            cookie,
            prefix: u16::from_ne_bytes(prefix),
        },
        mode: args.mode.map(mode),
        last: args.watch.is_none() && !args.all && args.file.is_none(),
        one_way: args.one_way,
        every_door: args.every_door,
        attach: AttachOptions::of_command(args.fast_attach),
    })
}

pub(crate) fn mode(mode: lab::Mode) -> Mode {
    Mode {
        tunnel: mode.tunnels(),
        host_routing: mode.bypasses_stack(),
        endpoint_routes: mode.routes_each_endpoint(),
    }
}

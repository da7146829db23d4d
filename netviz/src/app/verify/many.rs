//! `--all-pairs` and `--file`: many pairs.

use anyhow::Result;

use super::{options, output, progress};
use crate::{
    app::output::print,
    cli::{Exit, VerifyArgs},
    sys::signals::Signals,
    verify::{
        Kind, Protocol, Verdict,
        context::{Context, View},
        plan::{self, Plan, PlannedPair, Test},
        run::batch,
    },
};

pub(super) async fn run(
    args: &VerifyArgs,
    file: Option<&Plan>,
    context: &mut Context,
    signals: &mut Signals,
) -> Result<Exit> {
    let (view, plan) = context.find(|view| pairs(args, file, view)).await?;
    let probe_options = |(protocol, count, size): batch::Probes, pairs: &[_]| {
        let mut args = args.clone();
        args.proto = Some(protocol);
        args.count = count;
        args.size = size.map_or(args.size, u32::from);
        options::probe_options(&args, pairs)
    };
    let tested = {
        let progress = progress::pairs(plan.len());
        let options = options::options(args);
        batch::run(&view, &plan, options, probe_options, progress, signals).await?
    };
    let result = |(place, verdict): (usize, Verdict)| Verdict {
        test: file.map(|_| plan::check(&plan[place], &verdict)),
        ..verdict
    };
    let tested: Vec<_> = tested.into_iter().map(result).collect();
    print(output::many(args, &tested)?, signals).await?;
    anyhow::ensure!(
        tested.len() == plan.len(),
        "interrupted by a signal: {} of {} pairs were not tested",
        plan.len() - tested.len(),
        plan.len()
    );
    // The test decides, not the verdict: a policy's test expects its packets to be lost.
    let failed = tested.iter().filter(|verdict| !verdict.passed());
    let exits = failed.map(|verdict| match verdict.verdict {
        Kind::Unclear => Exit::Unclear,
        _ => Exit::Finding,
    });
    Ok(exits.max().unwrap_or(Exit::Success))
}

/// The pairs of the file, or all pairs of pods.
fn pairs(args: &VerifyArgs, file: Option<&Plan>, view: &View) -> Result<Vec<PlannedPair>> {
    let cluster = &view.cluster;
    if let Some(plan) = file {
        let pairs = plan::expand(plan, cluster)?;
        pairs
            .iter()
            .try_for_each(|pair| view.namespace(&pair.route.from).map(drop))?;
        return Ok(pairs);
    }
    let size = u16::try_from(args.size).ok();
    let default = args.port.map_or(Protocol::Icmp, |_| Protocol::Tcp);
    let protocol = args.proto.unwrap_or(default);
    let namespace = args.namespace.clone();
    let test = Test::usual(namespace, protocol, args.port, args.count, size);
    let pairs = plan::all(cluster, &test)?;
    anyhow::ensure!(
        !pairs.is_empty(),
        "fewer than two pods with a name and an address were found; see `netviz doors`"
    );
    Ok(pairs)
}

//! `netviz verify`.

mod many;
mod options;
mod output;
mod passive;
mod progress;
mod watch_mode;
mod watch_report;

use std::sync::Arc;

use anyhow::Result;
use caps::Capability;

use super::{
    output::print,
    preflight,
    start::{selection, sources},
};
use crate::{
    cli::{Exit, VerifyArgs},
    sys::{privileges, signals::Signals, symbols::Symbols},
    verify::{context::Context, plan, run::probes},
};

/// Runs `netviz verify`.
///
/// # Errors
/// When it cannot do its work: one line with the operation, the object and the remedy.
pub async fn run(args: &VerifyArgs) -> Result<Exit> {
    output::check(args)?;
    preflight::check()?;
    let mut signals = Signals::new()?;
    // Opened with all privileges: the kernel shows its symbols only then.
    let symbols = Arc::new(Symbols::open());
    let needed = privileges::REQUIRED.map(|(capability, _)| capability);
    privileges::keep_only(&[&needed[..], &[Capability::CAP_NET_RAW]].concat());
    let file = args.file.as_deref().map(plan::read).transpose()?;
    let selection = selection(&args.selection)?;
    let sources = sources(&args.selection, true);
    let mut context = Context::start(selection, &sources, symbols)?;
    let many = args.all_pairs || file.is_some();
    context.named(many).await;
    let signals = &mut signals;
    if let Some(every) = args.watch {
        watch_mode::run(args, &mut context, every, signals).await
    } else if many {
        many::run(args, file.as_ref(), &mut context, signals).await
    } else if args.passive {
        passive::run(args, &mut context, signals).await
    } else {
        one(args, &mut context, signals).await
    }
}

async fn one(args: &VerifyArgs, context: &mut Context, signals: &mut Signals) -> Result<Exit> {
    let (view, pair) = context.find(|view| options::pair(args, view)).await?;
    let pairs = [pair];
    let probe_options = options::probe_options(args, &pairs)?;
    let options = options::options(args);
    let outcome = {
        let progress = progress::probes(true);
        probes::run(&view, &pairs, probe_options, options, &progress, signals).await?
    };
    anyhow::ensure!(!outcome.interrupted, "interrupted by a signal");
    for verdict in &outcome.verdicts {
        print(output::single(args, verdict, &view.cluster)?, signals).await?;
    }
    let kinds = outcome.verdicts.iter().map(|verdict| verdict.verdict);
    Ok(output::worst(kinds))
}

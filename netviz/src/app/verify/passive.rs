//! `--passive`: follows existing traffic.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::Result;

use super::{options, output, progress};
use crate::{
    app::{output::print, progress::Progress},
    cli::{Exit, VerifyArgs},
    sys::signals::Signals,
    verify::{
        Route,
        context::Context,
        run::passive::{self, Filter},
    },
};

/// How long to follow traffic by default.
const WINDOW: Duration = Duration::from_secs(10);

pub(super) async fn run(
    args: &VerifyArgs,
    context: &mut Context,
    signals: &mut Signals,
) -> Result<Exit> {
    let (view, (from, to)) = context.find(|view| options::ends(args, view)).await?;
    let ends = [from.party.address, to.party.address];
    let window = args.window.unwrap_or(WINDOW);
    let filter = Filter {
        protocol: args.proto,
        port: to.port,
        window,
        notes: [from.note, to.note].into_iter().flatten().collect(),
        route: Route::new(from.party, to.party),
    };
    let progress = Progress::new();
    let attaching = |interfaces| progress.show(&progress::attaching(interfaces));
    let started = || {
        progress.clear();
        log::info!("attached at every door; following from now on");
        if let ([Some(from), Some(to)], true) = (ends, io::stderr().is_terminal()) {
            let seconds = window.as_secs();
            eprintln!(
                "netviz: following packets between {from} and {to} for {seconds} s; Ctrl-C ends it sooner"
            );
        }
    };
    let options = options::options(args);
    let verdict = passive::run(&view, filter, options, attaching, started, signals).await?;
    print(output::single(args, &verdict, &view.cluster)?, signals).await?;
    Ok(output::exit(verdict.verdict))
}

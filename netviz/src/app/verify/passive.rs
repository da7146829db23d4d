//! `--passive`: follows existing traffic.

use std::io::{self, IsTerminal as _};

use anyhow::Result;

use super::{options, output};
use crate::{
    app::output::print,
    cli::{Exit, VerifyArgs},
    sys::signals::Signals,
    verify::{
        Route,
        context::Context,
        run::passive::{self, Filter},
    },
};

pub(super) async fn run(
    args: &VerifyArgs,
    context: &mut Context,
    signals: &mut Signals,
) -> Result<Exit> {
    let (view, (from, to)) = context.find(|view| options::ends(args, view)).await?;
    let ends = [from.party.address, to.party.address];
    let filter = Filter {
        protocol: args.proto,
        port: to.port,
        window: args.window,
        notes: [from.note, to.note].into_iter().flatten().collect(),
        route: Route::new(from.party, to.party),
    };
    let started = || {
        log::info!("attached at every door; following from now on");
        if let ([Some(from), Some(to)], true) = (ends, io::stderr().is_terminal()) {
            let seconds = args.window.as_secs();
            eprintln!(
                "netviz: following packets between {from} and {to} for {seconds} s; Ctrl-C ends it sooner"
            );
        }
    };
    let options = options::options(args);
    let verdict = passive::run(&view, filter, options, started, signals).await?;
    print(output::single(args, &verdict, &view.cluster)?, signals).await?;
    Ok(output::exit(verdict.verdict))
}

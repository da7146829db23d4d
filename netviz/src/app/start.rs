//! Starts the live feed that a command's arguments ask for.

use std::io::{self, Write as _};

use anyhow::{Result, bail};

use super::{preflight, progress::Progress, sink::attaching};
use crate::{
    attach::AttachOptions,
    cli::{DoorsArgs, SelectionArgs},
    count::FlowOptions,
    discover::Selection,
    feed::{FeedOptions, Live, Pace},
    names::SourceOptions,
    sys::signals::Signals,
    views::{filter::Filter, flows::interfaces},
};

/// Starts a live feed, and checks that every name in the arguments exists. `None` when a signal
/// comes first.
///
/// # Errors
/// When there is nothing to observe, or this process may not observe it; the message names the
/// operation, the object and the remedy.
pub(super) async fn start(
    args: &DoorsArgs,
    pace: Pace,
    flows: Option<FlowOptions>,
    stop: &mut Signals,
) -> Result<Option<(Live, Filter)>> {
    let filter = Filter::new(&args.filter.node, &args.filter.pod, &args.filter.device)?;
    let window = args.period.filter(|_| pace == Pace::Once);
    let mut feed = open(args, pace, flows)?;
    if feed.cluster().doors.is_empty() {
        bail!(nothing_found(&args.selection));
    }
    tokio::select! {
        prepared = prepare(&mut feed, &filter, pace, flows.is_some()) => prepared?,
        () = stop.any() => return Ok(None),
    }
    if let Some(window) = window {
        let doors = feed.progress().settled;
        // For scripts that start the traffic: everything from here on is counted at every door.
        let _ = writeln!(
            io::stderr(),
            "netviz: counting at {doors} doors for {window:?}"
        );
    }
    Ok(Some((feed, filter)))
}

/// Starts a live feed, also where there is nothing to observe yet.
///
/// # Errors
/// When this process may not observe anything.
pub(super) fn open(args: &DoorsArgs, pace: Pace, flows: Option<FlowOptions>) -> Result<Live> {
    preflight::check_for_counters()?;
    let window = args.period.filter(|_| pace == Pace::Once);
    Live::start(FeedOptions {
        selection: selection(&args.selection)?,
        sources: sources(&args.selection, flows.is_some()),
        flows: flows.unwrap_or_default(),
        attach: AttachOptions::of_command(args.fast_attach),
        interval: window.unwrap_or(args.watch),
        period: args.period,
        pace,
    })
}

async fn prepare(feed: &mut Live, filter: &Filter, pace: Pace, flows: bool) -> Result<()> {
    if pace == Pace::Once {
        attached(feed).await?;
    }
    if !filter.is_empty() || flows {
        feed.settled().await;
        filter.check(&feed.snapshot())?;
    }
    if flows {
        let doors = interfaces(&feed.snapshot(), filter);
        feed.count_flows(doors)?;
        if pace == Pace::Once {
            attached(feed).await?;
        }
    }
    Ok(())
}

/// Waits until every interface is attached, with a word of it at a terminal.
async fn attached(feed: &mut Live) -> Result<()> {
    let progress = Progress::new();
    feed.attached(|now| {
        if let Some(text) = attaching(now) {
            progress.show(&text);
        }
    })
    .await?;
    Ok(())
}

/// What to discover.
pub(super) fn selection(args: &SelectionArgs) -> Result<Selection> {
    let (netns, all) = (args.netns.clone(), args.all);
    Ok(Selection::new(netns, all, &args.include, &args.exclude)?)
}

/// Where to read names.
pub(super) fn sources(args: &SelectionArgs, services: bool) -> SourceOptions {
    SourceOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        services,
    }
}

/// Why no interface was found, and the remedy.
pub(super) fn nothing_found(selection: &SelectionArgs) -> String {
    let excluded = match selection.exclude.is_empty() {
        true => "",
        false => " that --exclude leaves",
    };
    if selection.netns.is_empty() {
        format!(
            "there is no Cilium device and no veth pair{excluded} in this network namespace, nor another one that holds cilium_host; run netviz on the node or on its host, or name a namespace with --netns; without a cluster: netviz demo"
        )
    } else {
        format!(
            "there is no Cilium device and no veth pair{excluded} in the network namespace {}; name that of a node with --netns, or see every interface with --all",
            selection.netns.join(", ")
        )
    }
}

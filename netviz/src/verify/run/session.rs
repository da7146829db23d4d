//! What every measurement has in common: attach, receive until it ends, detach, judge.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::watch_set;
use crate::{
    attach::AttachOptions,
    model::{Chain, Direction, DoorId},
    sys::signals::Signals,
    verify::{
        collect::{
            cilium_drops::{self, CiliumDropping},
            crossings::{self, Collector, Crossings, News, Ready, Sighting, Summary},
        },
        context::View,
        expect::{candidates, expectations},
        facts::Note,
        judge::judge,
        observation::{CiliumDrops, Hidden, Hooks, Observation},
        route::{Expectation, Mode, Route},
        verdict::{Probes, Verdict},
    },
};

/// Which hooks to watch, and how to judge what they see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The mode from the command line.
    pub(crate) mode: Option<Mode>,
    /// Judge the request only.
    pub(crate) one_way: bool,
    /// Watch the doors of all other pods, too.
    pub(crate) every_door: bool,
    pub(crate) attach: AttachOptions,
}

/// Programs are attached, and report packets.
pub(super) struct Session<T: Collector> {
    crossings: Crossings<T>,
    news: mpsc::UnboundedReceiver<News<T::Record>>,
    cilium: Option<CiliumDropping>,
    pub(super) ready: Ready,
    /// How many doors were left out.
    unwatched: usize,
}

impl<T: Collector> Session<T> {
    /// Attaches to the doors of `routes`; `None` if a signal came first.
    pub(super) async fn start<'a>(
        view: &View,
        routes: impl Iterator<Item = &'a Route> + Clone,
        collector: T,
        options: Options,
        signals: &mut Signals,
    ) -> Result<Option<Self>> {
        let chosen = watch_set::doors(view, routes, options.every_door);
        let found = view.found.clone();
        let (crossings, ready, news) =
            crossings::watch(found, chosen.doors, collector, options.attach)?;
        let ready = tokio::select! {
            ready = ready => ready.context("the thread that watches the hooks ended unexpectedly")?,
            () = signals.any() => return Ok(None),
        };
        Ok(Some(Self {
            crossings,
            news,
            cilium: cilium_drops::start(view),
            ready,
            unwatched: chosen.left_out,
        }))
    }

    /// The next packets; pending forever once there are no more.
    pub(super) async fn next(&mut self) -> Vec<Sighting<T::Record>> {
        match self.news.recv().await {
            Some(News::Seen(seen)) => seen,
            None => std::future::pending().await,
        }
    }

    /// Detaches; also returns the packets that `next` has not returned.
    pub(super) fn finish(mut self) -> (Recorded<T>, Vec<Sighting<T::Record>>) {
        let cilium = self.cilium.map(CiliumDropping::finish).unwrap_or_default();
        let mut summary = self.crossings.finish();
        let mut rest = Vec::new();
        while let Ok(News::Seen(seen)) = self.news.try_recv() {
            rest.extend(seen);
        }
        rest.append(&mut summary.seen);
        let recorded = Recorded {
            hooks: hooks(&self.ready.chains),
            hidden: hidden(&self.ready.hidden, &summary.hidden),
            unwatched: self.unwatched,
            summary,
            cilium,
        };
        (recorded, rest)
    }
}

/// What is known after the programs are detached.
pub(super) struct Recorded<T: Collector> {
    pub(super) hooks: Hooks,
    /// Doors that were not watched from the start to the end.
    pub(super) hidden: Vec<Hidden>,
    pub(super) summary: Summary<T>,
    unwatched: usize,
    cilium: CiliumDrops,
}

impl<T: Collector> Recorded<T> {
    /// Adds what is the same for all pairs.
    pub(super) fn add_to(&self, observation: &mut Observation) {
        observation.hidden.clone_from(&self.hidden);
        observation.hooks.clone_from(&self.hooks);
        observation.cilium.clone_from(&self.cilium);
        observation.missed = self.summary.missed.values().sum();
        let doors = self.unwatched;
        let note = (doors > 0).then_some(Note::DoorsNotWatched { doors });
        observation.notes.extend(note);
    }

    /// Compares an observation with the expectations, after `adjust` has changed them.
    pub(super) fn judge(
        &self,
        view: &View,
        route: &Route,
        mode: Option<Mode>,
        observation: &Observation,
        probes: Probes,
        adjust: impl FnOnce(&mut Vec<Expectation>),
    ) -> Verdict {
        let (cluster, hooks) = (&view.cluster, &self.hooks);
        let candidates = candidates(cluster, route, hooks, mode);
        let mut expected = expectations(cluster, route, &candidates, hooks);
        adjust(&mut expected);
        judge(cluster, route, &expected, observation, probes)
    }
}

/// Names of the programs of others, by hook.
fn hooks(chains: &HashMap<DoorId, [Option<Chain>; 2]>) -> Hooks {
    let names = |chain: &Chain| {
        let all = chain.ahead.iter().chain(&chain.behind);
        all.map(|name| name.raw().to_owned()).collect()
    };
    let mut hooks = Hooks::new();
    for (door, [ingress, egress]) in chains {
        for (direction, chain) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
            hooks.extend(
                chain
                    .as_ref()
                    .map(|chain| ((*door, direction), names(chain))),
            );
        }
    }
    hooks
}

fn hidden(early: &[Hidden], late: &[Hidden]) -> Vec<Hidden> {
    let known: BTreeSet<_> = early.iter().map(|hidden| hidden.door).collect();
    let late = late.iter().filter(|late| !known.contains(&late.door));
    early.iter().chain(late).cloned().collect()
}

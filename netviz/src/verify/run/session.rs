//! What every measurement has in common: attach, receive until it ends, judge.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};

use super::watch_set;
use crate::{
    attach::AttachOptions,
    model::{Chain, Cluster, Direction, DoorId},
    names::policies::lookup::{PodKey, Subject},
    sys::{signals::Signals, threads::Worker},
    verify::{
        Cause, CiliumDrops, Expectation, Hooks, Mode, Note, Observation, Party, Probes, Route,
        Routes, Verdict,
        collect::{
            cilium_drops,
            crossings::{Collector, Ready, Sightings, Summary, Watcher},
            inspector::{Inspector, Question},
            routes,
        },
        context::View,
        expect::{candidates, doors, expectations, kernel_path},
        judge::judge,
    },
};

/// Which hooks to watch, and how to judge the crossings.
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

/// Programs are attached, at the doors that the latest round needs. Detaches when it is dropped.
pub(super) struct Session<T: Collector> {
    watcher: Watcher<T>,
    every_door: bool,
}

/// One measurement, from its start on.
pub(super) struct Round {
    cilium: Option<Worker<CiliumDrops>>,
    inspector: Option<Inspector>,
    pub(super) ready: Ready,
    /// How many doors were left out.
    unwatched: usize,
    /// The kernel's routes between the ends.
    routes: Routes,
}

impl<T: Collector> Session<T> {
    /// Attaches nothing yet.
    pub(super) fn start(view: &View, collector: T, options: Options) -> Result<Self> {
        let watcher = Watcher::start(view.found.clone(), collector, options.attach)?;
        Ok(Self {
            watcher,
            every_door: options.every_door,
        })
    }

    /// Attaches to the doors of `routes` where it is not attached yet, and begins a round; `None` if a
    /// signal came first. `attaching` is called with the number of doors.
    pub(super) async fn begin<'a>(
        &mut self,
        view: &View,
        routes: impl Iterator<Item = &'a Route> + Clone,
        attaching: impl FnOnce(usize),
        signals: &mut Signals,
    ) -> Result<Option<Round>> {
        let kernel_routes = routes::read(view, routes.clone());
        let (watched, unwatched) = watch_set::doors(&view.cluster, routes, self.every_door);
        attaching(watched.len());
        let ready = self.watcher.follow(view.found.clone(), watched);
        let ready = tokio::select! {
            ready = ready => ready.context("the thread that watches the hooks ended unexpectedly")?,
            () = signals.any() => return Ok(None),
        };
        Ok(Some(Round {
            cilium: cilium_drops::start(view),
            inspector: Inspector::start(view.found.clone(), view.sources.clone()),
            ready,
            unwatched,
            routes: kernel_routes,
        }))
    }

    /// The next packets; pending forever once there are no more.
    pub(super) async fn next(&mut self) -> Sightings<T> {
        self.watcher.next().await
    }

    /// Ends a round; also returns the packets that `next` has not returned.
    pub(super) async fn end(&mut self, round: Round) -> Result<(Recorded<T>, Sightings<T>)> {
        let cilium = round.cilium.and_then(Worker::finish).unwrap_or_default();
        let summary = self.watcher.report().await;
        let mut summary = summary.context("the thread that watches the hooks crashed")?;
        let seen = std::mem::take(&mut summary.seen);
        let recorded = Recorded {
            hooks: hooks(&round.ready.chains),
            unwatched: round.unwatched,
            routes: round.routes,
            summary,
            cilium,
            inspector: round.inspector,
        };
        Ok((recorded, seen))
    }
}

/// What is known after a round.
pub(super) struct Recorded<T: Collector> {
    pub(super) hooks: Hooks,
    pub(super) summary: Summary<T>,
    /// How many doors were left out.
    pub(super) unwatched: usize,
    routes: Routes,
    cilium: CiliumDrops,
    inspector: Option<Inspector>,
}

impl<T: Collector> Recorded<T> {
    /// Adds what is the same for all pairs.
    pub(super) fn add_to(&self, observation: &mut Observation) {
        observation.hidden.clone_from(&self.summary.hidden);
        observation.hooks.clone_from(&self.hooks);
        observation.cilium.clone_from(&self.cilium);
        observation.missed = self.summary.missed;
        let doors = self.unwatched;
        let note = (doors > 0).then_some(Note::DoorsNotWatched { doors });
        observation.notes.extend(note);
    }

    /// Compares what was observed with what was expected; looks for the causes of losses.
    pub(super) fn judge(
        &self,
        cluster: &Cluster,
        route: &Route,
        expected: &[Expectation],
        mut observation: Observation,
        probes: &Probes,
    ) -> Verdict {
        let verdict = judge(cluster, route, expected, &observation, probes.clone());
        let Some(inspector) = self
            .inspector
            .as_ref()
            .filter(|_| !verdict.losses.is_empty())
        else {
            return verdict;
        };
        observation.lookups = inspector.read(question(cluster, route, expected, &observation));
        let verdict = judge(cluster, route, expected, &observation, probes.clone());
        let policed = policed(cluster, route, &verdict);
        if policed.is_empty() {
            return verdict;
        }
        let question = Question {
            policed,
            ..Question::default()
        };
        observation.lookups.policies = inspector.read(question).policies;
        judge(cluster, route, expected, &observation, probes.clone())
    }

    /// The expected paths in each possible mode.
    pub(super) fn expectations(
        &self,
        cluster: &Cluster,
        route: &Route,
        mode: Option<Mode>,
    ) -> Vec<Expectation> {
        if let Some(path) = kernel_path(cluster, route, &self.routes) {
            return vec![path];
        }
        let candidates = candidates(cluster, route, &self.hooks, mode);
        expectations(cluster, route, &candidates, &self.hooks)
    }
}

/// All doors of the path and their peers, and the addresses of the ends and of their nodes.
fn question(
    cluster: &Cluster,
    route: &Route,
    expected: &[Expectation],
    observation: &Observation,
) -> Question {
    let steps = expected
        .iter()
        .flat_map(|it| it.request.iter().chain(&it.reply));
    let crossed = observation.crossings.iter().map(|crossing| crossing.door);
    let dropped = observation.drops.iter().filter_map(|drop| drop.door);
    let ends = || [&route.from].into_iter().chain(route.receivers());
    let own = ends().filter_map(|end| end.place.netns());
    let own = own.flat_map(|netns| doors::inside(cluster, netns).map(|door| door.id));
    let mut doors: BTreeSet<DoorId> = steps.map(|step| step.door).chain(crossed).collect();
    doors.extend(dropped.chain(own));
    let peer = |door: &DoorId| Some(cluster.door(*door)?.peer.as_ref()?.id);
    let peers: Vec<_> = doors.iter().filter_map(peer).collect();
    doors.extend(peers);
    let nodes = ends().filter_map(|end| end.place.node());
    let addresses = nodes.flat_map(|node| doors::addresses(cluster, node));
    Question {
        doors,
        policed: Vec::new(),
        addresses: ends()
            .filter_map(|end| end.address)
            .chain(addresses)
            .collect(),
    }
}

/// The pods whose policies dropped packets, and in which direction, by Cilium's counters.
fn policed(cluster: &Cluster, route: &Route, verdict: &Verdict) -> Vec<(Subject, Direction)> {
    let mut policed = Vec::new();
    for loss in &verdict.losses {
        let drops = loss.causes.iter().flat_map(|cause| match cause {
            Cause::CiliumDrops { drops, .. } => drops.as_slice(),
            _ => &[],
        });
        for drop in drops.filter(|drop| drop.by_policy) {
            for receiver in route.receivers() {
                let one = Route::new(route.from.clone(), receiver.clone());
                let (end, direction) = one.policed(loss.way, None, drop.direction);
                policed.extend(subject(cluster, end).map(|pod| (pod, direction)));
            }
        }
    }
    policed.sort();
    policed.dedup();
    policed
}

fn subject(cluster: &Cluster, end: &Party) -> Option<Subject> {
    let netns = end.place.netns()?;
    let mut pods = cluster.pods.iter();
    let pod = pods.find(|pod| pod.netns == Some(netns));
    let key = pod.and_then(|pod| {
        Some(PodKey {
            namespace: pod.namespace.as_ref()?.raw().to_owned(),
            name: pod.name.raw().to_owned(),
        })
    });
    Some(Subject {
        netns,
        node: cluster.nodes.get(end.place.node()?)?.netns,
        address: end.address?,
        key,
    })
}

/// Names of the programs of others, by hook.
fn hooks(chains: &HashMap<DoorId, [Option<Chain>; 2]>) -> Hooks {
    let hooks = chains.iter().flat_map(|(door, chains)| {
        let directions = Direction::BOTH.into_iter();
        directions.zip(chains).filter_map(|(direction, chain)| {
            let Chain { ahead, behind } = chain.as_ref()?;
            let names = ahead.iter().chain(behind).map(|name| name.raw().into());
            Some(((*door, direction), names.collect()))
        })
    });
    hooks.collect()
}

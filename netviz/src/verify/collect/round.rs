//! One round: look out at the doors, send, wait for the last answer, judge.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::{
    attached_programs,
    cilium_drops::{self, CiliumDropping, CiliumDrops},
    crossings::{self, News, Ready, Sighting, Summary},
    drop_names::{self, Hearing},
    kernel_drops::Drops,
    probe::{self, Aim, Manner, Probing, Protocol, Report},
    reading::{Own, Reader},
    watch_set,
};
use crate::{
    attach::AttachOptions,
    model::{Direction, DoorId, Side, plain},
    sys::{netns::NetNsId, privileges, signals::Signals, threads},
    verify::{
        self, Hooks,
        context::View,
        judge::causes,
        observation::{Answer, Crossing, Observation, Way},
        route::{Mode, Place, Route},
        target::{self, service},
        verdict::{Probes, Verdict},
    },
};

/// Longer than a packet is on its way from one door to the next, after the last answer has come.
const IN_FLIGHT: Duration = Duration::from_millis(20);

/// So often the ring of dropped packets is emptied: it has room for 1 300 of them.
const HEAR: Duration = Duration::from_millis(10);

/// Whom to send to.
#[derive(Clone, Debug)]
pub(crate) struct ProbePair {
    pub(crate) route: Route,
    pub(crate) port: Option<u16>,
    /// Of all pairs of a round the same.
    pub(crate) protocol: Protocol,
    /// What is to be said of how it is tried.
    pub(crate) note: Option<String>,
}

/// How a round is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) manner: Manner,
    /// The mode that was asked for.
    pub(crate) mode: Option<Mode>,
    /// An answer is not asked for.
    pub(crate) one_way: bool,
    /// Doors of other pods, too, however many there are.
    pub(crate) every_door: bool,
    pub(crate) attach: AttachOptions,
    /// No other round comes after it: the calling thread gives up what it needs no more.
    pub(crate) last: bool,
}

/// What a round came to.
pub(crate) struct Outcome {
    /// In the order of the pairs.
    pub(crate) verdicts: Vec<Verdict>,
    /// A signal ended it before its time.
    pub(crate) interrupted: bool,
}

/// Runs one round. Nothing is left at any door when it returns.
pub(crate) async fn run(
    look: &View,
    pairs: &[ProbePair],
    options: Options,
    signals: &mut Signals,
) -> Result<Outcome> {
    let routes = pairs.iter().map(|pair| &pair.route);
    let chosen = watch_set::doors(look, routes, options.every_door);
    let mut round = Round::new(look, pairs, options, chosen.note);
    let (watching, standing, mut news) = crossings::watch(
        look.found.clone(),
        chosen.doors,
        options.manner.marks(pairs.len()),
        options.attach,
    )?;
    let cookie = options.manner.cookie;
    let listening = threads::aside("hears what the kernel drops", move || Drops::start(&cookie));
    let standing = tokio::select! {
        standing = standing => standing.context("looking out at the doors has ended unexpectedly")?,
        () = signals.any() => {
            drop(watching);
            return Ok(Outcome { verdicts: Vec::new(), interrupted: true });
        }
    };
    let mut hearing = Hearing::new(drop_names::listening(listening).await);
    let mut hear = tokio::time::interval(HEAR);
    let cilium = cilium_drops::start(look);
    let (probing, mut reports) = round.send()?;
    if options.last {
        // Whoever sends, looks out or reads Cilium's drops has his own.
        privileges::keep_only(&[]);
    }
    let interrupted = loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => round.take_report(report),
                None => break false,
            },
            Some(News::Seen(seen)) = news.recv() => round.take(&seen),
            _ = hear.tick() => hearing.take(),
            () = signals.any() => break true,
        }
    };
    drop(probing);
    tokio::time::sleep(IN_FLIGHT).await;
    while let Ok(News::Seen(seen)) = news.try_recv() {
        round.take(&seen);
    }
    let cilium = cilium.map(CiliumDropping::finish).unwrap_or_default();
    let closing = watching.finish();
    while let Ok(News::Seen(seen)) = news.try_recv() {
        round.take(&seen);
    }
    round.take(&closing.seen);
    round.drop(&mut hearing);
    Ok(Outcome {
        verdicts: round.verdicts(&standing, &closing, &cilium),
        interrupted,
    })
}

struct Round<'a> {
    look: &'a View,
    pairs: &'a [ProbePair],
    options: Options,
    reader: Reader,
    observations: Vec<Observation>,
    /// Addresses from which was sent.
    owns: HashMap<u32, Own>,
    note: Option<String>,
    /// Sightings of packets whose sender had not reported yet.
    early: Vec<Sighting>,
    /// What is to be said where not all that the kernel threw away was heard.
    unheard: Option<String>,
}

impl<'a> Round<'a> {
    fn new(look: &'a View, pairs: &'a [ProbePair], options: Options, note: Option<String>) -> Self {
        let observation = Observation {
            sent: options.manner.count,
            one_way: options.one_way,
            ..Observation::default()
        };
        Self {
            look,
            pairs,
            options,
            reader: Reader::new(options.manner),
            observations: vec![observation; pairs.len()],
            owns: HashMap::new(),
            note,
            early: Vec::new(),
            unheard: None,
        }
    }

    /// One sender for each namespace that is sent from.
    fn send(&self) -> Result<(Vec<Probing>, mpsc::UnboundedReceiver<Report>)> {
        let (tell, reports) = mpsc::unbounded_channel();
        let mut by_sender: BTreeMap<NetNsId, (usize, Vec<Aim>)> = BTreeMap::new();
        for (flow, pair) in self.pairs.iter().enumerate() {
            let (netns, _) = self.look.namespace(&pair.route.from)?;
            let to = pair.route.to.address;
            let to = to.with_context(|| no_address(&pair.route.to.name))?;
            let aim = Aim {
                flow: flow as u32,
                to,
                port: pair.port.unwrap_or_default(),
            };
            by_sender
                .entry(netns)
                .or_insert_with(|| (flow, Vec::new()))
                .1
                .push(aim);
        }
        let mut probing = Vec::new();
        for (flow, aims) in by_sender.into_values() {
            let (_, namespace) = self.look.namespace(&self.pairs[flow].route.from)?;
            let started = probe::start(namespace, aims, self.options.manner, tell.clone());
            probing.push(started.context("cannot start a thread that sends probes")?);
        }
        Ok((probing, reports))
    }

    fn take_report(&mut self, report: Report) {
        match report {
            Report::Opened {
                flow,
                port,
                address,
            } => self.open(flow, port, address),
            Report::Failed { flow, reason } => {
                let sent = self.options.manner.count;
                if let Some(observation) = self.observations.get_mut(flow as usize) {
                    let unsent = || Answer::Unsent(reason.clone());
                    observation.answers = (0..sent).map(|number| (number, unsent())).collect();
                }
            }
            Report::Sent { .. } => {}
            Report::Answered {
                flow,
                sequence,
                answer,
            } => {
                if let Some(observation) = self.observations.get_mut(flow as usize) {
                    observation.answers.insert(sequence, answer);
                }
            }
        }
    }

    fn open(&mut self, flow: u32, port: u16, address: IpAddr) {
        let pair = self.pairs.get(flow as usize);
        let own = Own {
            address,
            node: pair.map_or_else(Vec::new, |pair| self.node_addresses(&pair.route.from)),
            port,
            to_port: pair.and_then(|pair| pair.port).unwrap_or_default(),
        };
        self.owns.insert(flow, own.clone());
        self.reader.opened(flow, own);
        let early = std::mem::take(&mut self.early);
        self.take(&early);
    }

    fn node_addresses(&self, party: &verify::Party) -> Vec<IpAddr> {
        let (Place::Pod { node, .. } | Place::Node { node, .. }) = party.place else {
            return Vec::new();
        };
        let node = self.look.cluster.nodes.get(node);
        let addresses = node.map_or(&[][..], |node| &node.addresses);
        addresses.iter().filter_map(|text| plain(text)).collect()
    }

    fn take(&mut self, seen: &[Sighting]) {
        for sighting in seen {
            match self.reader.read(sighting) {
                Some((flow, crossing)) => {
                    if let Some(observation) = self.observations.get_mut(flow as usize) {
                        observation.crossings.push(crossing);
                    }
                }
                None if self.owns.len() < self.pairs.len() => self.early.push(*sighting),
                None => {}
            }
        }
    }

    /// What the kernel threw away meanwhile.
    fn drop(&mut self, hearing: &mut Hearing) {
        for (flow, dropping) in hearing.by_pair(self.look) {
            if let Some(observation) = self.observations.get_mut(flow as usize) {
                observation.drops.push(dropping);
            }
        }
        self.unheard = hearing.unheard();
    }

    fn verdicts(
        mut self,
        standing: &Ready,
        closing: &Summary,
        cilium: &CiliumDrops,
    ) -> Vec<Verdict> {
        let hooks = attached_programs::hooks(standing);
        let hidden = attached_programs::hidden(standing, &closing.hidden);
        let missed = closing.missed.values().sum();
        let observations = std::mem::take(&mut self.observations);
        let judged = self.pairs.iter().zip(observations).enumerate();
        judged
            .map(|(flow, (pair, mut observation))| {
                observation.hidden.clone_from(&hidden);
                observation.missed = missed;
                observation.notes.extend(self.note.clone());
                observation.notes.extend(pair.note.clone());
                self.judge((flow as u32, pair), &hooks, cilium, observation)
            })
            .collect()
    }

    fn judge(
        &self,
        (flow, pair): (u32, &ProbePair),
        hooks: &Hooks,
        cilium: &CiliumDrops,
        mut observation: Observation,
    ) -> Verdict {
        let cluster = &self.look.cluster;
        let mut route = pair.route.clone();
        if route.from.address.is_none() {
            route.from.address = self.owns.get(&flow).map(|own| own.address);
        }
        if route.to.place == Place::Elsewhere
            && let Some(receiver) = self.receiver(&route, &observation.crossings)
        {
            let name = route.to.name.clone();
            observation
                .notes
                .push(format!("{name} was delivered to {}", receiver.name));
            route.to = verify::Party { name, ..receiver };
        }
        let candidates = verify::candidates(cluster, &route, hooks, self.options.mode);
        let mut expectations = verify::expectations(cluster, &route, &candidates, hooks);
        let answers = |answer: &Answer| matches!(answer, Answer::Reply(_) | Answer::Refused(..));
        if verify::nobody(cluster, &route.to).is_none() {
            let doubts = service::doubts(cluster, &route, hooks);
            observation.doubts.extend(doubts);
        } else if !observation.answers.values().any(answers) {
            // No path leads to nobody.
            expectations.clear();
        }
        for expectation in &mut expectations {
            verify::hide(cluster, &route, self.options.manner.shape(), expectation);
        }
        let probes = self.probes(pair);
        let mut verdict = verify::judge(cluster, &route, &expectations, &observation, probes);
        causes::add(&mut verdict, cluster, hooks, cilium);
        if verdict.losses.iter().any(|loss| loss.drop_reason.is_none()) {
            verdict.notes.extend(self.unheard.clone());
        }
        verdict
    }

    /// The pod into which what was sent to a service's address came.
    fn receiver(&self, route: &Route, crossings: &[Crossing]) -> Option<verify::Party> {
        let from = match route.from.place {
            Place::Pod { netns, .. } => Some(netns),
            _ => None,
        };
        let entered: BTreeSet<DoorId> = crossings
            .iter()
            .filter(|crossing| {
                crossing.way == Way::Request && crossing.direction == Direction::Ingress
            })
            .map(|crossing| crossing.door)
            .collect();
        let mut doors = self.look.doors().iter();
        let door = doors.find(|door| {
            let netns = door.id.netns.known();
            door.side == Side::Pod && netns != from && entered.contains(&door.id)
        })?;
        let family = route.to.address.map(target::Family::of);
        Some(target::pod_party(door, family))
    }

    fn probes(&self, pair: &ProbePair) -> Probes {
        Probes {
            protocol: self.options.manner.protocol.to_string(),
            port: pair.port,
            bytes: Some(self.options.manner.size),
        }
    }
}

fn no_address(name: &str) -> String {
    format!(
        "{name} has no address of the family that is wanted: see `netviz doors -o json`, or name an address"
    )
}

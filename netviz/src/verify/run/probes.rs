//! Sends marked packets to several pairs at once, and judges each pair.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::{
    drops::Drops,
    session::{Options, Recorded, Session},
};
use crate::{
    model::{Direction, DoorId, Side},
    sys::{netns::NetNsId, privileges, signals::Signals, threads},
    verify::{
        collect::{
            crossings::{Marks, Sighting},
            kernel_drops,
            probe::{self, Aim, Manner, Probing, Report},
            reading::{Own, Reader},
        },
        context::View,
        expect::{doors, hide, unassigned},
        facts::Note,
        observation::{Answer, Crossing, Observation, Way},
        protocol::Protocol,
        route::{Party, Place, Route},
        target::{self, service},
        verdict::{Probes, Verdict},
    },
};

/// How long to wait after the last reply for packets between two doors.
const IN_FLIGHT: Duration = Duration::from_millis(20);

/// How often to empty the ring buffer of dropped packets, which has room for 1 300.
const DROPS: Duration = Duration::from_millis(10);

/// One pair to send between.
#[derive(Clone, Debug)]
pub(crate) struct ProbePair {
    pub(crate) route: Route,
    pub(crate) port: Option<u16>,
    /// The same for all pairs of a run.
    pub(crate) protocol: Protocol,
    /// What to report of the choice of port and protocol.
    pub(crate) note: Option<Note>,
}

/// What a run returns.
pub(crate) struct Outcome {
    /// In the order of the pairs.
    pub(crate) verdicts: Vec<Verdict>,
    /// Whether a signal ended it early.
    pub(crate) interrupted: bool,
}

/// Runs once. Nothing is left at any door when it returns. After the `last` run of the process, the
/// calling thread drops its privileges.
pub(crate) async fn run(
    view: &View,
    pairs: &[ProbePair],
    manner: Manner,
    options: Options,
    last: bool,
    signals: &mut Signals,
) -> Result<Outcome> {
    let routes = pairs.iter().map(|pair| &pair.route);
    let cookie = manner.cookie;
    let drops = threads::aside("reads packets that the kernel drops", move || {
        kernel_drops::Drops::start(&cookie)
    });
    let marks = manner.marks(pairs.len());
    let Some(mut session) = Session::start(view, routes, marks, options, signals).await? else {
        return Ok(Outcome {
            verdicts: Vec::new(),
            interrupted: true,
        });
    };
    let mut run = Run::new(view, pairs, manner, options, Drops::new(drops).await);
    let (probing, mut reports) = run.send()?;
    if last {
        // The threads that send, watch hooks or read Cilium's maps have their own.
        privileges::keep_only(&[]);
    }
    let mut tick = tokio::time::interval(DROPS);
    let interrupted = loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => run.apply(report),
                None => break false,
            },
            seen = session.next() => run.read(&seen),
            _ = tick.tick() => run.drops.read(),
            () = signals.any() => break true,
        }
    };
    drop(probing);
    tokio::time::sleep(IN_FLIGHT).await;
    let (recorded, rest) = session.finish();
    run.read(&rest);
    Ok(Outcome {
        verdicts: run.verdicts(&recorded),
        interrupted,
    })
}

struct Run<'a> {
    view: &'a View,
    pairs: &'a [ProbePair],
    manner: Manner,
    options: Options,
    reader: Reader,
    observations: Vec<Observation>,
    /// The senders' ends, by pair.
    senders: HashMap<u32, Own>,
    /// Packets that were seen before their sender reported its address.
    unread: Vec<Sighting>,
    drops: Drops,
}

impl<'a> Run<'a> {
    fn new(
        view: &'a View,
        pairs: &'a [ProbePair],
        manner: Manner,
        options: Options,
        drops: Drops,
    ) -> Self {
        let observation = Observation {
            sent: manner.count,
            one_way: options.one_way,
            ..Observation::default()
        };
        Self {
            view,
            pairs,
            manner,
            options,
            reader: Reader::new(manner),
            observations: vec![observation; pairs.len()],
            senders: HashMap::new(),
            unread: Vec::new(),
            drops,
        }
    }

    /// Starts one sender for each network namespace.
    fn send(&self) -> Result<(Vec<Probing>, mpsc::UnboundedReceiver<Report>)> {
        let (report, reports) = mpsc::unbounded_channel();
        let mut by_sender: BTreeMap<NetNsId, (&Party, Vec<Aim>)> = BTreeMap::new();
        for (flow, pair) in self.pairs.iter().enumerate() {
            let from = &pair.route.from;
            let (netns, _) = self.view.namespace(from)?;
            let aim = Aim {
                flow: flow as u32,
                to: pair.route.to.needed_address()?,
                port: pair.port.unwrap_or_default(),
            };
            let (_, aims) = by_sender.entry(netns).or_insert((from, Vec::new()));
            aims.push(aim);
        }
        let mut probing = Vec::new();
        for (from, aims) in by_sender.into_values() {
            let (_, namespace) = self.view.namespace(from)?;
            let started = probe::start(namespace, aims, self.manner, report.clone());
            probing.push(started.context("cannot start a thread that sends probes")?);
        }
        Ok((probing, reports))
    }

    fn apply(&mut self, report: Report) {
        let (flow, answers) = match report {
            Report::Opened {
                flow,
                port,
                address,
            } => return self.opened(flow, port, address),
            Report::Failed { flow, reason } => {
                let unsent = |number| (number, Answer::Unsent(reason.clone()));
                (flow, (0..self.manner.count).map(unsent).collect())
            }
            Report::Sent { .. } => return,
            Report::Answered {
                flow,
                sequence,
                answer,
            } => (flow, BTreeMap::from([(sequence, answer)])),
        };
        if let Some(observation) = self.observations.get_mut(flow as usize) {
            observation.answers.extend(answers);
        }
    }

    fn opened(&mut self, flow: u32, port: u16, address: IpAddr) {
        let pair = self.pairs.get(flow as usize);
        let node = pair.and_then(|pair| pair.route.from.place.node());
        let own = Own {
            address,
            node: node.map_or_else(Vec::new, |node| doors::addresses(&self.view.cluster, node)),
            port,
            to_port: pair.and_then(|pair| pair.port).unwrap_or_default(),
        };
        self.senders.insert(flow, own.clone());
        self.reader.opened(flow, own);
        let unread = std::mem::take(&mut self.unread);
        self.read(&unread);
    }

    fn read(&mut self, seen: &[Sighting]) {
        for sighting in seen {
            match self.reader.read(sighting) {
                Some((flow, crossing)) => {
                    if let Some(observation) = self.observations.get_mut(flow as usize) {
                        observation.crossings.push(crossing);
                    }
                }
                None if self.senders.len() < self.pairs.len() => self.unread.push(*sighting),
                None => {}
            }
        }
    }

    fn verdicts(mut self, recorded: &Recorded<Marks>) -> Vec<Verdict> {
        let mut observations = std::mem::take(&mut self.observations);
        for (flow, dropping) in self.drops.by_pair(self.view) {
            if let Some(observation) = observations.get_mut(flow as usize) {
                observation.drops.push(dropping);
            }
        }
        let judged = self.pairs.iter().zip(observations).enumerate();
        let verdict = |(flow, (pair, mut observation)): (usize, (&ProbePair, Observation))| {
            recorded.add_to(&mut observation);
            observation.notes.extend(pair.note.clone());
            self.judge(flow as u32, pair, recorded, observation)
        };
        judged.map(verdict).collect()
    }

    fn judge(
        &self,
        flow: u32,
        pair: &ProbePair,
        recorded: &Recorded<Marks>,
        mut observation: Observation,
    ) -> Verdict {
        let cluster = &self.view.cluster;
        let route = self.actual(flow, &pair.route, &mut observation);
        let replied = |answer: &Answer| matches!(answer, Answer::Reply(_) | Answer::Refused(..));
        let is_unassigned = unassigned(cluster, &route.to).is_some();
        if !is_unassigned {
            let doubt = service::doubt(cluster, &route, &recorded.hooks);
            observation.doubts.extend(doubt);
        }
        // There is no path to an address that no interface has.
        let no_path = is_unassigned && !observation.answers.values().any(replied);
        let probes = Probes {
            protocol: Some(self.manner.protocol),
            port: pair.port,
            bytes: Some(self.manner.size),
        };
        let mode = self.options.mode;
        let mut verdict = recorded.judge(
            self.view,
            &route,
            mode,
            &observation,
            probes,
            |expectations| {
                if no_path {
                    expectations.clear();
                }
                for expectation in expectations {
                    hide(cluster, &route, self.manner.shape(), expectation);
                }
            },
        );
        if verdict.losses.iter().any(|loss| loss.drop_reason.is_none()) {
            verdict.notes.extend(self.drops.lost());
        }
        verdict
    }

    /// The route with the address of the sender's socket, and with the pod behind a service.
    fn actual(&self, flow: u32, route: &Route, observation: &mut Observation) -> Route {
        let mut route = route.clone();
        if route.from.address.is_none() {
            route.from.address = self.senders.get(&flow).map(|own| own.address);
        }
        if route.to.place == Place::Elsewhere
            && let Some(receiver) = self.receiver(&route, &observation.crossings)
        {
            let name = route.to.name.clone();
            let pod = receiver.name.clone();
            observation.notes.push(Note::DeliveredTo { pod });
            route.to = Party { name, ..receiver };
        }
        route
    }

    /// The pod that received what was sent to a service's address.
    fn receiver(&self, route: &Route, crossings: &[Crossing]) -> Option<Party> {
        let from = route.from.place.netns();
        let is_entry = |crossing: &&Crossing| {
            crossing.way == Way::Request && crossing.direction == Direction::Ingress
        };
        let entered = crossings.iter().filter(is_entry);
        let entered: BTreeSet<DoorId> = entered.map(|crossing| crossing.door).collect();
        let mut doors = self.view.doors().iter();
        let door = doors.find(|door| {
            let netns = door.id.netns.known();
            door.side == Side::Pod && netns != from && entered.contains(&door.id)
        })?;
        let family = route.to.address.map(target::Family::of);
        Some(target::pod_party(door, family))
    }
}

//! Sends marked packets to several pairs at once, and judges each pair.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anyhow::{Context as _, Result};
use netviz_ebpf::drops::Dropped;
use tokio::sync::mpsc;

use super::{
    drops,
    receiver::{Receiver, receivers},
    session::{Options, Recorded, Session},
};
use crate::{
    sys::{
        cgroup::Cgroup,
        netns::{NetNs, NetNsId},
        privileges,
        signals::Signals,
        threads::Worker,
    },
    verify::{
        Answer, Expectation, Note, Observation, Place, Probes, Protocol, Route, Verdict,
        collect::{
            crossings::{HookRecord, Marks},
            kernel_drops::{Drops, NoDrops},
            probe::{self, ProbeOptions, ProbeTarget, Report, Reports},
            reading::{Own, Reader},
        },
        context::View,
        distribute,
        expect::{doors, hide, unassigned},
        target::{self, backends, service},
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
    /// What to report of the choice of ends, port and protocol.
    pub(crate) notes: Vec<Note>,
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
    probe_options: ProbeOptions,
    options: Options,
    last: bool,
    signals: &mut Signals,
) -> Result<Outcome> {
    let routes = pairs.iter().map(|pair| &pair.route);
    let drops = drops::start(probe_options.cookie);
    let marks = probe_options.marks(pairs.len());
    let Some(mut session) = Session::start(view, routes, marks, options, signals).await? else {
        return Ok(Outcome {
            verdicts: Vec::new(),
            interrupted: true,
        });
    };
    let observation = Observation {
        sent: probe_options.count,
        one_way: options.one_way,
        ..Observation::default()
    };
    let mut run = Run {
        view,
        pairs,
        probe_options,
        options,
        reader: Reader::new(probe_options),
        observations: vec![observation; pairs.len()],
        unread: Vec::new(),
        drops: drops::started(drops).await,
        dropped: Vec::new(),
        backends: BTreeMap::new(),
        no_cgroup: BTreeMap::new(),
    };
    let (report, mut reports) = mpsc::unbounded_channel();
    let probing = run.send(report)?;
    if last {
        // The threads that send, watch hooks or read Cilium's maps have their own.
        privileges::keep_only(&[]);
    }
    let mut tick = tokio::time::interval(DROPS);
    let interrupted = loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some((flow, report)) => run.apply(flow, report),
                None => break false,
            },
            seen = session.next() => run.read(&seen),
            _ = tick.tick() => run.read_drops(),
            () = signals.any() => break true,
        }
    };
    drop(probing);
    tokio::time::sleep(IN_FLIGHT).await;
    let (recorded, rest) = session.finish()?;
    run.read(&rest);
    Ok(Outcome {
        verdicts: run.verdicts(&recorded),
        interrupted,
    })
}

struct Run<'a> {
    view: &'a View,
    pairs: &'a [ProbePair],
    probe_options: ProbeOptions,
    options: Options,
    /// Knows the senders that have reported their addresses.
    reader: Reader,
    observations: Vec<Observation>,
    /// Packets that were seen before their sender reported its address.
    unread: Vec<HookRecord>,
    /// Without it, losses have no drop reason.
    drops: Result<Drops, NoDrops>,
    dropped: Vec<Dropped>,
    /// Addresses of the backends, by pair, where a service's was translated in the sender's socket.
    backends: BTreeMap<u32, IpAddr>,
    /// Why a sender's cgroup could not be used.
    no_cgroup: BTreeMap<NetNsId, String>,
}

impl Run<'_> {
    /// Starts one sender for each network namespace.
    fn send(&mut self, report: Reports) -> Result<Vec<Worker>> {
        let mut by_sender: BTreeMap<NetNsId, (NetNs, Vec<ProbeTarget>)> = BTreeMap::new();
        for (pair, flow) in self.pairs.iter().zip(0..) {
            let (netns, namespace) = self.view.namespace(&pair.route.from)?;
            let (_, targets) = by_sender.entry(netns).or_insert((namespace, Vec::new()));
            targets.push(ProbeTarget {
                flow,
                to: pair.route.to.needed_address()?,
                port: pair.port.unwrap_or_default(),
                may_be_service: pair.route.to.place == Place::Elsewhere,
            });
        }
        let mut probing = Vec::new();
        for (netns, (namespace, targets)) in by_sender {
            let cgroup = self.cgroup(netns, &targets);
            let started = probe::start(
                namespace,
                cgroup,
                targets,
                self.probe_options,
                report.clone(),
            );
            probing.push(started.context("cannot start a thread that sends probes")?);
        }
        Ok(probing)
    }

    /// The sender's cgroup, if its programs may translate the address of a service.
    fn cgroup(&mut self, netns: NetNsId, targets: &[ProbeTarget]) -> Option<Cgroup> {
        let mut services = targets.iter().filter(|target| target.may_be_service);
        let to = services.next()?.to;
        if self.probe_options.protocol == Protocol::Icmp {
            return None;
        }
        service::cgroup(netns, to).unwrap_or_else(|error| {
            self.no_cgroup.insert(netns, error.to_string());
            None
        })
    }

    fn apply(&mut self, flow: u32, report: Report) {
        match report {
            Report::Opened { from, ports, to } => {
                let asked = self.pairs.get(flow as usize);
                if asked.is_some_and(|pair| pair.route.to.address != Some(to)) {
                    self.backends.insert(flow, to);
                }
                self.opened(flow, from, ports);
            }
            Report::Answered(sequence, answer) => {
                if let Some(observation) = self.observations.get_mut(flow as usize) {
                    observation.answers.insert(sequence, answer);
                }
            }
        }
    }

    fn opened(&mut self, flow: u32, address: IpAddr, ports: Vec<u16>) {
        let Some(pair) = self.pairs.get(flow as usize) else {
            return;
        };
        let node = pair.route.from.place.node();
        let own = Own {
            address,
            node: node.map_or_else(Vec::new, |node| doors::addresses(&self.view.cluster, node)),
            ports,
            to_port: pair.port.unwrap_or_default(),
        };
        self.reader.opened(flow, own);
        let unread = std::mem::take(&mut self.unread);
        self.read(&unread);
    }

    fn read(&mut self, seen: &[HookRecord]) {
        for record in seen {
            match self.reader.read(record) {
                Some((flow, crossing)) => {
                    if let Some(observation) = self.observations.get_mut(flow as usize) {
                        observation.crossings.push(crossing);
                    }
                }
                None if self.reader.owns.len() < self.pairs.len() => self.unread.push(*record),
                None => {}
            }
        }
    }

    /// Empties the ring buffer of dropped packets.
    fn read_drops(&mut self) {
        if let Ok(drops) = &mut self.drops {
            self.dropped.extend(drops.take());
        }
    }

    fn verdicts(mut self, recorded: &Recorded<Marks>) -> Vec<Verdict> {
        self.read_drops();
        let mut observations = std::mem::take(&mut self.observations);
        if let Ok(source) = &self.drops {
            for (flow, dropping) in drops::by_pair(source, &self.dropped, self.view) {
                if let Some(observation) = observations.get_mut(flow as usize) {
                    observation.drops.push(dropping);
                }
            }
        }
        let judged = self.pairs.iter().zip(observations).zip(0..);
        judged
            .map(|((pair, observation), flow)| self.judge(flow, pair, recorded, observation))
            .collect()
    }

    fn judge(
        &self,
        flow: u32,
        pair: &ProbePair,
        recorded: &Recorded<Marks>,
        mut observation: Observation,
    ) -> Verdict {
        let cluster = &self.view.cluster;
        recorded.add_to(&mut observation);
        observation.notes.extend(pair.notes.iter().cloned());
        let (route, mut expected) = self.actual(flow, &pair.route, recorded, &mut observation);
        let replied = |answer: &Answer| matches!(answer, Answer::Reply(_) | Answer::Refused(..));
        if unassigned(cluster, &route.to).is_none() {
            let netns = self.view.netns(&route.from);
            let error = netns.and_then(|netns| self.no_cgroup.get(&netns));
            let doubt = service::doubt(cluster, &route, &recorded.hooks, error);
            observation.doubts.extend(doubt);
        } else if !observation.answers.values().any(replied) {
            // There is no path to an address that no interface has.
            expected.clear();
        }
        let probes = Probes {
            protocol: Some(self.probe_options.protocol),
            port: pair.port,
            bytes: Some(self.probe_options.size),
        };
        let mut verdict = recorded.judge(cluster, &route, &expected, observation, &probes);
        if verdict.losses.iter().any(|loss| loss.drop_reason.is_none()) {
            let note = match self.drops.as_ref().map(Drops::lost) {
                Ok(0) | Err(NoDrops::Other(_)) => None,
                Ok(events) => Some(Note::DropEventsLost { events }),
                Err(NoDrops::Lockdown) => Some(Note::DropReasonsLockedDown),
            };
            verdict.notes.extend(note);
        }
        verdict
    }

    /// The route with the address of the sender's socket, and with the pods behind a service; and the
    /// expected paths.
    fn actual(
        &self,
        flow: u32,
        route: &Route,
        recorded: &Recorded<Marks>,
        observation: &mut Observation,
    ) -> (Route, Vec<Expectation>) {
        let mut route = route.clone();
        if route.from.address.is_none() {
            route.from.address = self.reader.owns.get(&flow).map(|own| own.address);
        }
        let mut receivers = self.receivers(flow, &route, observation);
        let entered: usize = receivers.iter().map(Receiver::count).sum();
        if entered < observation.sent as usize {
            let doubt = backends::unwatched(&self.view.cluster, &route, recorded.unwatched);
            observation.doubts.extend(doubt);
        }
        if receivers.len() > 1 {
            let with_paths = |receiver: Receiver| {
                let paths = self.expected(recorded, &receiver.route(&route));
                receiver.with_paths(paths)
            };
            let backends = receivers.into_iter().map(with_paths).collect();
            return distribute(&route, backends, observation);
        }
        if let Some(receiver) = receivers.pop() {
            receiver.apply(&mut route, observation);
        }
        let expected = self.expected(recorded, &route);
        (route, expected)
    }

    /// The expected paths in each possible mode.
    fn expected(&self, recorded: &Recorded<Marks>, route: &Route) -> Vec<Expectation> {
        let cluster = &self.view.cluster;
        let mut expected = recorded.expectations(cluster, route, self.options.mode);
        for expectation in &mut expected {
            hide(cluster, route, self.probe_options.shape(), expectation);
        }
        expected
    }

    /// The pods that received packets. If not all packets were seen entering one, also the others that are
    /// known to be behind the service.
    fn receivers(&self, flow: u32, route: &Route, observation: &Observation) -> Vec<Receiver> {
        let cluster = &self.view.cluster;
        let mut receivers = receivers(self.view, route, &observation.crossings);
        if let (true, Some(backend)) = (receivers.is_empty(), self.backends.get(&flow)) {
            return vec![Receiver::new(target::by_address(cluster, *backend))];
        }
        let entered: usize = receivers.iter().map(Receiver::count).sum();
        if !receivers.is_empty() && entered < observation.sent as usize {
            let known = backends::known_backends(cluster, route);
            for party in known {
                if !receivers.iter().any(|receiver| receiver.is(&party)) {
                    receivers.push(Receiver::new(party));
                }
            }
        }
        receivers
    }
}

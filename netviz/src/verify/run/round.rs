//! One round: what the senders and the doors report, until each pair has its verdict.

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

use anyhow::{Context as _, Result};
use netviz_ebpf::drops::Dropped;

use super::{
    drops,
    receiver::{Receiver, receivers},
    session::{Options, Recorded},
};
use crate::{
    sys::{
        cgroup::Cgroup,
        netns::{NetNs, NetNsId},
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

/// One round.
pub(super) struct Run<'a> {
    view: &'a View,
    pairs: &'a [ProbePair],
    /// Number of the first pair.
    first: u32,
    probe_options: ProbeOptions,
    options: Options,
    /// Knows the senders that have reported their addresses.
    reader: Reader,
    observations: Vec<Observation>,
    /// Packets that were seen before their sender reported its address.
    unread: Vec<HookRecord>,
    dropped: Vec<Dropped>,
    /// Drops that had been missed before the round.
    drops_lost: u64,
    /// How many packets were sent.
    pub(super) sent: usize,
    /// When each packet of the first pair was sent.
    pub(super) sent_at: BTreeMap<u32, Instant>,
    /// Addresses of the backends, by pair, where a service's was translated in the sender's socket.
    backends: BTreeMap<usize, IpAddr>,
    /// Why a sender's cgroup could not be used.
    no_cgroup: BTreeMap<NetNsId, String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        view: &'a View,
        pairs: &'a [ProbePair],
        first: u32,
        probe_options: ProbeOptions,
        options: Options,
        drops_lost: u64,
    ) -> Self {
        let observation = Observation {
            sent: probe_options.count,
            one_way: options.one_way,
            ..Observation::default()
        };
        Self {
            view,
            pairs,
            first,
            probe_options,
            options,
            reader: Reader::new(probe_options),
            observations: vec![observation; pairs.len()],
            unread: Vec::new(),
            dropped: Vec::new(),
            drops_lost,
            sent: 0,
            sent_at: BTreeMap::new(),
            backends: BTreeMap::new(),
            no_cgroup: BTreeMap::new(),
        }
    }

    /// The sender's end of a pair, once it has opened its socket.
    fn own(&self, place: usize) -> Option<&Own> {
        let flow = u32::try_from(place).ok()?.checked_add(self.first)?;
        self.reader.owns.get(&flow)
    }

    /// The place of the pair with this number in `pairs`; `None` if it is of another round.
    fn place(&self, flow: u32) -> Option<usize> {
        let place = flow.checked_sub(self.first)? as usize;
        (place < self.pairs.len()).then_some(place)
    }

    /// Starts one sender for each network namespace.
    pub(super) fn send(&mut self, report: Reports) -> Result<Vec<Worker>> {
        let mut by_sender: BTreeMap<NetNsId, (NetNs, Vec<ProbeTarget>)> = BTreeMap::new();
        for (pair, flow) in self.pairs.iter().zip(self.first..) {
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

    pub(super) fn apply(&mut self, flow: u32, report: Report) {
        let Some(place) = self.place(flow) else {
            return;
        };
        match report {
            Report::Opened { from, ports, to } => {
                let pair = &self.pairs[place];
                if pair.route.to.address != Some(to) {
                    self.backends.insert(place, to);
                }
                self.opened(flow, pair, from, ports);
            }
            Report::Sent(sequence, at) => {
                self.sent += 1;
                if place == 0 {
                    self.sent_at.insert(sequence, at);
                }
            }
            Report::Answered(sequence, answer) => {
                self.observations[place].answers.insert(sequence, answer);
            }
        }
    }

    fn opened(&mut self, flow: u32, pair: &ProbePair, address: IpAddr, ports: Vec<u16>) {
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

    pub(super) fn read(&mut self, seen: &[HookRecord]) {
        for record in seen {
            match self.reader.read(record) {
                Some((flow, crossing)) => {
                    if let Some(place) = self.place(flow) {
                        self.observations[place].crossings.push(crossing);
                    }
                }
                None if self.reader.owns.len() < self.pairs.len() => self.unread.push(*record),
                None => {}
            }
        }
    }

    /// Empties the ring buffer of dropped packets.
    pub(super) fn read_drops(&mut self, drops: &mut Result<Drops, NoDrops>) {
        if let Ok(drops) = drops {
            self.dropped.extend(drops.take());
        }
    }

    pub(super) fn verdicts(
        mut self,
        recorded: &Recorded<Marks>,
        drops: &Result<Drops, NoDrops>,
    ) -> Vec<Verdict> {
        let mut observations = std::mem::take(&mut self.observations);
        if let Ok(source) = drops {
            for (flow, dropping) in drops::by_pair(source, &self.dropped, self.view) {
                if let Some(place) = self.place(flow) {
                    observations[place].drops.push(dropping);
                }
            }
        }
        let no_drops = match drops.as_ref().map(Drops::lost) {
            Ok(events) if events <= self.drops_lost => None,
            Ok(events) => Some(Note::DropEventsLost {
                events: events - self.drops_lost,
            }),
            Err(NoDrops::Other(_)) => None,
            Err(NoDrops::Lockdown) => Some(Note::DropReasonsLockedDown),
        };
        let judged = observations.into_iter().enumerate();
        judged
            .map(|(place, observation)| {
                let mut verdict = self.judge(place, recorded, observation);
                if verdict.losses.iter().any(|loss| loss.drop_reason.is_none()) {
                    verdict.notes.extend(no_drops.clone());
                }
                verdict
            })
            .collect()
    }

    fn judge(
        &self,
        place: usize,
        recorded: &Recorded<Marks>,
        mut observation: Observation,
    ) -> Verdict {
        let pair = &self.pairs[place];
        let cluster = &self.view.cluster;
        recorded.add_to(&mut observation);
        observation.notes.extend(pair.notes.iter().cloned());
        let (route, mut expected) = self.actual(place, &pair.route, recorded, &mut observation);
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
        recorded.judge(cluster, &route, &expected, observation, &probes)
    }

    /// The route with the address of the sender's socket, and with the pods behind a service; and the
    /// expected paths.
    fn actual(
        &self,
        place: usize,
        route: &Route,
        recorded: &Recorded<Marks>,
        observation: &mut Observation,
    ) -> (Route, Vec<Expectation>) {
        let mut route = route.clone();
        if route.from.address.is_none() {
            route.from.address = self.own(place).map(|own| own.address);
        }
        let mut receivers = self.receivers(place, &route, observation);
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
    fn receivers(&self, place: usize, route: &Route, observation: &Observation) -> Vec<Receiver> {
        let cluster = &self.view.cluster;
        let mut receivers = receivers(self.view, route, &observation.crossings);
        if let (true, Some(backend)) = (receivers.is_empty(), self.backends.get(&place)) {
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

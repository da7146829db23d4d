//! `--passive`: sends nothing, and follows the traffic that is there between A and B.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Context as _, Result};
use netviz_ebpf::follow::{PairPacket, Tally, Traffic};
use nix::time::{ClockId, clock_gettime};

use super::{
    receiver::receivers,
    session::{Options, Recorded, Session},
};
use crate::{
    model::{Direction, Door, DoorId, Side, rounded},
    sys::{privileges, signals::Signals},
    verify::{
        Found, Hook, Note, Observation, Party, Protocol, Route, Way,
        collect::{
            crossings::{AddressPair, HookRecord, Totals, Window},
            following::{Following, Known, follow},
        },
        context::View,
        expect::doors::node_name,
        verdict::{self, Probes, Verdict},
    },
};

/// Whose packets to follow.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) route: Route,
    /// All if `None`.
    pub(crate) protocol: Option<Protocol>,
    /// B's port; all if `None`.
    pub(crate) port: Option<u16>,
    /// For how long.
    pub(crate) window: Duration,
    /// What to report of the choice of ends.
    pub(crate) notes: Vec<Note>,
}

/// Follows packets, and judges. Nothing is left at any door when it returns. `attaching` is
/// called with the number of doors, `started` once
/// programs are attached at every door.
pub(crate) async fn run(
    view: &View,
    filter: Filter,
    options: Options,
    attaching: impl FnOnce(usize),
    started: impl FnOnce(),
    signals: &mut Signals,
) -> Result<Verdict> {
    let Route { from, to, .. } = &filter.route;
    let (from, to) = (from.needed_address()?, to.needed_address()?);
    let protocol = filter.protocol.map(|protocol| protocol.number(from));
    let pair = AddressPair::new((from, to), protocol, filter.port, filter.window);
    let pair = pair.with_context(|| {
        format!("{from} and {to} are of different address families: name two addresses of one, or use --ipv6")
    })?;
    let routes = std::iter::once(&filter.route);
    let mut session = Session::start(view, pair, options)?;
    let round = session.begin(view, routes, attaching, signals).await?;
    let round = round.context("interrupted by a signal")?;
    // The threads that watch hooks or read Cilium's maps have their own.
    privileges::keep_only(&[]);
    let mut window = pair.window(round.ready.at);
    started();
    let mut seen = Vec::new();
    let mut end = Box::pin(tokio::time::sleep(pair.time()));
    loop {
        tokio::select! {
            () = &mut end => break,
            more = session.next() => seen.extend(more),
            () = signals.any() => {
                window.until = window.until.min(now());
                tokio::time::sleep(AddressPair::arrive()).await;
                break;
            }
        }
    }
    let (recorded, rest) = session.end(round).await?;
    drop(session);
    seen.extend(rest);
    let tallies = tallies(&recorded.summary.totals);
    let passive = Passive {
        view,
        filter,
        options,
        window,
        recorded,
        tallies,
    };
    Ok(passive.judge(&seen))
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::MAX, Duration::from)
}

/// All packets of each way, by hook.
type Tallies = BTreeMap<(Way, Hook), Tally>;

fn tallies(totals: &HashMap<DoorId, Totals>) -> Tallies {
    let mut tallies = Tallies::new();
    for (door, totals) in totals {
        let Traffic { ingress, egress } = totals.traffic;
        for way in Way::BOTH {
            tallies.insert((way, (*door, Direction::Ingress)), ingress[way as usize]);
            tallies.insert((way, (*door, Direction::Egress)), egress[way as usize]);
        }
    }
    tallies
}

/// What is known once the programs are detached.
struct Passive<'a> {
    view: &'a View,
    filter: Filter,
    options: Options,
    window: Window,
    recorded: Recorded<AddressPair>,
    tallies: Tallies,
}

impl Passive<'_> {
    fn judge(&self, seen: &[HookRecord<PairPacket>]) -> Verdict {
        let Route { from, to, .. } = &self.filter.route;
        let totals = self.recorded.summary.totals.values();
        let known = Known {
            origins: [from, to].map(|end| self.origins(end)),
            window: self.window,
            // All doors have reported the same packets at the highest level.
            level: totals.map(|totals| totals.level).max().unwrap_or(0),
        };
        let following = follow(seen, &known);
        let [sent, back] = following.left;
        let [there, returned] = Way::BOTH.map(|way| self.total(&known, way));
        let tallies = self.tallies.iter();
        let mut observation = Observation {
            sent,
            found: Some(Found {
                back,
                asked: following.asked,
            }),
            crossings: following.crossings.clone(),
            one_way: self.options.one_way,
            packets: tallies
                .map(|(hook, tally)| (*hook, tally.packets))
                .collect(),
            ..Observation::default()
        };
        self.recorded.add_to(&mut observation);
        let mut route = self.filter.route.clone();
        let receivers = receivers(self.view, &route, &observation.crossings);
        if let Some(receiver) = receivers.into_iter().next() {
            receiver.apply(&mut route, &mut observation);
        }
        let bundled = there.bundled + returned.bundled;
        observation.notes.extend(self.filter.notes.iter().cloned());
        observation.notes.extend(self.notes(&following, bundled));
        let probes = Probes {
            port: self.filter.port,
            ..Probes::default()
        };
        let (cluster, mode) = (&self.view.cluster, self.options.mode);
        let expected = self.recorded.expectations(cluster, &route, mode);
        let mut verdict = self
            .recorded
            .judge(cluster, &route, &expected, observation, &probes);
        verdict.traffic = Some(verdict::Traffic {
            seconds: rounded(
                self.window
                    .until
                    .saturating_sub(self.window.from)
                    .as_secs_f64(),
            ),
            protocol: self.filter.protocol,
            request_packets: there.packets,
            reply_packets: returned.packets,
            followed_one_in: 1 << known.level,
            returned: back,
        });
        verdict
    }

    /// The hooks by which all packets leave a pod: its own doors, else the node's ends of them.
    fn origins(&self, end: &Party) -> Vec<Hook> {
        let Some(netns) = end.place.netns() else {
            return Vec::new();
        };
        let hidden = &self.recorded.summary.hidden;
        let watched = |hook: &Hook| {
            self.tallies.contains_key(&(Way::Request, *hook)) && !hidden.contains_key(&hook.0)
        };
        let of = |side, direction| {
            let doors = self.view.doors().iter().filter(move |door| {
                let inner = match side {
                    Side::Pod => Some(&door.id.netns),
                    _ => door.peer.as_ref().map(|peer| &peer.id.netns),
                };
                door.side == side && inner.and_then(|inner| inner.known()) == Some(netns)
            });
            let hooks: Vec<_> = doors.map(|door| (door.id, direction)).collect();
            Some(hooks).filter(|hooks| !hooks.is_empty() && hooks.iter().all(watched))
        };
        of(Side::Pod, Direction::Egress)
            .or_else(|| of(Side::Node, Direction::Ingress))
            .unwrap_or_default()
    }

    fn notes(&self, following: &Following, bundled: u64) -> Vec<Note> {
        let cluster = &self.view.cluster;
        let stray = |((way, (id, direction)), packets): (&(Way, Hook), &u32)| {
            let door = cluster.door(*id);
            Note::Strays {
                way: *way,
                packets: *packets,
                interface: door.map_or_else(|| format!("if{}", id.ifindex), Door::label),
                direction: *direction,
                node: door.map_or("", |door| node_name(cluster, door.node)).into(),
            }
        };
        let mut notes: Vec<_> = following.strays.iter().map(stray).collect();
        if bundled > 0 {
            notes.push(Note::Bundled { packets: bundled });
        }
        let [sent, back] = following.left;
        notes.extend((sent == 0 && back > 0).then_some(Note::ReplyOnly));
        let silent = sent > 0 && back == 0 && following.asked == 0;
        notes.extend(silent.then_some(Note::NoReplies));
        notes
    }

    /// All packets of a way at the door where they leave, or else at the one that saw most.
    fn total(&self, known: &Known, way: Way) -> Tally {
        let origins = known.origins[way as usize].iter();
        let leaving = origins.filter_map(|hook| self.tallies.get(&(way, *hook)));
        let leaving = leaving.max_by_key(|tally| tally.packets);
        let all = self.tallies.iter().filter(|((other, _), _)| *other == way);
        let mut all = all.map(|(_, tally)| tally);
        let most = || all.by_ref().max_by_key(|tally| tally.packets);
        leaving.or_else(most).copied().unwrap_or_default()
    }
}

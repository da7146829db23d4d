//! `--passive`: sends nothing, and follows the traffic that is there between A and B.

use std::time::Duration;

use anyhow::{Context as _, Result};
use netviz_ebpf::follow::{Passed, Tally};
use nix::time::{ClockId, clock_gettime};

use super::session::{Options, Recorded, Session};
use crate::{
    model::{Direction, DoorId, Side},
    sys::{privileges, signals::Signals},
    verify::{
        collect::{
            crossings::{AddressPair, Sighting, Totals, Window},
            following::{self, Following, Known},
        },
        context::View,
        facts::Note,
        observation::{Found, Hidden, Hook, Observation, Way},
        protocol::Protocol,
        route::{Party, Route},
        verdict::{Probes, Traffic, Verdict},
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
}

/// Follows packets, and judges. Nothing is left at any door when it returns. `started` is called once
/// programs are attached at every door.
pub(crate) async fn run(
    view: &View,
    filter: Filter,
    options: Options,
    started: impl FnOnce(),
    signals: &mut Signals,
) -> Result<Verdict> {
    let Route { from, to } = &filter.route;
    let (from, to) = (from.needed_address()?, to.needed_address()?);
    let protocol = filter.protocol.map(|protocol| protocol.number(from));
    let pair = AddressPair::new((from, to), protocol, filter.port, filter.window);
    let pair = pair.with_context(|| {
        format!("{from} and {to} are of different address families: name two addresses of one, or use --ipv6")
    })?;
    let routes = std::iter::once(&filter.route);
    let session = Session::start(view, routes, pair, options, signals).await?;
    let mut session = session.context("interrupted by a signal")?;
    // The threads that watch hooks or read Cilium's maps have their own.
    privileges::keep_only(&[]);
    let mut window = pair.window(session.ready.at);
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
    let attached: Vec<DoorId> = session.ready.chains.keys().copied().collect();
    let (recorded, rest) = session.finish();
    seen.extend(rest);
    let passive = Passive {
        view,
        filter,
        options,
        window,
        attached,
        recorded,
    };
    Ok(passive.judge(&seen))
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::MAX, Duration::from)
}

/// What is known once the programs are detached.
struct Passive<'a> {
    view: &'a View,
    filter: Filter,
    options: Options,
    window: Window,
    attached: Vec<DoorId>,
    recorded: Recorded<AddressPair>,
}

impl Passive<'_> {
    fn judge(&self, seen: &[Sighting<Passed>]) -> Verdict {
        let Route { from, to } = &self.filter.route;
        let totals = self.recorded.summary.balances.values();
        let known = Known {
            origins: [from, to].map(|end| self.origins(end)),
            window: self.window,
            // All doors have reported the same packets at the highest level.
            level: totals.map(|totals| totals.level).max().unwrap_or(0),
        };
        let following = following::follow(seen, &known);
        let observation = self.observation(&following, &known);
        let probes = Probes {
            protocol: None,
            port: self.filter.port,
            bytes: None,
        };
        let (view, route, mode) = (self.view, &self.filter.route, self.options.mode);
        let recorded = &self.recorded;
        let mut verdict = recorded.judge(view, route, mode, &observation, probes, |_| {});
        verdict.traffic = Some(self.traffic(&following, &known));
        verdict
    }

    /// The hooks by which all packets leave a pod: its own doors, else the node's ends of them.
    fn origins(&self, end: &Party) -> Vec<Hook> {
        let Some(netns) = end.place.netns() else {
            return Vec::new();
        };
        let is_hidden = |door: DoorId| {
            let mut hidden = self.recorded.hidden.iter();
            hidden.any(|hidden: &Hidden| hidden.door == door)
        };
        let watched = |(door, _): &Hook| self.attached.contains(door) && !is_hidden(*door);
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

    fn observation(&self, following: &Following, known: &Known) -> Observation {
        let [sent, back] = following.left;
        let mut observation = Observation {
            sent,
            found: Some(Found {
                back,
                asked: following.asked,
            }),
            crossings: following.crossings.clone(),
            one_way: self.options.one_way,
            packets: self.all_hooks().collect(),
            ..Observation::default()
        };
        self.recorded.add_to(&mut observation);
        observation.notes.extend(self.notes(following, known));
        observation
    }

    fn notes(&self, following: &Following, known: &Known) -> Vec<Note> {
        let mut notes: Vec<_> = following
            .strays
            .iter()
            .map(|(k, n)| self.strays(k, *n))
            .collect();
        let bundled = Way::BOTH.map(|way| self.total(known, way).bundled);
        let packets = bundled.iter().sum();
        notes.extend((packets > 0).then_some(Note::Bundled { packets }));
        let [sent, back] = following.left;
        notes.extend((sent == 0 && back > 0).then_some(Note::ReplyOnly));
        let silent = sent > 0 && back == 0 && following.asked == 0;
        notes.extend(silent.then_some(Note::NoReplies));
        notes
    }

    fn strays(&self, (way, (id, direction)): &(Way, Hook), packets: u32) -> Note {
        let cluster = &self.view.cluster;
        let door = cluster.door(*id);
        let node = door.and_then(|door| cluster.nodes.get(door.node));
        Note::Strays {
            way: *way,
            packets,
            interface: door.map_or_else(|| format!("if{}", id.ifindex), |door| door.label()),
            direction: *direction,
            node: node.map_or_else(String::new, |node| node.name.raw().into()),
        }
    }

    fn traffic(&self, following: &Following, known: &Known) -> Traffic {
        let Window { from, until } = self.window;
        let [request, reply] = Way::BOTH.map(|way| self.total(known, way).packets);
        Traffic {
            seconds: until.saturating_sub(from).as_secs_f64(),
            protocol: self.filter.protocol,
            request_packets: request,
            reply_packets: reply,
            followed_one_in: 1 << known.level,
            returned: following.left[1],
        }
    }

    /// All packets of a way at the door where they leave, or else at the one that saw most.
    fn total(&self, known: &Known, way: Way) -> Tally {
        let balances = &self.recorded.summary.balances;
        let of = |(door, direction): &Hook| Some(tally(balances.get(door)?, *direction, way));
        let origins = known.origins[way as usize].iter().filter_map(of);
        let leaving = origins.max_by_key(|tally| tally.packets);
        let all = || {
            let all = balances
                .values()
                .flat_map(|totals| BOTH_HOOKS.map(|direction| tally(totals, direction, way)));
            all.max_by_key(|tally| tally.packets)
        };
        leaving.or_else(all).unwrap_or_default()
    }

    /// What each hook counted.
    fn all_hooks(&self) -> impl Iterator<Item = ((Way, Hook), u64)> {
        let balances = self.recorded.summary.balances.iter();
        balances.flat_map(|(door, totals)| {
            Way::BOTH.into_iter().flat_map(move |way| {
                BOTH_HOOKS.map(|direction| {
                    let packets = tally(totals, direction, way).packets;
                    ((way, (*door, direction)), packets)
                })
            })
        })
    }
}

const BOTH_HOOKS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

fn tally(totals: &Totals, direction: Direction, way: Way) -> Tally {
    match direction {
        Direction::Ingress => totals.traffic.ingress[way as usize],
        Direction::Egress => totals.traffic.egress[way as usize],
    }
}

//! `--passive`: nothing is sent; what is there between A and B is followed.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::{Context as _, Result};
use netviz_ebpf::follow::{Passed, Tally};
use nix::time::{ClockId, clock_gettime};

use super::{
    attached_programs,
    cilium_drops::{self, CiliumDropping, CiliumDrops},
    crossings::{self, AddressPair, News, Ready, Sighting, Summary, Totals, Window},
    following::{self, Following, Hook, Known},
    probe::Protocol,
    watch_set,
};
use crate::{
    app::verify::mode,
    attach::AttachOptions,
    cli::VerifyArgs,
    model::{Direction, DoorId, Side},
    sys::{privileges, signals::Signals},
    verify::{
        self,
        context::View,
        judge::{PASSIVE, causes},
        observation::{Found, Hidden, Observation},
        route::{Party, Place, Route},
        verdict::{CrossingRow, Probes, Traffic, Verdict},
    },
};

/// Looks for as long as was said, and judges. Nothing is left at any door when it returns.
pub(crate) async fn run(
    args: &VerifyArgs,
    look: &View,
    route: Route,
    port: Option<u16>,
    signals: &mut Signals,
) -> Result<Verdict> {
    let addresses = (address(&route.from)?, address(&route.to)?);
    let protocol = args
        .proto
        .map(|protocol| number(protocol, addresses.0.is_ipv4()));
    let pair = AddressPair::new(addresses, protocol, port, args.window).with_context(|| {
        format!(
            "{} and {} are not of one address family: name two addresses of one, or say --ipv6",
            addresses.0, addresses.1
        )
    })?;
    let chosen = watch_set::doors(look, std::iter::once(&route), args.every_door);
    let (watching, standing, mut news) = crossings::watch(
        look.found.clone(),
        chosen.doors,
        pair,
        AttachOptions::of_command(args.fast_attach),
    )?;
    let standing = tokio::select! {
        standing = standing => standing.context("looking out at the doors has ended unexpectedly")?,
        () = signals.any() => anyhow::bail!("ended by a signal before its time"),
    };
    let cilium = cilium_drops::start(look);
    // Whoever looks out or reads Cilium's drops has his own.
    privileges::keep_only(&[]);
    let mut window = pair.window(standing.at);
    say(args, &addresses);
    let mut seen = Vec::new();
    let mut end = Box::pin(tokio::time::sleep(pair.time()));
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(News::Seen(more)) = news.recv() => seen.extend(more),
            () = signals.any() => {
                window.until = window.until.min(now());
                tokio::time::sleep(AddressPair::arrive()).await;
                break;
            }
        }
    }
    let cilium = cilium.map(CiliumDropping::finish).unwrap_or_default();
    let closing = watching.finish();
    while let Ok(News::Seen(more)) = news.try_recv() {
        seen.extend(more);
    }
    seen.extend(closing.seen.iter().copied());
    let passive = Passive {
        args,
        look,
        route,
        port,
        window,
        standing: &standing,
        closing: &closing,
        cilium,
        note: chosen.note,
    };
    Ok(passive.judge(&seen))
}

/// In one line, at a terminal: it takes a while.
fn say(args: &VerifyArgs, addresses: &(std::net::IpAddr, std::net::IpAddr)) {
    log::info!("every door stands; following from now on");
    if io::stderr().is_terminal() {
        eprintln!(
            "netviz: following what {} and {} send each other for {} s; Ctrl-C ends it sooner",
            addresses.0,
            addresses.1,
            args.window.as_secs()
        );
    }
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::MAX, Duration::from)
}

fn address(party: &Party) -> Result<std::net::IpAddr> {
    party.address.with_context(|| {
        format!(
            "{} has no address of the family that is wanted: see `netviz doors -o json`, or name an address",
            party.name
        )
    })
}

/// The IP protocol's number.
fn number(protocol: Protocol, is_ipv4: bool) -> u8 {
    match protocol {
        Protocol::Icmp if is_ipv4 => 1,
        Protocol::Icmp => 58,
        Protocol::Udp => 17,
        Protocol::Tcp => 6,
    }
}

/// What was seen, and what is needed to judge it.
struct Passive<'a> {
    args: &'a VerifyArgs,
    look: &'a View,
    route: Route,
    port: Option<u16>,
    window: Window,
    standing: &'a Ready,
    closing: &'a Summary<AddressPair>,
    cilium: CiliumDrops,
    note: Option<String>,
}

impl Passive<'_> {
    fn judge(&self, seen: &[Sighting<Passed>]) -> Verdict {
        let cluster = &self.look.cluster;
        let hidden = attached_programs::hidden(self.standing, &self.closing.hidden);
        let known = Known {
            origins: [&self.route.from, &self.route.to].map(|end| self.origins(end, &hidden)),
            window: self.window,
            level: self.level(),
        };
        let following = following::follow(seen, &known);
        let observation = self.observation(&following, &known, hidden);
        let hooks = attached_programs::hooks(self.standing);
        let asked = self.args.mode.map(mode);
        let candidates = verify::candidates(cluster, &self.route, &hooks, asked);
        let expectations = verify::expectations(cluster, &self.route, &candidates, &hooks);
        let probes = Probes {
            protocol: PASSIVE.into(),
            port: self.port,
            bytes: None,
        };
        let mut verdict = verify::judge(cluster, &self.route, &expectations, &observation, probes);
        verdict.traffic = Some(self.traffic(&following, &known));
        causes::add(&mut verdict, cluster, &hooks, &self.cilium);
        self.count(&mut verdict);
        verdict
    }

    /// The hook by which everything leaves a pod: its own door, else the node's end of it.
    fn origins(&self, end: &Party, hidden: &[Hidden]) -> Vec<Hook> {
        let Place::Pod { netns, .. } = end.place else {
            return Vec::new();
        };
        let watched = |door: DoorId| {
            self.standing.chains.contains_key(&door)
                && !hidden.iter().any(|hidden| hidden.door == door)
        };
        let of = |side, direction| {
            let doors = self.look.doors().iter().filter(move |door| {
                let space = match side {
                    Side::Pod => Some(&door.id.netns),
                    _ => door.peer.as_ref().map(|peer| &peer.id.netns),
                };
                door.side == side && space.and_then(|space| space.known()) == Some(netns)
            });
            let doors: Vec<_> = doors.map(|door| (door.id, direction)).collect();
            Some(doors)
                .filter(|doors| !doors.is_empty() && doors.iter().all(|(door, _)| watched(*door)))
        };
        of(Side::Pod, Direction::Egress)
            .or_else(|| of(Side::Node, Direction::Ingress))
            .unwrap_or_default()
    }

    /// At this level every door has told of the same packets.
    fn level(&self) -> u64 {
        let balances = self.closing.balances.values();
        balances.map(|balance| balance.level).max().unwrap_or(0)
    }

    fn observation(
        &self,
        following: &Following,
        known: &Known,
        hidden: Vec<Hidden>,
    ) -> Observation {
        let [sent, back] = following.left;
        Observation {
            sent,
            found: Some(Found {
                back,
                asked: following.asked,
            }),
            crossings: following.crossings.clone(),
            hidden,
            missed: self.closing.missed.values().sum(),
            one_way: self.args.one_way,
            notes: self.notes(following, known),
            ..Observation::default()
        }
    }

    fn notes(&self, following: &Following, known: &Known) -> Vec<String> {
        let cluster = &self.look.cluster;
        let ends = [&self.route.from.name, &self.route.to.name];
        let mut notes: Vec<_> = self.note.iter().cloned().collect();
        for ((way, hook), packets) in &following.strays {
            let (from, to) = (ends[*way], ends[1 - *way]);
            let door = verify::label(cluster, *hook);
            notes.push(format!(
                "{packets} packets from {from} to {to} were seen first at {door}, and not leaving {from}: their addresses were translated on the way (a service's), or somebody else has sent them; they are not followed"
            ));
        }
        let bundled: u64 = [0, 1]
            .iter()
            .map(|way| self.total(known, *way).bundled)
            .sum();
        if bundled > 0 {
            notes.push(format!(
                "{bundled} packets left in bundles that are cut and merged on the way (UDP GSO): counted, and not followed"
            ));
        }
        let [sent, back] = following.left;
        if sent == 0 && back > 0 {
            notes.push(format!(
                "no packet from {} to {} was seen, the other way alone",
                ends[0], ends[1]
            ));
        }
        if sent > 0 && back == 0 && following.asked == 0 {
            notes.push(format!(
                "nothing came back from {}; what was seen need not be answered",
                ends[1]
            ));
        }
        notes
    }

    fn traffic(&self, following: &Following, known: &Known) -> Traffic {
        let [request, reply] = [0, 1].map(|way| self.total(known, way).packets);
        Traffic {
            seconds: self
                .window
                .until
                .saturating_sub(self.window.from)
                .as_secs_f64(),
            protocol: self.args.proto.map(|protocol| protocol.to_string()),
            request_packets: request,
            reply_packets: reply,
            followed_one_in: 1 << known.level,
            returned: following.left[1],
        }
    }

    /// All packets of a way where they leave, or else at the door that saw most of them.
    fn total(&self, known: &Known, way: usize) -> Tally {
        let at = |hook: &Hook| {
            let balance = self.closing.balances.get(&hook.0)?;
            Some(tally(balance, hook.1, way))
        };
        let origins = &known.origins[way];
        if let Some(tally) = origins
            .iter()
            .filter_map(at)
            .max_by_key(|tally| tally.packets)
        {
            return tally;
        }
        let balances = self.closing.balances.values();
        let all = balances.flat_map(|balance| {
            [Direction::Ingress, Direction::Egress].map(|direction| tally(balance, direction, way))
        });
        all.max_by_key(|tally| tally.packets).unwrap_or_default()
    }

    /// What each door counted, followed or not.
    fn count(&self, verdict: &mut Verdict) {
        let cluster = &self.look.cluster;
        let balances: &HashMap<_, _> = &self.closing.balances;
        let count = |row: &mut CrossingRow, way: usize| {
            let door = causes::door(cluster, row);
            let balance = door.and_then(|door| balances.get(&door.id));
            row.packets = balance.map(|balance| tally(balance, row.direction, way).packets);
        };
        verdict.request.iter_mut().for_each(|row| count(row, 0));
        verdict.reply.iter_mut().for_each(|row| count(row, 1));
    }
}

fn tally(balance: &Totals, direction: Direction, way: usize) -> Tally {
    match direction {
        Direction::Ingress => balance.traffic.ingress[way],
        Direction::Egress => balance.traffic.egress[way],
    }
}

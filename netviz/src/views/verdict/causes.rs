//! The cause of a loss in a sentence, and the command that comes next.

use std::collections::BTreeMap;

use std::net::IpAddr;

use super::{
    places::{label, owner, preposition},
    reasons::explanation,
};
use crate::{
    audit::Owner,
    model::{Direction, MacvlanMode, Untrusted},
    names::policies::{Policy, Unread, UnreadReason},
    verify::{Cause, DropReason, Interface, Location, Loss, Program, Verdict, Way},
    views::text::{list, safe},
};

/// The causes of a loss.
pub fn causes(verdict: &Verdict, loss: &Loss) -> Vec<String> {
    let cause = |it| safe(&cause(verdict, loss, it));
    loss.causes.iter().map(cause).collect()
}

/// What to do about each cause, if anything can be done from here.
pub fn remedies(verdict: &Verdict, loss: &Loss) -> Vec<Option<String>> {
    let remedy = |it| remedy(verdict, it).map(|text| safe(&text));
    loss.causes.iter().map(remedy).collect()
}

fn of(location: &Location) -> String {
    owner(&location.node, location.pod.as_ref(), location.side)
}

/// `on node mycluster-worker`, `in pod default/busybox`
fn inside(location: &Location) -> String {
    format!("{} {}", preposition(location.side), of(location))
}

/// `eth0 in pod default/busybox`
fn named(at: &Interface) -> String {
    format!("{} {}", at.interface, inside(&at.location))
}

fn own_address(verdict: &Verdict) -> String {
    let (from, to) = (&verdict.from.name, &verdict.to.name);
    let address = verdict.to.address.as_deref().unwrap_or("its address");
    format!("{from} has {address} itself: packets to {to} do not leave it")
}

/// Who received packets in B's place, and answered them.
fn other_receiver(verdict: &Verdict, row: Option<usize>, answered: u32) -> String {
    let to = &verdict.to;
    let address = to.address.as_deref().unwrap_or("its address");
    let place = row.map(|row| label(verdict, Way::Request, row));
    match (place, answered) {
        (Some(place), 0) => format!("another pod has {address}, and received them: {place}"),
        (Some(place), _) => {
            format!("another pod has {address}, received them and answered {answered}: {place}")
        }
        (None, _) => format!(
            "something else answered {answered} of them: none was seen at {}",
            to.name
        ),
    }
}

fn reported(error: &str, router: Option<IpAddr>) -> String {
    match router {
        Some(router) => format!("{error} (reported by {router})"),
        None => format!("{error} (reported by the sender's own kernel)"),
    }
}

fn cause(verdict: &Verdict, loss: &Loss, cause: &Cause) -> String {
    let (from, to) = (&verdict.from.name, &verdict.to.name);
    match cause {
        Cause::KernelDrop {
            drop,
            location,
            tunnel_port,
        } => kernel_drop(drop, location.as_ref(), *tunnel_port),
        Cause::Error { error, from } => reported(error, *from),
        Cause::RefusedOnTheWay { answer } => format!(
            "refused with the address of {to} by something on the way, a firewall's REJECT for example: {answer}"
        ),
        Cause::Circle => {
            "a routing loop: packets come back to the same interfaces until their TTL ends".into()
        }
        Cause::Programs {
            programs,
            at,
            direction,
            dropped,
        } => by_programs(programs, at, *direction, *dropped),
        Cause::CiliumDrops { node, drops, .. } => match drops.as_slice() {
            [drop] if drop.packets >= u64::from(loss.packets) => {
                let packets = drop.packets;
                format!("Cilium dropped them: {drop} ({packets} counted on node {node})")
            }
            drops => {
                let drops = drops.iter().map(|drop| format!("{drop}: {}", drop.packets));
                let drops = list(drops, "; ");
                format!(
                    "Cilium's drop counters on {node} rose during the run (all traffic): {drops}"
                )
            }
        },
        Cause::NoReply { .. } => {
            format!("no process of {to} answered them (the kernel reports no drop)")
        }
        Cause::OwnAddress => own_address(verdict),
        Cause::OtherReceiver { row, answered } => other_receiver(verdict, *row, *answered),
        Cause::NoSuchAddress => format!("nobody has {to}"),
        Cause::LeftSight { row } => {
            let door = label(verdict, Way::Request, *row);
            format!("not visible from here: packets left by {door}, and nothing beyond answered")
        }
        Cause::ReplyNotReceived { .. } => {
            format!("{from} dropped the replies, or they were late")
        }
        Cause::Unexplained => {
            "not found: devices, MTUs, routes, neighbours and programs show nothing here".into()
        }
        Cause::LinkDown { .. }
        | Cause::NoCarrier { .. }
        | Cause::TooLong { .. }
        | Cause::NoRoute { .. }
        | Cause::WrongNeighbour { .. }
        | Cause::NoNeighbour { .. }
        | Cause::MacvlanMode { .. }
        | Cause::ReversePath { .. } => looked_up(cause).unwrap_or_default(),
    }
}

/// What was looked up; `None` for other causes.
fn looked_up(cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::LinkDown { at } => format!("{} is down", named(at)),
        Cause::NoCarrier { at } => format!("{} has no carrier", named(at)),
        Cause::TooLong {
            bytes,
            overhead,
            mtu,
            at,
        } => {
            let overhead = match overhead {
                0 => String::new(),
                more => format!(" + {more} of the tunnel"),
            };
            format!("{bytes} bytes{overhead} > MTU {mtu} of {}", named(at))
        }
        Cause::NoRoute { to, location } => format!("{} has no route to {to}", of(location)),
        Cause::WrongNeighbour {
            address,
            mac,
            at,
            right,
            neighbour,
        } => format!(
            "{} has the MAC address {mac} for {address} at {}, but {} has {right}",
            of(&at.location),
            at.interface,
            named(neighbour)
        ),
        Cause::NoNeighbour { address, at } => format!(
            "nobody answers for {address} at {} (ARP, neighbour discovery)",
            named(at)
        ),
        Cause::MacvlanMode { mode, at, lower } => macvlan_mode(*mode, at, lower),
        Cause::ReversePath { source, at } => format!(
            "rp_filter of {} dropped them: the route back to {source} uses another interface",
            named(at)
        ),
        _ => return None,
    })
}

fn macvlan_mode(mode: MacvlanMode, at: &Interface, lower: &Interface) -> String {
    let (macvlan, device) = (named(at), named(lower));
    match mode {
        MacvlanMode::Vepa => format!(
            "{macvlan} is a macvlan in mode vepa: packets to another one of {device} go out, and the switch there does not send them back (hairpin)"
        ),
        mode => format!(
            "{macvlan} is a macvlan in mode {mode}, which does not reach the others of {device}"
        ),
    }
}

/// `qos_shaper (tcx, pid 703) dropped them at ▼ eth0 on node mycluster-worker`
fn by_programs(
    programs: &[Program],
    at: &Interface,
    direction: Direction,
    dropped: bool,
) -> String {
    let names = list(programs.iter().map(program), " or ");
    let verb = if dropped {
        "dropped"
    } else {
        "dropped or redirected"
    };
    format!("{names} {verb} them at {} {}", direction.sign(), named(at))
}

/// `qos_shaper (tcx, pid 703)`
fn program(program: &Program) -> String {
    let mut words = vec![program.attachment.to_string()];
    match program.owner {
        Owner::Cilium => words.push("Cilium's".into()),
        Owner::Netviz | Owner::Other => {
            let pids = program.held_by.iter().map(|process| process.pid);
            words.extend(pids.map(|pid| format!("pid {pid}")));
        }
    }
    format!("{} ({})", program.name, words.join(", "))
}

fn kernel_drop(drop: &DropReason, location: Option<&Location>, tunnel_port: Option<u16>) -> String {
    let packets = drop.packets;
    let noun = if packets == 1 { "packet" } else { "packets" };
    let function = drop.function.as_ref();
    if drop.is_netfilter() {
        let what = match tunnel_port {
            Some(port) => format!("{packets} {noun} of the tunnel (UDP {port})"),
            None => format!("{packets} {noun}"),
        };
        let place = location.map_or_else(String::new, |it| format!(" {}", inside(it)));
        let function = function.map_or_else(String::new, |it| format!(", {it}"));
        return format!(
            "netfilter (iptables, nftables) dropped {what}{place} (NETFILTER_DROP{function})"
        );
    }
    let reason = match drop.reason.as_deref() {
        Some("NOT_SPECIFIED") => "no reason given".into(),
        Some(reason) => match explanation(reason) {
            Some(explanation) => format!("{explanation} ({reason})"),
            None => reason.to_owned(),
        },
        None => "this kernel has no drop reasons (they need Linux 5.17)".into(),
    };
    let function = function.map_or_else(String::new, |function| format!(", in {function}"));
    let place = match (&drop.device, location) {
        (Some(device), Some(location)) => format!(", at {device} {}", inside(location)),
        (Some(device), None) => format!(", at {device}"),
        (None, _) => String::new(),
    };
    format!("the kernel dropped {packets} {noun}: {reason}{function}{place}")
}

fn remedy(verdict: &Verdict, cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::KernelDrop { drop, location, .. } => rules(drop, location.as_ref()?)?,
        Cause::LinkDown { at } => {
            let name = quoted(at.interface.raw());
            within(&at.location, &format!("ip link set {name} up"))
        }
        Cause::NoCarrier { at } | Cause::MacvlanMode { at, .. } => {
            let name = quoted(at.interface.raw());
            within(&at.location, &format!("ip -d link show {name}"))
        }
        Cause::TooLong {
            overhead, mtu, at, ..
        } => {
            let (name, most) = (quoted(at.interface.raw()), mtu.saturating_sub(*overhead));
            let show = within(&at.location, &format!("ip link show {name}"));
            format!("{show}; packets of {most} bytes fit (--size {most})")
        }
        Cause::NoRoute { to, location } => within(location, &format!("ip route get {to}")),
        Cause::WrongNeighbour { address, at, .. } => {
            let name = quoted(at.interface.raw());
            within(&at.location, &format!("ip neigh del {address} dev {name}"))
        }
        Cause::NoNeighbour { at, .. } => {
            let name = quoted(at.interface.raw());
            within(&at.location, &format!("ip neigh show dev {name}"))
        }
        Cause::ReversePath { source, at } => {
            within(&at.location, &format!("ip route get {source}"))
        }
        Cause::Programs { programs, at, .. } => {
            let foreign = programs.iter().any(|it| it.owner != Owner::Cilium);
            match foreign {
                true => format!("netviz audit --device {}", quoted(at.interface.raw())),
                false => format!(
                    "cilium-dbg monitor -t drop, in the agent's pod on node {}",
                    at.location.node
                ),
            }
        }
        Cause::CiliumDrops {
            node,
            drops,
            policies,
            unread,
        } => match drops.iter().any(|drop| drop.by_policy) {
            true => policy(verdict, policies) + &self::unread(unread),
            false => format!("cilium-dbg monitor -t drop, in the agent's pod on node {node}"),
        },
        Cause::NoSuchAddress => "netviz doors --once".into(),
        Cause::OwnAddress | Cause::OtherReceiver { .. } => return None,
        Cause::Error { .. }
        | Cause::RefusedOnTheWay { .. }
        | Cause::Circle
        | Cause::NoReply { .. }
        | Cause::LeftSight { .. }
        | Cause::ReplyNotReceived { .. }
        | Cause::Unexplained => return None,
    })
}

/// Shows the rules of a firewall.
fn rules(drop: &DropReason, location: &Location) -> Option<String> {
    let by_iptables = drop.function.as_deref() == Some("ipt_do_table");
    let rules = match by_iptables {
        true => "iptables-save -c",
        false => "nft list ruleset",
    };
    drop.is_netfilter().then(|| within(location, rules))
}

/// The policies that may be it, or how to find them.
fn policy(verdict: &Verdict, policies: &[Policy]) -> String {
    let name = |policy: &Policy| policy.name.within(policy.namespace.as_ref());
    if policies.is_empty() {
        let pod = verdict.to.pod.as_ref().map(Untrusted::raw);
        let namespace = pod.and_then(|pod| pod.split_once('/'));
        return match namespace {
            Some((namespace, _)) => {
                format!("kubectl get netpol,cnp,ccnp -n {}", quoted(namespace))
            }
            None => "kubectl get netpol,cnp,ccnp -A".into(),
        };
    }
    let names = policies
        .iter()
        .map(|it| format!("{} {}", it.kind, name(it)));
    format!("policies that select the pod: {}", list(names, ", "))
}

/// What keeps the list of policies from being complete.
fn unread(unread: &[Unread]) -> String {
    let mut by_reason: BTreeMap<&UnreadReason, Vec<&str>> = BTreeMap::new();
    for one in unread {
        by_reason
            .entry(&one.reason)
            .or_default()
            .push(&one.resource);
    }
    let parts = by_reason.into_iter().map(|(reason, resources)| {
        let resources = list(resources, ", ");
        match reason {
            UnreadReason::Forbidden => {
                format!("; not allowed to list {resources} (docs/rbac.yaml)")
            }
            UnreadReason::NotInstalled => format!("; the API does not have {resources}"),
            UnreadReason::TooMany => format!("; there are more {resources} than netviz reads"),
            UnreadReason::Failed { error } => format!("; {resources}: {error}"),
        }
    });
    parts.collect()
}

/// A command in a network namespace.
fn within(location: &Location, command: &str) -> String {
    match &location.netns {
        Some(path) => format!("nsenter --net={} {command}", quoted(path)),
        None => command.into(),
    }
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.:-@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

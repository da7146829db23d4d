//! Findings that compare a hook with other doors: Cilium's program is missing, or a foreign filter has its place.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{
    CILIUM_MISSING, CILIUM_PLACE_TAKEN, ENDPOINT_ROUTES_MIXED, NETKIT, NO_CILIUM,
    UPLINK_WITHOUT_CILIUM,
};
use crate::{
    audit::{
        findings::{Finding, Severity},
        model::{Attached, AuditedDoor, Hook, Owner, Way},
    },
    model::{Direction, LinkKind, Role, Side, Untrusted, list},
};

/// Kinds of doors that Cilium treats alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Endpoint,
    Net,
    Host,
    Overlay,
    Encryption,
    Uplink,
}

impl Kind {
    /// `None` for doors that are not Cilium's.
    fn of(door: &AuditedDoor) -> Option<Self> {
        if !door.cilium || door.side != Side::Node {
            return None;
        }
        match door.role {
            Role::Pod | Role::Health if is_endpoint(door) => Some(Self::Endpoint),
            Role::CiliumHost if door.is_named("cilium_net") => Some(Self::Net),
            Role::CiliumHost => Some(Self::Host),
            Role::Overlay => Some(Self::Overlay),
            Role::Encryption => Some(Self::Encryption),
            Role::Uplink => Some(Self::Uplink),
            Role::Pod | Role::Health | Role::Veth | Role::Bridge | Role::Other => None,
        }
    }

    /// Whether Cilium has a program there in every mode and version measured (1.14 to 1.19).
    fn always(self, direction: Direction) -> bool {
        match self {
            Self::Endpoint | Self::Net => direction == Direction::Ingress,
            Self::Host | Self::Overlay => true,
            Self::Encryption | Self::Uplink => false,
        }
    }
}

/// Whether Cilium has an endpoint here. Other containers of a node are not Cilium's.
fn is_endpoint(door: &AuditedDoor) -> bool {
    let by_name = |name: &Untrusted| name.raw().starts_with("lxc");
    door.namespace.is_some() || door.interface.as_ref().is_some_and(by_name)
}

pub(super) fn judge(doors: &[AuditedDoor]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut nodes: BTreeMap<_, Vec<&AuditedDoor>> = BTreeMap::new();
    for door in doors {
        // By namespace: two nodes may have one name.
        let node = (
            door.netns.filter(|_| door.side == Side::Node),
            door.node.raw(),
        );
        nodes.entry(node).or_default().push(door);
    }
    let elsewhere = Elsewhere::new(doors);
    for mut doors in nodes.into_values() {
        doors.sort_by_key(|door| (&door.interface, door.id));
        findings.extend(of_node(&doors, &elsewhere));
    }
    findings
}

fn of_node(doors: &[&AuditedDoor], elsewhere: &Elsewhere<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = place_taken(doors);
    let any = || hooks(doors).any(|(_, _, hook)| cilium(hook).is_some());
    match hooks(doors)
        .find(|(door, direction, _)| Kind::of(door).is_some_and(|kind| kind.always(*direction)))
    {
        Some((door, direction, _)) if !any() => findings.push(none_at_all(door, direction)),
        _ => findings.extend(hooks(doors).filter_map(|hook| missing(hook, elsewhere))),
    }
    findings.extend(endpoint_routes(doors));
    findings.extend(netkit(doors));
    findings
}

/// All hooks that were seen.
fn hooks<'a>(
    doors: &'a [&'a AuditedDoor],
) -> impl Iterator<Item = (&'a AuditedDoor, Direction, &'a Hook)> {
    doors.iter().flat_map(|door| {
        let chains = door.chains.iter();
        chains.flat_map(|chains| Direction::BOTH.map(|it| (*door, it, chains.hook(it))))
    })
}

fn cilium(hook: &Hook) -> Option<&Attached> {
    let in_chain = |it: &&Attached| it.owner == Owner::Cilium && it.way != Way::Xdp;
    hook.programs.iter().find(in_chain)
}

fn none_at_all(door: &AuditedDoor, direction: Direction) -> Finding {
    NO_CILIUM.at(
        door,
        Some(direction),
        format!(
            "{} has Cilium's devices, but none of its interfaces has a Cilium program: no policy, no routing to pods.",
            door.node
        ),
        "check that the agent on this node is healthy (cilium-dbg status); it attaches its programs when it starts",
    )
}

/// Hooks that have a Cilium program on any node: device names by kind of door and direction.
struct Elsewhere<'a>(BTreeMap<(Kind, Direction), BTreeSet<&'a str>>);

impl<'a> Elsewhere<'a> {
    fn new(doors: &'a [AuditedDoor]) -> Self {
        let mut there: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for door in doors {
            let (Some(kind), Some(chains)) = (Kind::of(door), &door.chains) else {
                continue;
            };
            for direction in Direction::BOTH {
                if cilium(chains.hook(direction)).is_some() {
                    let names = there.entry((kind, direction)).or_default();
                    names.insert(door.interface.as_ref().map_or("", Untrusted::raw));
                }
            }
        }
        Self(there)
    }

    fn names(&self, kind: Kind, direction: Direction) -> Option<&BTreeSet<&'a str>> {
        self.0.get(&(kind, direction))
    }
}

fn missing(
    (door, direction, hook): (&AuditedDoor, Direction, &Hook),
    elsewhere: &Elsewhere<'_>,
) -> Option<Finding> {
    let kind = Kind::of(door)?;
    if cilium(hook).is_some() {
        return None;
    }
    if kind.always(direction) {
        return Some(missing_where_it_always_is(door, direction, hook));
    }
    let names = elsewhere.names(kind, direction)?;
    match kind {
        // Endpoint routes are per endpoint, and have a rule of their own.
        Kind::Endpoint => None,
        Kind::Uplink if !names.contains(door.interface.as_ref().map_or("", Untrusted::raw)) => {
            // The members of a bond have no address; Cilium does not attach to them.
            let own = !door.addresses.is_empty();
            own.then(|| other_uplink(door, direction, names))
        }
        _ => Some(missing_beside_others(door, direction)),
    }
}

fn missing_where_it_always_is(door: &AuditedDoor, direction: Direction, hook: &Hook) -> Finding {
    let others = hook.programs.iter().filter(|it| it.owner == Owner::Other);
    let others: Vec<_> = others.map(|it| it.name.raw()).collect();
    let there = match others.is_empty() {
        true => "no program here; Cilium always has one".to_owned(),
        false => format!(
            "Cilium's program is missing: only {} is attached",
            others.join(", ")
        ),
    };
    let what = match Kind::of(door) {
        Some(Kind::Endpoint) => "what this endpoint sends is neither policed nor routed by Cilium",
        _ => "what crosses this door is not handled by Cilium",
    };
    CILIUM_MISSING
        .at(
            door,
            Some(direction),
            format!("{there}: {what}."),
            "restart the agent on this node: it attaches its programs again; then find the tool that removed it (a tool that removes filters or the clsact qdisc, a security agent)",
        )
        .about(&hook.programs)
}

fn missing_beside_others(door: &AuditedDoor, direction: Direction) -> Finding {
    CILIUM_MISSING
        .at(
            door,
            Some(direction),
            "Cilium's program is missing: other interfaces of this kind have it.".into(),
            "compare the agents' configuration on the nodes; restarting the agent on this node attaches its programs again",
        )
        .with(Severity::Warning)
}

fn other_uplink(door: &AuditedDoor, direction: Direction, names: &BTreeSet<&str>) -> Finding {
    UPLINK_WITHOUT_CILIUM.at(
        door,
        Some(direction),
        format!(
            "no Cilium program here, but at {}: Cilium does not handle traffic on this interface.",
            list(names, ", ")
        ),
        "none needed if this is intended; otherwise add the device to Cilium's configuration (devices)",
    )
}

/// Cilium replaces a filter with its priority and handle; the owner of that one later removes Cilium's.
fn place_taken(doors: &[&AuditedDoor]) -> Vec<Finding> {
    let taken = hooks(doors).filter_map(|(door, direction, hook)| {
        Kind::of(door)?;
        if cilium(hook).is_some() {
            return None;
        }
        let filter = hook.programs.iter().find(|it| {
            let place = it.filter.as_ref().map(|filter| (filter.priority, filter.handle));
            it.way == Way::Clsact && it.owner == Owner::Other && place == Some((1, 1))
        })?;
        let message = format!(
            "{} has priority 1 and handle 1, which Cilium uses: Cilium replaces it, and when its owner cleans up, it removes Cilium's instead.",
            filter.name
        );
        let remedy = "its owner should use its own handle, and attach after Cilium";
        Some(CILIUM_PLACE_TAKEN.at(door, Some(direction), message, remedy).about([filter]))
    });
    taken.collect()
}

fn endpoint_routes(doors: &[&AuditedDoor]) -> Option<Finding> {
    let (with, without): (Vec<_>, Vec<_>) = hooks(doors)
        .filter(|(door, direction, _)| {
            *direction == Direction::Egress && Kind::of(door) == Some(Kind::Endpoint)
        })
        .partition(|(_, _, hook)| cilium(hook).is_some());
    let (Some((door, direction, hook)), false) = (with.first(), without.is_empty()) else {
        return None;
    };
    let message = format!(
        "{} of {} endpoints of this node have cil_to_container at this hook: packets to the others take another path.",
        with.len(),
        with.len() + without.len(),
    );
    let remedy =
        "none needed after endpoint routes were switched on or off: new pods take the new path";
    let finding = ENDPOINT_ROUTES_MIXED.at(door, Some(*direction), message, remedy);
    Some(finding.about(cilium(hook)))
}

fn netkit(doors: &[&AuditedDoor]) -> Option<Finding> {
    let mut netkit = doors
        .iter()
        .filter(|door| door.kind == Some(LinkKind::Netkit) && door.side == Side::Node);
    let first = netkit.next()?;
    let message = format!(
        "{} devices of this node are netkit: programs attach through the node's end with netkit links, and an unknown return code drops the packet.",
        1 + netkit.count()
    );
    let remedy = "a program at a netkit device must return NETKIT_NEXT, _PASS, _DROP or _REDIRECT on every path";
    Some(NETKIT.at(first, None, message, remedy))
}

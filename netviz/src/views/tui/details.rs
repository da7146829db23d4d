//! Everything that is known of the selected row, in lines.

use super::{
    history::{History, chart},
    list::{both, pair_name_safe, sign},
    rows::Row,
    state::State,
};
use crate::{
    audit::Owner,
    model::{Chain, DoorState, Pod, Snapshot, Source, Untrusted},
    sys::netns::NetNsId,
    views::{
        building::layout::{few, residents},
        sources, table,
        text::{UNKNOWN, bytes, count, cut_middle, rate, safe, visible_width, wrap},
    },
};

/// Columns of what a fact is of.
const LABEL: usize = 11;
/// Lines of a chart.
const CHART: usize = 3;

impl State {
    /// The details, each line at most `width` columns wide, and what they are of.
    pub(super) fn detail_lines(&self, width: usize) -> (String, Vec<String>) {
        let (Some(snapshot), Some(row)) = (&self.shown, self.row()) else {
            return (String::new(), Vec::new());
        };
        let lines = Lines {
            width,
            text: Vec::new(),
        };
        let doors = &snapshot.doors;
        match row {
            Row::Node { name, netns, .. } => {
                (name.to_string(), node(lines, snapshot, name, *netns))
            }
            Row::Room { doors: places, .. } => {
                let doors: Vec<_> = places.iter().map(|place| &doors[*place]).collect();
                (pair_name_safe(doors[0]), room(lines, snapshot, &doors))
            }
            Row::Door { door, .. } => {
                let door = &doors[*door];
                let history = self.histories.get(&door.id);
                (name(door), self::door(lines, snapshot, door, history))
            }
        }
    }

    /// How far down the details can be scrolled.
    pub(super) fn last_line(&self) -> usize {
        let area = self.places().details;
        let (_, lines) = self.detail_lines(usize::from(area.width.saturating_sub(2)));
        lines
            .len()
            .saturating_sub(usize::from(area.height.saturating_sub(1)))
    }
}

/// Lines under construction.
struct Lines {
    width: usize,
    text: Vec<String>,
}

impl Lines {
    /// A fact, if it is known; whatever a pod may have named is made safe here.
    fn fact(&mut self, what: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            let room = self.width.saturating_sub(LABEL);
            let value = breakable(&safe(&value.to_string()), room);
            let line = format!("{what:<LABEL$}{value}");
            self.text.extend(wrap(&line, self.width, LABEL));
        }
    }

    fn list(&mut self, what: &str, values: &[impl ToString]) {
        let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
        self.fact(what, (!texts.is_empty()).then(|| texts.join(" ")));
    }
}

/// Long names may be broken behind a slash, and are cut in the middle where that is not enough: it
/// is their ends by which pods are told apart.
fn breakable(text: &str, room: usize) -> String {
    let word = |word: &str| {
        if visible_width(word) <= room {
            return word.to_owned();
        }
        let parts = word.split_inclusive('/');
        let parts: Vec<_> = parts.map(|part| cut_middle(part, room)).collect();
        parts.join(" ")
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn shown(name: Option<&Untrusted>) -> String {
    name.map_or_else(|| UNKNOWN.into(), Untrusted::to_string)
}

fn name(door: &DoorState) -> String {
    format!("{} {}", shown(door.interface.as_ref()), door.ifindex)
}

fn door(
    mut lines: Lines,
    snapshot: &Snapshot,
    door: &DoorState,
    history: Option<&History>,
) -> Vec<String> {
    let (sign, _) = sign(door);
    lines.fact("state", Some(format!("{sign} {}", table::state(door))));
    for (direction, traffic) in both(door) {
        let text = format!(
            "{} packets ({}/s), {} segments, {} ({}/s)",
            count(traffic.packets),
            rate(traffic.packets_per_second),
            count(traffic.segments),
            bytes(traffic.bytes),
            bytes(traffic.bytes_per_second.map(|value| value.round() as u64)),
        );
        lines.fact(&format!("{} {direction}", direction.sign()), Some(text));
    }
    for (direction, chain) in [
        ("▼ programs", &door.programs.ingress),
        ("▲ programs", &door.programs.egress),
    ] {
        lines.fact(direction, Some(programs(chain.as_ref())));
    }
    lines.fact(
        "leads to",
        Some(pair_name_safe(door)).filter(|_| door.pod.is_some()),
    );
    lines.fact("named by", door.named_by);
    let kind = door.kind.as_ref().map(ToString::to_string);
    lines.fact("kind", Some(kind.as_deref().unwrap_or(UNKNOWN)));
    lines.fact("peer", peer(door));
    lines.list("addresses", &door.addresses);
    lines.fact("mac", door.mac.as_ref());
    lines.fact("mtu", door.mtu);
    lines.fact("link", door.link_state.as_ref());
    lines.fact("netns", door.netns);
    let seconds = door
        .counted_seconds
        .map(|seconds| format!("for {seconds:.0} s"));
    lines.fact("counted", seconds);
    charts(&mut lines, history);
    if let Some(pod) = pod(snapshot, door) {
        facts(&mut lines, pod);
    }
    disagreements(&mut lines, snapshot, &[door]);
    lines.text
}

/// The programs of a hook in the order in which they run, each with its owner.
fn programs(chain: Option<&Chain>) -> String {
    let Some(chain) = chain else {
        return UNKNOWN.into();
    };
    let owned = |name: &Untrusted| {
        let owner = match Owner::of(name.raw()) {
            Owner::Cilium => "Cilium's",
            Owner::Netviz => "another netviz's",
            Owner::Other => "somebody else's",
        };
        format!("{name} ({owner})")
    };
    let ahead = chain.ahead.iter().map(owned);
    let behind = chain.behind.iter().map(owned);
    let all: Vec<_> = ahead
        .chain(["netviz (ours)".into()])
        .chain(behind)
        .collect();
    all.join(" → ")
}

fn peer(door: &DoorState) -> Option<String> {
    let index = door.peer_ifindex?;
    Some(format!("{} {index}", shown(door.peer_interface.as_ref())))
}

fn charts(lines: &mut Lines, history: Option<&History>) {
    let Some(history) = history else {
        return;
    };
    let width = lines.width.saturating_sub(LABEL).min(60);
    for (sign, readings) in [("▼", history.ingress()), ("▲", history.egress())] {
        let most = readings.iter().flatten().copied().reduce(f64::max);
        let rows = chart(&readings, width, CHART);
        for (place, row) in rows.iter().enumerate() {
            let label = match place {
                0 => format!("{sign} {}/s", rate(most)),
                _ => String::new(),
            };
            lines
                .text
                .push(format!("{label:<LABEL$}{row}").trim_end().to_owned());
        }
    }
}

fn room(mut lines: Lines, snapshot: &Snapshot, doors: &[&DoorState]) -> Vec<String> {
    match pod(snapshot, doors[0]) {
        Some(pod) => facts(&mut lines, pod),
        None => lines.fact("named by", doors[0].named_by),
    }
    for door in doors {
        let (sign, _) = sign(door);
        lines.fact(
            "door",
            Some(format!("{}  {sign} {}", name(door), table::state(door))),
        );
    }
    for pair in &snapshot.pairs {
        if !doors.iter().any(|door| pair.ends.contains(&door.id)) {
            continue;
        }
        for direction in &pair.directions {
            let text = format!(
                "{} → {}: {} out, {} in, {} missing, {} skipped (segments)",
                shown(direction.from.as_ref()),
                shown(direction.to.as_ref()),
                count(direction.out),
                count(direction.into),
                count(direction.missing),
                count(direction.skipped),
            );
            lines.fact("direction", Some(text));
            lines.fact("", direction.reason.as_ref());
        }
    }
    disagreements(&mut lines, snapshot, doors);
    lines.text
}

fn node(mut lines: Lines, snapshot: &Snapshot, name: &Untrusted, netns: NetNsId) -> Vec<String> {
    if let Some(node) = snapshot.nodes.iter().find(|node| node.netns == netns) {
        lines.list("addresses", &node.addresses);
        lines.list("pod ranges", &node.pod_cidrs);
        lines.fact("netns", Some(node.netns));
        if let Some(datapath) = &node.datapath {
            lines.fact("routing", datapath.summary());
            lines.fact("agent", datapath.version.as_ref());
            lines.fact("health", datapath.health.as_ref());
            lines.fact("masquerade", datapath.masquerading.as_ref());
            lines.fact("kube-proxy", datapath.kube_proxy_replacement.as_ref());
            lines.fact("attached", datapath.attach.as_ref());
        }
    }
    let doors = snapshot
        .doors
        .iter()
        .filter(|door| door.node_netns == netns)
        .count();
    lines.fact("doors", Some(doors));
    lines.list("shared by", &few(&residents(snapshot, netns)));
    for source in sources::list(snapshot) {
        lines.fact("source", Some(source));
    }
    for disagreement in snapshot.disagreements.iter().filter(|d| d.node == *name) {
        lines.fact(
            "disagreed",
            Some(format!("{}: {}", disagreement.about, disagreement.what)),
        );
    }
    lines.text
}

/// The pod behind a door: of its network namespace, or else of its name.
fn pod<'a>(snapshot: &'a Snapshot, door: &DoorState) -> Option<&'a Pod> {
    let name = door.pod.as_ref()?;
    let named =
        |pod: &&Pod| pod.node == door.node && pod.name == *name && pod.namespace == door.namespace;
    let mut pods = snapshot.pods.iter().filter(named);
    let first = pods.clone().next();
    pods.find(|pod| pod.netns.is_some() && pod.netns == door.netns)
        .or(first)
}

fn facts(lines: &mut Lines, pod: &Pod) {
    lines.fact("pod", Some(pod.label()));
    lines.fact("condition", pod.condition.as_ref());
    lines.list("addresses", &pod.addresses);
    lines.fact("endpoint", pod.endpoint);
    lines.fact("identity", pod.identity);
    lines.list("labels", &pod.labels);
    lines.list("containers", &pod.containers);
    let sources: Vec<_> = pod.sources.iter().map(Source::to_string).collect();
    lines.fact("sources", (!sources.is_empty()).then(|| sources.join(", ")));
}

/// Those about the pod or one of the interfaces.
fn disagreements(lines: &mut Lines, snapshot: &Snapshot, doors: &[&DoorState]) {
    for disagreement in &snapshot.disagreements {
        let concerns = |door: &&DoorState| {
            let names = [door.pod.clone(), door.pod_label(), door.interface.clone()];
            let mut names = names.into_iter().flatten();
            disagreement.node == door.node && names.any(|name| name == disagreement.about)
        };
        if doors.iter().any(concerns) {
            lines.fact("disagreed", Some(&disagreement.what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_names_apart_is_never_lost() {
        assert_eq!(breakable("a/b c", 3), "a/b c");
        assert_eq!(
            breakable("networking101/busybox-fmhwc", 16),
            "networking101/ busybox-fmhwc"
        );
        let cut = breakable("a-deployment-with-a-long-name-x2x4k", 16);
        assert!(cut.ends_with("x2x4k") && cut.contains('…'), "{cut}");
    }
}

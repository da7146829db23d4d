//! All facts about the selected row, in lines.

use super::{
    history::{History, chart},
    rows::Row,
    state::State,
};
use crate::{
    audit::Owner,
    model::{Chain, DoorState, NetNsId, PairView, Pod, Snapshot, Source, Untrusted},
    views::{
        building::layout::{few, residents},
        door::{Status, hooks, pair_name, state},
        sources,
        text::{UNKNOWN, bits, bytes, count, cut_middle, list, rate, safe, visible_width, wrap},
    },
};

/// Columns of a label.
const LABEL: usize = 11;
/// Width and height of a chart.
const CHART: (usize, usize) = (60, 3);

impl State {
    /// The title of the details, and their lines of at most `width` columns.
    pub(super) fn detail_lines(&self, width: usize) -> (String, Vec<String>) {
        let (Some(snapshot), Some(row)) = (&self.shown, self.row()) else {
            return (String::new(), Vec::new());
        };
        let text = Vec::new();
        let mut lines = Lines { width, text };
        let doors = &snapshot.doors;
        let title = match row {
            Row::Node { name, netns, .. } => {
                lines.node(snapshot, name, *netns);
                name.to_string()
            }
            Row::Group { doors: places, .. } => {
                let doors: Vec<_> = places.iter().map(|place| &doors[*place]).collect();
                lines.group(snapshot, &doors);
                pair_name(doors[0])
            }
            Row::Door { door, .. } => {
                let door = &doors[*door];
                let known = self.known.get(&door.id);
                lines.door(snapshot, door, known.map(|known| &known.history));
                name(door)
            }
        };
        (title, lines.text)
    }
}

/// Lines under construction.
struct Lines {
    width: usize,
    text: Vec<String>,
}

impl Lines {
    /// A fact, if it is known. Escapes the value.
    fn fact(&mut self, label: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            let room = self.width.saturating_sub(LABEL);
            let value = breakable(&safe(&value.to_string()), room);
            let line = format!("{label:<LABEL$}{value}");
            self.text.extend(wrap(&line, self.width, LABEL));
        }
    }

    fn list(&mut self, label: &str, values: &[impl ToString]) {
        let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
        self.fact(label, (!texts.is_empty()).then(|| texts.join(" ")));
    }

    fn door(&mut self, snapshot: &Snapshot, door: &DoorState, history: Option<&History>) {
        self.fact("state", Some(signed(door)));
        for (direction, traffic) in hooks(door) {
            let figures = format!(
                "{} packets ({}/s), {} segments, {} ({})",
                count(traffic.packets),
                rate(traffic.packets_per_second),
                count(traffic.segments),
                bytes(traffic.bytes),
                bits(traffic.bytes_per_second),
            );
            self.fact(&format!("{} {direction}", direction.sign()), Some(figures));
        }
        self.fact("▼ programs", Some(programs(door.programs.ingress.as_ref())));
        self.fact("▲ programs", Some(programs(door.programs.egress.as_ref())));
        self.fact("leads to", door.pod_label());
        self.fact("named by", door.named_by);
        let kind = door.kind.as_ref().map(ToString::to_string);
        self.fact("kind", Some(kind.as_deref().unwrap_or(UNKNOWN)));
        let peer = |index| format!("{} {index}", shown(door.peer_interface.as_ref()));
        self.fact("peer", door.peer_ifindex.map(peer));
        let lower = door.lower.as_ref();
        let lower = lower.map(|it| format!("{} {}", shown(it.interface.as_ref()), it.ifindex));
        self.fact("lower", lower);
        self.list("addresses", &door.addresses);
        self.fact("mac", door.mac.as_ref());
        self.fact("mtu", door.mtu);
        self.fact("link", door.link_state.as_ref());
        self.fact("netns", door.netns);
        let seconds = door.counted_seconds;
        self.fact("counted", seconds.map(|it| format!("for {it:.0} s")));
        if let Some(history) = history {
            self.charts(history);
        }
        if let Some(pod) = pod(snapshot, door) {
            self.pod(pod);
        }
        self.disagreements(snapshot, &[door]);
    }

    fn charts(&mut self, history: &History) {
        let (width, height) = CHART;
        let width = self.width.saturating_sub(LABEL).min(width);
        for (sign, readings) in ["▼", "▲"].into_iter().zip(history.hooks()) {
            let most = readings.iter().flatten().copied().reduce(f64::max);
            let mut label = format!("{sign} {}/s", rate(most));
            for row in chart(&readings, width, height, most.unwrap_or(0.0)) {
                let line = format!("{label:<LABEL$}{row}");
                self.text.push(line.trim_end().to_owned());
                label.clear();
            }
        }
    }

    fn group(&mut self, snapshot: &Snapshot, doors: &[&DoorState]) {
        match pod(snapshot, doors[0]) {
            Some(pod) => self.pod(pod),
            None => self.fact("named by", doors[0].named_by),
        }
        for door in doors {
            self.fact("door", Some(format!("{}  {}", name(door), signed(door))));
        }
        let here = |pair: &&PairView| doors.iter().any(|door| pair.ends.contains(&door.id));
        let pairs = snapshot.pairs.iter().filter(here);
        for direction in pairs.flat_map(|pair| &pair.directions) {
            let figures = format!(
                "{} → {}: {} out, {} in, {} missing, {} skipped (segments)",
                shown(direction.from.as_ref()),
                shown(direction.to.as_ref()),
                count(direction.out),
                count(direction.into),
                count(direction.missing),
                count(direction.skipped),
            );
            self.fact("direction", Some(figures));
            self.fact("", direction.reason.as_ref());
        }
        self.disagreements(snapshot, doors);
    }

    fn node(&mut self, snapshot: &Snapshot, name: &Untrusted, netns: NetNsId) {
        if let Some(node) = snapshot.nodes.iter().find(|node| node.netns == netns) {
            self.list("addresses", &node.addresses);
            self.list("pod ranges", &node.pod_cidrs);
            self.fact("netns", Some(node.netns));
            if let Some(datapath) = &node.datapath {
                self.fact("routing", datapath.summary());
                self.fact("agent", datapath.version.as_ref());
                self.fact("health", datapath.health.as_ref());
                self.fact("masquerade", datapath.masquerading.as_ref());
                self.fact("kube-proxy", datapath.kube_proxy_replacement.as_ref());
                self.fact("attached", datapath.attach.as_ref());
            }
        }
        let doors = snapshot.doors.iter();
        let doors = doors.filter(|door| door.node_netns == netns).count();
        self.fact("doors", Some(doors));
        self.list("shared by", &few(&residents(snapshot, netns)));
        for source in sources::list(snapshot) {
            self.fact("source", Some(source));
        }
        for it in snapshot.disagreements.iter().filter(|it| it.node == *name) {
            self.fact("disagreed", Some(format!("{}: {}", it.about, it.what)));
        }
    }

    fn pod(&mut self, pod: &Pod) {
        self.fact("pod", Some(pod.label()));
        self.fact("condition", pod.condition.as_ref());
        self.list("addresses", &pod.addresses);
        self.fact("endpoint", pod.endpoint);
        self.fact("identity", pod.identity);
        self.list("labels", &pod.labels);
        self.list("containers", &pod.containers);
        let sources: Vec<_> = pod.sources.iter().map(Source::to_string).collect();
        self.fact("sources", (!sources.is_empty()).then(|| sources.join(", ")));
    }

    /// Disagreements about the pod or one of the interfaces.
    fn disagreements(&mut self, snapshot: &Snapshot, doors: &[&DoorState]) {
        for disagreement in &snapshot.disagreements {
            let concerns = |door: &&DoorState| {
                let names = [door.pod.clone(), door.pod_label(), door.interface.clone()];
                let mut names = names.into_iter().flatten();
                disagreement.node == door.node && names.any(|name| name == disagreement.about)
            };
            if doors.iter().any(concerns) {
                self.fact("disagreed", Some(&disagreement.what));
            }
        }
    }
}

/// Breaks long names after a slash, and cuts them in the middle if that is not enough: pods' names
/// differ at their ends.
fn breakable(text: &str, room: usize) -> String {
    let word = |word: &str| {
        if visible_width(word) <= room {
            return word.to_owned();
        }
        let parts = word.split_inclusive('/');
        list(parts.map(|part| cut_middle(part, room)), " ")
    };
    list(text.split(' ').map(word), " ")
}

fn shown(name: Option<&Untrusted>) -> String {
    name.map_or_else(|| UNKNOWN.into(), Untrusted::to_string)
}

/// `eth0 8`
fn name(door: &DoorState) -> String {
    format!("{} {}", shown(door.interface.as_ref()), door.ifindex)
}

/// `? blind: not attached yet`
fn signed(door: &DoorState) -> String {
    format!("{} {}", Status::of(door).sign(), state(door))
}

/// The programs of a hook in run order, each with its owner.
fn programs(chain: Option<&Chain>) -> String {
    let Some(chain) = chain else {
        return UNKNOWN.into();
    };
    let owned = |name: &Untrusted| {
        let owner = match Owner::of(name.raw()) {
            Owner::Cilium => "Cilium's",
            Owner::Netviz => "another netviz's",
            Owner::Other => "another tool's",
        };
        format!("{name} ({owner})")
    };
    let ahead = chain.ahead.iter().map(owned);
    let behind = chain.behind.iter().map(owned);
    list(ahead.chain(["netviz (ours)".into()]).chain(behind), " → ")
}

/// The pod behind a door, by its network namespace or else by its name.
fn pod<'a>(snapshot: &'a Snapshot, door: &DoorState) -> Option<&'a Pod> {
    let name = door.pod.as_ref()?;
    let named =
        |pod: &&Pod| pod.node == door.node && pod.name == *name && pod.namespace == door.namespace;
    let mut pods = snapshot.pods.iter().filter(named);
    let first = pods.clone().next();
    pods.find(|pod| pod.netns.is_some() && pod.netns == door.netns)
        .or(first)
}

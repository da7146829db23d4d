//! The doors of what was read: node by node, pod by pod, both ends of each pair together.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use super::{
    Discovered,
    cache::Cache,
    classify::{rank, role, role_in_pod},
    hostname,
    links::Link,
    namespaces::Found,
    select::Selection,
};
use crate::{
    model::{
        CILIUM_HOST, Cluster, Door, DoorId, LinkKind, Netns, Node, Peer, Reason, Role, Side,
        Source, SourceStatus, Status, list,
    },
    sys::{
        entrance::Entrance,
        netns::{NetNs, NetNsId},
        processes::namespace,
    },
};

/// A node that was read, with the namespaces that belong to it.
pub(super) struct NodeRead {
    pub(super) netns: NetNs,
    pub(super) entrances: Vec<Entrance>,
    /// The namespaces at the far ends of its pairs, by the node's ids.
    pub(super) far: HashMap<i32, NetNsId>,
    /// The namespaces of its pods to which no pair leads.
    pub(super) pods: Vec<NetNsId>,
}

impl NodeRead {
    pub(super) fn new(netns: NetNs, entrances: Vec<Entrance>) -> Self {
        Self {
            netns,
            entrances,
            far: HashMap::new(),
            pods: Vec::new(),
        }
    }
}

/// What was found so far.
pub(super) struct Doors<'a> {
    cache: &'a Cache,
    /// netviz's own namespace.
    own: NetNsId,
    /// The far ends of the node that is being added.
    far: HashMap<i32, NetNsId>,
    /// Interfaces that were added.
    done: HashSet<(NetNsId, u32)>,
    found: Discovered,
}

impl<'a> Doors<'a> {
    pub(super) fn new(cache: &'a Cache, own: NetNsId) -> Self {
        Self {
            cache,
            own,
            far: HashMap::new(),
            done: HashSet::new(),
            found: Discovered::default(),
        }
    }

    /// Adds a node, its doors and its pods.
    pub(super) fn add_node(&mut self, node: &NodeRead) {
        let id = node.netns.id();
        let mut links: Vec<&Link> = self.cache.links(id).collect();
        let cilium = links.iter().any(|link| link.name == CILIUM_HOST);
        let uplinks = links
            .iter()
            .filter(|link| role(link, cilium) == Role::Uplink);
        let addresses = uplinks.flat_map(|link| link.addresses.clone()).collect();
        let found = self.cache.namespaces.get(&id).cloned().unwrap_or_default();
        let index = self.found.cluster.nodes.len();
        self.found.cluster.nodes.push(Node {
            name: self.node_name(id, &found).into(),
            netns: id,
            cilium,
            addresses,
            ..Node::default()
        });
        self.found.roots.insert(id, roots(id == self.own, &found));
        self.found.entrances.insert(id, node.entrances.clone());
        self.far.clone_from(&node.far);
        for id in node.far.values().chain(&node.pods) {
            if let Some(found) = self.cache.namespaces.get(id) {
                self.found.entrances.insert(*id, found.entrances());
            }
        }
        links.sort_by_key(|link| (rank(role(link, cilium)), link.index));
        let pods = links.partition_point(|link| role(link, cilium) == Role::Pod);
        let (pods, others) = links.split_at(pods);
        for link in pods {
            self.add_link(index, id, link, Role::Pod);
        }
        for pod in &node.pods {
            self.add_pod(index, *pod);
        }
        for link in others {
            self.add_link(index, id, link, role(link, cilium));
        }
    }

    fn node_name(&self, id: NetNsId, found: &Found) -> String {
        if id == self.own {
            return hostname::own_hostname();
        }
        let own_uts = namespace("/proc/self/ns/uts").ok();
        hostname::hostname(found, own_uts.as_slice())
            .or_else(|| found.file_name())
            .unwrap_or_else(|| id.to_string())
    }

    /// Adds one interface of a node and, for a pair, its other end.
    fn add_link(&mut self, node: usize, netns: NetNsId, link: &Link, role: Role) {
        if !self.done.insert((netns, link.index)) {
            return;
        }
        let near = self.door(node, netns, Side::Node, role, link);
        let pair = link.kind.as_ref().is_some_and(LinkKind::is_pair);
        let Some(far_index) = link.link.filter(|_| pair) else {
            self.found.cluster.doors.push(near);
            return;
        };
        match link.link_nsid {
            None => self.inner_pair(near, netns, far_index),
            Some(nsid) => self.outer_pair(near, link, nsid, far_index),
        }
    }

    /// Both ends in the node's namespace: `cilium_net` and `cilium_host`.
    fn inner_pair(&mut self, mut near: Door, netns: NetNsId, far_index: u32) {
        let far_id = DoorId::new(netns, far_index);
        let far = self
            .cache
            .get(netns)
            .and_then(|entry| entry.links.get(&far_index));
        near.peer = Some(Peer {
            id: far_id,
            interface: far.map(|far| far.name.clone()),
        });
        let back = Peer {
            id: near.id,
            interface: Some(near.interface.clone()),
        };
        let node = near.node;
        let cilium = self.found.cluster.nodes[node].cilium;
        self.found.cluster.doors.push(near);
        if let Some(far) = far.filter(|far| self.done.insert((netns, far.index))) {
            let mut door = self.door(node, netns, Side::Node, role(far, cilium), far);
            door.peer = Some(back);
            self.found.cluster.doors.push(door);
        }
    }

    /// The other end in another namespace: confirmed from within, or marked as unreachable.
    fn outer_pair(&mut self, mut near: Door, near_link: &Link, nsid: i32, far_index: u32) {
        let (side, pods) = match near.role {
            Role::Uplink => (Side::Host, false),
            Role::Health => (Side::Pod, false),
            _ => (Side::Pod, true),
        };
        let far = self.far.get(&nsid);
        let far = far.and_then(|id| Some((*id, self.cache.get(*id)?)));
        let confirmed = far.and_then(|(id, entry)| {
            let link = entry.links.get(&far_index)?;
            link.names(near_link).then_some((id, link))
        });
        let pod = far
            .filter(|_| pods)
            .and_then(|(_, entry)| entry.name.clone());
        near.pod.clone_from(&pod);
        let mut far_door = match confirmed {
            Some((id, link)) => self.door(near.node, id, side, near.role, link),
            None => unreached(&near, side, nsid, far_index),
        };
        far_door.pod = pod;
        far_door.peer = Some(Peer {
            id: near.id,
            interface: Some(near.interface.clone()),
        });
        near.peer = Some(Peer {
            id: far_door.id,
            interface: confirmed.map(|(_, link)| link.name.clone()),
        });
        let node = near.node;
        let pair = if side == Side::Pod {
            [far_door, near]
        } else {
            [near, far_door]
        };
        self.found.cluster.doors.extend(pair);
        if let Some((id, link)) = confirmed {
            self.done.insert((id, link.index));
            if pods {
                self.add_pod(node, id);
            }
        }
    }

    /// Adds the interfaces of a pod that are no end of a pair: macvlan, ipvlan, hardware. A namespace with
    /// Cilium, or the machine's, is no pod, though a pair leads there.
    fn add_pod(&mut self, node: usize, pod: NetNsId) {
        let Some(entry) = self.cache.get(pod).filter(|_| !self.is_node(pod)) else {
            return;
        };
        let cache = self.cache;
        for link in cache.links(pod) {
            let pair = link.kind.as_ref().is_some_and(LinkKind::is_pair);
            if pair || link.loopback || !self.done.insert((pod, link.index)) {
                continue;
            }
            let role = role_in_pod(link, pod);
            let mut door = self.door(node, pod, Side::Pod, role, link);
            door.pod.clone_from(&entry.name);
            self.found.cluster.doors.push(door);
        }
    }

    fn is_node(&self, id: NetNsId) -> bool {
        let machine = namespace("/proc/1/ns/net").ok().map(NetNsId);
        let mut nodes = self.found.cluster.nodes.iter();
        id == self.own
            || Some(id) == machine
            || nodes.any(|node| node.netns == id)
            || self.cache.links(id).any(|link| link.name == CILIUM_HOST)
    }

    fn door(&self, node: usize, netns: NetNsId, side: Side, role: Role, link: &Link) -> Door {
        let lower = link.lower.map(|(netns, index)| {
            let lower = self
                .cache
                .get(netns)
                .and_then(|entry| entry.links.get(&index));
            Peer {
                id: DoorId::new(netns, index),
                interface: lower.map(|lower| lower.name.clone()),
            }
        });
        Door {
            lower,
            ..door(node, DoorId::new(netns, link.index), side, role, link)
        }
    }

    /// The selected doors.
    pub(super) fn finish(self, selection: &Selection) -> Discovered {
        let mut found = self.found;
        let nodes = &found.cluster.nodes;
        let doors = found.cluster.doors.iter();
        let pods = doors.filter(|door| door.role == Role::Pod);
        let pods: HashSet<usize> = pods.map(|door| door.node).collect();
        let mut partial = false;
        found.cluster.doors.retain(|door| {
            let cilium = nodes.get(door.node).is_some_and(|node| node.cilium);
            let taken = selection.takes(door, cilium, pods.contains(&door.node));
            partial |= !taken && door.role != Role::Other;
            taken
        });
        found.cluster.partial = partial;
        // Two nodes may be connected, or share a far namespace: keep each door once.
        let mut seen = HashSet::new();
        found.cluster.doors.retain(|door| seen.insert(door.id));
        found.cluster.notes = notes(&found.cluster);
        found.cluster.notes.extend(self.cache.left_out.clone());
        found.cluster.sources = vec![SourceStatus {
            source: Source::Kernel,
            node: None,
            status: Status::OK,
        }];
        found
    }
}

/// Where the files of a node can be read. Its oldest process usually has the node's own root; a
/// netviz in a container of the node's namespace does not.
fn roots(own: bool, found: &Found) -> Vec<PathBuf> {
    let process = found
        .process
        .map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
    process
        .into_iter()
        .chain(own.then(|| PathBuf::from("/")))
        .collect()
}

fn notes(cluster: &Cluster) -> Vec<String> {
    let without = cluster.nodes.iter().filter(|node| !node.cilium);
    let without = list(without.map(|node| &node.name), ", ");
    if without.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "no Cilium in {without}: no interface there is called {CILIUM_HOST}; these are its pods, bridges and uplinks"
    )]
}

/// The far end of a pair whose namespace cannot be found.
fn unreached(near: &Door, side: Side, nsid: i32, index: u32) -> Door {
    let netns = near.id.netns.known();
    let id = DoorId {
        netns: netns.map_or(near.id.netns, |node| Netns::Unreached { node, nsid }),
        ifindex: index,
        generation: 0,
    };
    let link = Link {
        kind: near.kind.clone(),
        ..Link::default()
    };
    Door {
        problem: Some(Reason::Unreachable { nsid }),
        ..door(near.node, id, side, near.role, &link)
    }
}

fn door(node: usize, id: DoorId, side: Side, role: Role, link: &Link) -> Door {
    Door {
        id,
        node,
        side,
        role,
        interface: link.name.clone(),
        pod: None,
        namespace: None,
        named_by: None,
        kind: link.kind.clone(),
        peer: None,
        lower: None,
        macvlan: link.macvlan,
        addresses: link.addresses.clone(),
        mac: link.mac.clone(),
        mtu: link.mtu,
        link_state: link.state,
        netns_cookie: link.cookie,
        problem: None,
    }
}

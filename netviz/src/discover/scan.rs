//! Reads all nodes, their doors and both ends of each pair.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
};

use super::{
    Discovered,
    cache::Cache,
    classify::{rank, role},
    hostname,
    links::{self, Link},
    namespaces::{self, Found},
    nodes::{Absent, inside, nodes},
    select::Selection,
};
use crate::{
    model::{
        CILIUM_HOST, Cluster, Door, DoorId, LinkKind, Netns, Node, Peer, Reason, Role, Side,
        Source, SourceStatus, Status,
    },
    sys::{
        entrance::{Entrance, enter},
        netlink::Netlink,
        netns::{NetNs, NetNsId, try_tour},
    },
};

/// Reads everything once.
///
/// # Errors
/// When a namespace that was named does not exist, or this process may not enter namespaces.
/// Namespaces that vanish while they are read are no error.
pub fn scan(selection: &Selection) -> io::Result<Discovered> {
    rescan(selection, Absent::IsAnError, &mut Cache::new()?)
}

/// Reads what `cache` does not have, or what is stale.
pub(crate) fn rescan(
    selection: &Selection,
    absent: Absent,
    cache: &mut Cache,
) -> io::Result<Discovered> {
    let own = NetNs::current()?.id();
    let nodes = nodes(selection, cache, own, absent)?;
    let mut scan = Scan {
        cache,
        own,
        near: HashMap::new(),
        far: HashMap::new(),
        found: Discovered::default(),
    };
    for (id, entrances) in &nodes {
        scan.node(*id, entrances)?;
    }
    let found = scan.finish(selection);
    cache.retain(
        |id| found.entrances.contains_key(&id),
        |id| nodes.iter().any(|(node, _)| *node == id),
    );
    Ok(found)
}

struct Scan<'a> {
    cache: &'a mut Cache,
    own: NetNsId,
    /// Interfaces of the node that is being read ...
    near: HashMap<u32, Link>,
    /// ... and the namespaces at the far ends of its pairs, by the node's ids.
    far: HashMap<i32, NetNsId>,
    found: Discovered,
}

impl Scan<'_> {
    fn node(&mut self, id: NetNsId, entrances: &[Entrance]) -> io::Result<()> {
        let Some(namespace) = enter(entrances, id)? else {
            return Ok(());
        };
        if self.cache.is_stale(id) {
            let mut netlink = inside(&namespace, entrances, Netlink::open)??;
            self.cache.insert(id, links::read(&mut netlink)?, None);
        }
        let mut links: Vec<Link> = self
            .cache
            .get(id)
            .into_iter()
            .flat_map(|entry| entry.links.values().cloned())
            .collect();
        let found = self.cache.namespaces.get(&id).cloned().unwrap_or_default();
        let node = self.found.cluster.nodes.len();
        let cilium = links.iter().any(|link| link.name == CILIUM_HOST);
        let name = self.node_name(id, &found);
        let addresses = links
            .iter()
            .filter(|link| role(link) == Role::Uplink)
            .flat_map(|link| link.addresses.clone())
            .collect();
        self.found.cluster.nodes.push(Node {
            name: name.into(),
            netns: id,
            cilium,
            addresses,
            ..Node::default()
        });
        self.found.roots.insert(id, roots(id == self.own, &found));
        self.found.entrances.insert(id, entrances.to_vec());
        self.find_far(&namespace, &links, &found)?;
        let by_index = links.iter().map(|link| (link.index, link.clone()));
        self.near = by_index.collect();
        links.sort_by_key(|link| (rank(role(link)), link.index));
        let mut done = HashSet::new();
        for link in &links {
            if done.insert(link.index) {
                self.doors(node, id, link, &mut done);
            }
        }
        Ok(())
    }

    fn node_name(&self, id: NetNsId, found: &Found) -> String {
        if id == self.own {
            return hostname::own_hostname();
        }
        let own_uts = namespaces::namespace("/proc/self/ns/uts").ok();
        hostname::hostname(found, own_uts.as_slice())
            .or_else(|| found.file_name())
            .unwrap_or_else(|| id.to_string())
    }

    /// Finds and reads the namespaces at the far ends of the node's pairs.
    fn find_far(&mut self, node: &NetNs, links: &[Link], node_found: &Found) -> io::Result<()> {
        let wanted: HashSet<i32> = links.iter().filter_map(|link| link.link_nsid).collect();
        let shared: Vec<u64> = [
            namespaces::namespace("/proc/self/ns/uts").ok(),
            namespaces::namespace("/proc/1/ns/uts").ok(),
            hostname::uts(node_found),
        ]
        .into_iter()
        .flatten()
        .collect();
        self.cache.resolve(node, &wanted)?;
        self.far = self.known(node, &wanted);
        self.recheck_far_ends(links);
        let ids: Vec<NetNsId> = self.far.values().copied().collect();
        if ids.iter().any(|id| self.cache.is_stale(*id)) {
            try_tour(|tour| self.cache.read(tour, &ids, &shared))??;
        }
        // An entrance has changed: a process of the pod has ended, or the whole pod.
        if ids.iter().any(|id| self.cache.get(*id).is_none()) && !self.cache.is_indexed() {
            self.cache.index()?;
            self.cache.resolve(node, &wanted)?;
            self.far = self.known(node, &wanted);
            let ids: Vec<NetNsId> = self.far.values().copied().collect();
            try_tour(|tour| self.cache.read(tour, &ids, &shared))??;
        }
        let cache = &*self.cache;
        self.far.retain(|_, id| cache.get(*id).is_some());
        for id in self.far.values() {
            if let Some(found) = self.cache.namespaces.get(id) {
                self.found.entrances.insert(*id, found.entrances());
            }
        }
        Ok(())
    }

    fn known(&self, node: &NetNs, wanted: &HashSet<i32>) -> HashMap<i32, NetNsId> {
        let known = |nsid: &i32| Some((*nsid, self.cache.by_nsid(node.id(), *nsid)?));
        wanted.iter().filter_map(known).collect()
    }

    /// Marks far ends as stale that do not name the near end as their peer.
    fn recheck_far_ends(&mut self, links: &[Link]) {
        for link in links {
            let far = link.link_nsid.and_then(|nsid| self.far.get(&nsid).copied());
            let Some((id, index)) = far.zip(link.link) else {
                continue;
            };
            let peer = self.cache.get(id).and_then(|entry| entry.links.get(&index));
            if !peer.is_some_and(|peer| names_back(peer, link)) {
                self.cache.mark_stale(id);
            }
        }
    }

    /// Adds one interface of the node and, for a pair, its other end.
    fn doors(&mut self, node: usize, netns: NetNsId, link: &Link, done: &mut HashSet<u32>) {
        let role = role(link);
        let near = door(node, DoorId::new(netns, link.index), Side::Node, role, link);
        let pair = link.kind.as_ref().is_some_and(LinkKind::is_pair);
        let Some(far_index) = link.link.filter(|_| pair) else {
            self.found.cluster.doors.push(near);
            return;
        };
        match link.link_nsid {
            None => self.inner_pair(near, netns, far_index, done),
            Some(nsid) => self.outer_pair(near, link, nsid, far_index),
        }
    }

    /// Both ends in the node's namespace: `cilium_net` and `cilium_host`.
    fn inner_pair(
        &mut self,
        mut near: Door,
        netns: NetNsId,
        far_index: u32,
        done: &mut HashSet<u32>,
    ) {
        let far_id = DoorId::new(netns, far_index);
        let far = self.near.get(&far_index).cloned();
        near.peer = Some(Peer {
            id: far_id,
            interface: far.as_ref().map(|far| far.name.clone()),
        });
        let back = Peer {
            id: near.id,
            interface: Some(near.interface.clone()),
        };
        let node = near.node;
        self.found.cluster.doors.push(near);
        if let Some(far) = far.filter(|far| done.insert(far.index)) {
            let mut door = door(node, far_id, Side::Node, role(&far), &far);
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
            names_back(link, near_link).then(|| (id, link.clone()))
        });
        let pod = far
            .filter(|_| pods)
            .and_then(|(_, entry)| entry.name.clone());
        near.pod.clone_from(&pod);
        let mut far_door = match &confirmed {
            Some((id, link)) => door(
                near.node,
                DoorId::new(*id, far_index),
                side,
                near.role,
                link,
            ),
            None => {
                let id = DoorId {
                    netns: near
                        .id
                        .netns
                        .known()
                        .map_or(near.id.netns, |node| Netns::Unreached { node, nsid }),
                    ifindex: far_index,
                    generation: 0,
                };
                let link = Link {
                    kind: near.kind.clone(),
                    ..Link::default()
                };
                let mut door = door(near.node, id, side, near.role, &link);
                door.problem = Some(Reason::Unreachable { nsid });
                door
            }
        };
        far_door.pod = pod;
        far_door.peer = Some(Peer {
            id: near.id,
            interface: Some(near.interface.clone()),
        });
        let name = confirmed.map(|(_, link)| link.name);
        near.peer = Some(Peer {
            id: far_door.id,
            interface: name,
        });
        let pair = if side == Side::Pod {
            [far_door, near]
        } else {
            [near, far_door]
        };
        self.found.cluster.doors.extend(pair);
    }

    fn finish(self, selection: &Selection) -> Discovered {
        let mut found = self.found;
        let nodes = &found.cluster.nodes;
        let mut partial = false;
        found.cluster.doors.retain(|door| {
            let cilium = nodes.get(door.node).is_some_and(|node| node.cilium);
            let taken = selection.takes(door, cilium);
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
    let without: Vec<_> = cluster
        .nodes
        .iter()
        .filter(|node| !node.cilium)
        .map(|node| node.name.to_string())
        .collect();
    if without.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "no Cilium in {}: no interface there is called {CILIUM_HOST}; these are its veth pairs and bridges",
        without.join(", ")
    )]
}

/// Whether the far end of a pair names the near end as its peer.
fn names_back(far: &Link, near: &Link) -> bool {
    far.link == Some(near.index) && far.kind == near.kind
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
        addresses: link.addresses.clone(),
        mac: link.mac.clone(),
        mtu: link.mtu,
        link_state: link.state,
        netns_cookie: link.cookie,
        problem: None,
    }
}

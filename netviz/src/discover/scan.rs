//! One look at everything: nodes, their doors, both ends of each pair.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
};

use super::{
    Discovered,
    cache::Memory,
    classify::{CILIUM_HOST, rank, role},
    hostname,
    links::{self, Link},
    namespaces::{self, Place},
    nodes::{Absent, nodes, open},
    select::Selection,
};
use crate::{
    model::{Cluster, Door, DoorId, Netns, Node, Peer, Role, Side, Source, SourceStatus, Status},
    sys::{
        netlink::Netlink,
        netns::{NetNs, NetNsId, try_tour},
    },
};

/// Reads everything once.
///
/// # Errors
/// When a namespace that was asked for by name is not there, or this process may not enter
/// namespaces. Namespaces that vanish while they are read are no error: they are not there.
pub fn scan(selection: &Selection) -> io::Result<Discovered> {
    look(selection, Absent::IsAnError, &mut Memory::new()?)
}

/// Reads what `memory` has not, or not any more.
pub(crate) fn look(
    selection: &Selection,
    absent: Absent,
    memory: &mut Memory,
) -> io::Result<Discovered> {
    let own = NetNs::current()?.id();
    let nodes = nodes(selection, memory, own, absent)?;
    let mut scan = Scan {
        memory,
        own,
        near: HashMap::new(),
        far: HashMap::new(),
        found: Discovered::default(),
    };
    for (id, paths) in &nodes {
        scan.node(*id, paths)?;
    }
    let found = scan.finish(selection);
    memory.retain(
        |id| found.entrances.contains_key(&id),
        |id| nodes.iter().any(|(node, _)| *node == id),
    );
    Ok(found)
}

struct Scan<'a> {
    memory: &'a mut Memory,
    own: NetNsId,
    /// The present node's interfaces, …
    near: HashMap<u32, Link>,
    /// … and the namespaces at the far ends of its pairs.
    far: HashMap<i32, NetNsId>,
    found: Discovered,
}

impl Scan<'_> {
    fn node(&mut self, id: NetNsId, paths: &[PathBuf]) -> io::Result<()> {
        let Some(namespace) = open(paths, id)? else {
            return Ok(());
        };
        if self.memory.is_stale(id) {
            let mut netlink = Netlink::open_in(&namespace).map_err(|error| {
                // Without a thread nobody was let in or kept out, and the remedy is another one.
                if error.kind() == io::ErrorKind::WouldBlock {
                    return error;
                }
                let message = format!(
                    "cannot enter the network namespace {id}: {error}; run netviz as root, or with CAP_SYS_ADMIN"
                );
                io::Error::new(error.kind(), message)
            })?;
            self.memory.keep(id, links::read(&mut netlink)?, None);
        }
        let mut links: Vec<Link> = self
            .memory
            .room(id)
            .into_iter()
            .flat_map(|room| room.links.values().cloned())
            .collect();
        let place = self.memory.places.get(&id).cloned().unwrap_or_default();
        let node = self.found.cluster.nodes.len();
        let cilium = links.iter().any(|link| link.name == CILIUM_HOST);
        let name = self.node_name(id, &place);
        let addresses = links
            .iter()
            .filter(|link| role(link) == Role::Uplink)
            .flat_map(|link| link.addresses.clone())
            .collect();
        self.found.cluster.nodes.push(Node {
            name,
            netns: id,
            cilium,
            addresses,
            ..Node::default()
        });
        self.found.roots.insert(id, roots(id == self.own, &place));
        self.found.entrances.insert(id, paths.to_vec());
        self.find_far(&namespace, &links, &place)?;
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

    fn node_name(&self, id: NetNsId, place: &Place) -> String {
        if id == self.own {
            return hostname::own_hostname();
        }
        let own_uts = namespaces::namespace("/proc/self/ns/uts").ok();
        hostname::hostname(place, own_uts.as_slice())
            .or_else(|| place.file_name())
            .unwrap_or_else(|| id.to_string())
    }

    /// The namespaces that the node's pairs lead to, by the id under which the node knows them, and
    /// what is in them.
    fn find_far(&mut self, node: &NetNs, links: &[Link], node_place: &Place) -> io::Result<()> {
        let wanted: HashSet<i32> = links.iter().filter_map(|link| link.link_nsid).collect();
        let shared: Vec<u64> = [
            namespaces::namespace("/proc/self/ns/uts").ok(),
            namespaces::namespace("/proc/1/ns/uts").ok(),
            hostname::uts(node_place),
        ]
        .into_iter()
        .flatten()
        .collect();
        self.memory.resolve(node, &wanted)?;
        self.far = self.known(node, &wanted);
        self.spoil_strangers(links);
        let ids: Vec<NetNsId> = self.far.values().copied().collect();
        if ids.iter().any(|id| self.memory.is_stale(*id)) {
            try_tour(|tour| self.memory.read(tour, &ids, &shared))??;
        }
        // The way in was another one before: a process of the pod has ended, or all of it.
        if ids.iter().any(|id| self.memory.room(*id).is_none()) && !self.memory.is_indexed() {
            self.memory.index()?;
            self.memory.resolve(node, &wanted)?;
            self.far = self.known(node, &wanted);
            let ids: Vec<NetNsId> = self.far.values().copied().collect();
            try_tour(|tour| self.memory.read(tour, &ids, &shared))??;
        }
        let memory = &*self.memory;
        self.far.retain(|_, id| memory.room(*id).is_some());
        for id in self.far.values() {
            if let Some(place) = self.memory.places.get(id) {
                self.found.entrances.insert(*id, place.paths());
            }
        }
        Ok(())
    }

    fn known(&self, node: &NetNs, wanted: &HashSet<i32>) -> HashMap<i32, NetNsId> {
        let known = |nsid: &i32| Some((*nsid, self.memory.id(node.id(), *nsid)?));
        wanted.iter().filter_map(known).collect()
    }

    /// What is remembered of a far end and does not name the near one is read again.
    fn spoil_strangers(&mut self, links: &[Link]) {
        for link in links {
            let far = link.link_nsid.and_then(|nsid| self.far.get(&nsid).copied());
            let Some((id, index)) = far.zip(link.link) else {
                continue;
            };
            let there = self.memory.room(id).and_then(|room| room.links.get(&index));
            if !there.is_some_and(|there| names_back(there, link)) {
                self.memory.spoil(id);
            }
        }
    }

    /// Adds one interface of the node and, for a pair, its other end.
    fn doors(&mut self, node: usize, netns: NetNsId, link: &Link, done: &mut HashSet<u32>) {
        let role = role(link);
        let near = door(node, DoorId::new(netns, link.index), Side::Node, role, link);
        let pair = matches!(link.kind.as_deref(), Some("veth" | "netkit"));
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

    /// The other end in a namespace of its own: confirmed from within, or marked as unseen.
    fn outer_pair(&mut self, mut near: Door, near_link: &Link, nsid: i32, far_index: u32) {
        let (side, pods) = match near.role {
            Role::Uplink => (Side::Host, false),
            Role::Health => (Side::Pod, false),
            _ => (Side::Pod, true),
        };
        let space = self.far.get(&nsid);
        let space = space.and_then(|id| Some((*id, self.memory.room(*id)?)));
        let confirmed = space.and_then(|(id, room)| {
            let link = room.links.get(&far_index)?;
            names_back(link, near_link).then(|| (id, link.clone()))
        });
        let pod = space
            .filter(|_| pods)
            .and_then(|(_, room)| room.name.clone());
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
                    incarnation: 0,
                };
                let link = Link {
                    kind: near.kind.clone(),
                    ..Link::default()
                };
                let mut door = door(near.node, id, side, near.role, &link);
                door.problem = Some(format!(
                    "its network namespace (link-netnsid {nsid}) cannot be found from here: run netviz on the host, with the host's /proc and /run/netns"
                ));
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
        // Two nodes may be plugged into one another, or share a far namespace: each door once.
        let mut seen = HashSet::new();
        found.cluster.doors.retain(|door| seen.insert(door.id));
        found.cluster.notes = notes(&found.cluster);
        found.cluster.notes.extend(self.memory.left_out.clone());
        found.cluster.sources = vec![SourceStatus {
            source: Source::Kernel,
            node: None,
            status: Status::OK,
        }];
        found
    }
}

/// Where the files of a node can be read. Its first process has the node's own root as a rule; a
/// netviz in a container of the node's namespace does not.
fn roots(own: bool, place: &Place) -> Vec<PathBuf> {
    let process = place
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
        .map(|node| node.name.as_str())
        .collect();
    if without.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "no Cilium in {}: no interface there is called {CILIUM_HOST}; these are its veth pairs and bridges",
        without.join(", ")
    )]
}

/// Whether a pair's far end says of itself that the near one is its other end.
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
        link_state: link.state.clone(),
        netns_cookie: link.cookie,
        problem: None,
    }
}

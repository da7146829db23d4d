//! One look at everything: nodes, their doors, both ends of each pair.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    Discovered, Selection,
    classify::{CILIUM_HOST, rank, role},
    links::{self, Link},
    names,
    namespaces::{self, Place},
};
use crate::{
    model::{Cluster, Door, DoorId, NetNsId, Node, Peer, Role, Side, SourceStatus, Space},
    sys::{netlink::Netlink, netns::NetNs},
};

/// Reads everything once.
///
/// # Errors
/// When a namespace that was asked for by name is not there, or this process may not enter
/// namespaces. Namespaces that vanish while they are read are no error: they are not there.
pub fn scan(selection: &Selection) -> io::Result<Discovered> {
    look(selection, Absent::IsAnError, &namespaces::index())
}

/// What becomes of a node that was asked for by name and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// At the start: the name is wrong.
    IsAnError,
    /// Later: the node has ended.
    HasEnded,
}

pub(crate) fn look(
    selection: &Selection,
    absent: Absent,
    places: &BTreeMap<NetNsId, Place>,
) -> io::Result<Discovered> {
    let own = NetNs::current()?;
    let nodes = nodes(selection, places, &own, absent)?;
    let mut scan = Scan {
        places,
        own: own.id(),
        spaces: HashMap::new(),
        found: Discovered::default(),
    };
    for (id, paths) in &nodes {
        scan.node(*id, paths)?;
    }
    Ok(scan.finish(selection))
}

/// The namespaces that are taken for nodes, with the ways into each.
pub(crate) fn nodes(
    selection: &Selection,
    places: &BTreeMap<NetNsId, Place>,
    own: &NetNs,
    absent: Absent,
) -> io::Result<Vec<(NetNsId, Vec<PathBuf>)>> {
    let own_path = vec![PathBuf::from("/proc/self/ns/net")];
    if !selection.namespaces.is_empty() {
        let mut found: Vec<(NetNsId, Vec<PathBuf>)> = Vec::new();
        for name in &selection.namespaces {
            match by_hand(name) {
                // Whatever else is wrong may be right in a moment.
                Err(error) if absent == Absent::HasEnded && has_ended(&error) => {}
                Err(error) => return Err(error),
                // One namespace has many names.
                Ok((id, _)) if found.iter().any(|(other, _)| *other == id) => {}
                Ok(node) => found.push(node),
            }
        }
        return Ok(found);
    }
    if holds_cilium(own) {
        return Ok(vec![(own.id(), own_path)]);
    }
    let found: Vec<_> = places
        .iter()
        .filter(|(id, place)| {
            **id != own.id() && open(&place.paths(), **id).is_some_and(|ns| holds_cilium(&ns))
        })
        .map(|(id, place)| (*id, place.paths()))
        .collect();
    Ok(if found.is_empty() {
        vec![(own.id(), own_path)]
    } else {
        found
    })
}

fn has_ended(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
    )
}

fn by_hand(name: &str) -> io::Result<(NetNsId, Vec<PathBuf>)> {
    let path = match name.parse::<i32>() {
        Ok(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        Err(_) if name.contains('/') => PathBuf::from(name),
        Err(_) => Path::new("/run/netns").join(name),
    };
    let namespace = NetNs::open(&path).map_err(|error| {
        let message = format!(
            "cannot open the network namespace {name:?} ({}): {error}; give a name in /run/netns, a path or a process id",
            path.display()
        );
        io::Error::new(error.kind(), message)
    })?;
    Ok((namespace.id(), vec![path]))
}

/// Opens a namespace by one of its paths; another namespace may be there by now.
pub(crate) fn open(paths: &[PathBuf], id: NetNsId) -> Option<NetNs> {
    paths
        .iter()
        .filter_map(|path| NetNs::open(path).ok())
        .find(|namespace| namespace.id() == id)
}

pub(crate) fn holds_cilium(namespace: &NetNs) -> bool {
    namespace
        .run(|| nix::net::if_::if_nametoindex(CILIUM_HOST).is_ok())
        .unwrap_or(false)
}

struct Scan<'a> {
    places: &'a BTreeMap<NetNsId, Place>,
    own: NetNsId,
    /// Interfaces of each namespace that was entered.
    spaces: HashMap<NetNsId, HashMap<u32, Link>>,
    found: Discovered,
}

/// A namespace at the far end of the node's pairs.
struct Far {
    id: NetNsId,
    pod: Option<String>,
}

impl Scan<'_> {
    fn node(&mut self, id: NetNsId, paths: &[PathBuf]) -> io::Result<()> {
        let Some(namespace) = open(paths, id) else {
            return Ok(());
        };
        let mut netlink = Netlink::open_in(&namespace).map_err(|error| {
            let message = format!(
                "cannot enter the network namespace {id}: {error}; run netviz as root, or with CAP_SYS_ADMIN"
            );
            io::Error::new(error.kind(), message)
        })?;
        let links = links::read(&mut netlink)?;
        let place = self.places.get(&id).cloned().unwrap_or_default();
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
        let far = self.far(&mut netlink, &namespace, &links, &place);
        self.spaces.insert(id, by_index(links.clone()));
        let mut links = links;
        links.sort_by_key(|link| (rank(role(link)), link.index));
        let mut done = HashSet::new();
        for link in &links {
            if done.insert(link.index) {
                self.doors(node, id, link, &far, &mut done);
            }
        }
        Ok(())
    }

    fn node_name(&self, id: NetNsId, place: &Place) -> String {
        if id == self.own {
            return names::own_hostname();
        }
        let own_uts = namespaces::namespace("/proc/self/ns/uts").ok();
        names::hostname(place, own_uts.as_slice())
            .or_else(|| place.file_name())
            .unwrap_or_else(|| id.to_string())
    }

    /// The namespaces that the node's pairs lead to, by the id under which the node knows them.
    fn far(
        &mut self,
        netlink: &mut Netlink,
        node: &NetNs,
        links: &[Link],
        node_place: &Place,
    ) -> HashMap<i32, Far> {
        let wanted: HashSet<i32> = links.iter().filter_map(|link| link.link_nsid).collect();
        let shared: Vec<u64> = [
            namespaces::namespace("/proc/self/ns/uts").ok(),
            namespaces::namespace("/proc/1/ns/uts").ok(),
            names::uts(node_place),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut far = HashMap::new();
        for (id, place) in self.places {
            if *id == node.id() || far.len() == wanted.len() {
                continue;
            }
            let Some(namespace) = open(&place.paths(), *id) else {
                continue;
            };
            let Ok(Some(nsid)) = netlink.nsid_of(&namespace) else {
                continue;
            };
            if !wanted.contains(&nsid) {
                continue;
            }
            if !self.spaces.contains_key(id) {
                let Ok(Ok(links)) = namespace.run(|| links::read(&mut Netlink::open()?)) else {
                    continue;
                };
                self.spaces.insert(*id, by_index(links));
            }
            let pod = names::hostname(place, &shared).or_else(|| place.file_name());
            self.found.entrances.insert(*id, place.paths());
            far.insert(nsid, Far { id: *id, pod });
        }
        far
    }

    /// Adds one interface of the node and, for a pair, its other end.
    fn doors(
        &mut self,
        node: usize,
        netns: NetNsId,
        link: &Link,
        far: &HashMap<i32, Far>,
        done: &mut HashSet<u32>,
    ) {
        let role = role(link);
        let near = door(node, DoorId::new(netns, link.index), Side::Node, role, link);
        let pair = matches!(link.kind.as_deref(), Some("veth" | "netkit"));
        let Some(far_index) = link.link.filter(|_| pair) else {
            self.found.cluster.doors.push(near);
            return;
        };
        match link.link_nsid {
            None => self.inner_pair(near, netns, far_index, done),
            Some(nsid) => self.outer_pair(near, netns, nsid, far_index, far),
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
        let far = self
            .spaces
            .get(&netns)
            .and_then(|links| links.get(&far_index))
            .cloned();
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
    fn outer_pair(
        &mut self,
        mut near: Door,
        netns: NetNsId,
        nsid: i32,
        far_index: u32,
        far: &HashMap<i32, Far>,
    ) {
        let (side, pods) = match near.role {
            Role::Uplink => (Side::Host, false),
            Role::Health => (Side::Pod, false),
            _ => (Side::Pod, true),
        };
        let space = far.get(&nsid);
        let confirmed = space.and_then(|space| {
            let link = self.spaces.get(&space.id)?.get(&far_index)?;
            (link.link == Some(near.id.ifindex) && link.kind == near.kind)
                .then(|| (space.id, link.clone()))
        });
        let pod = space.filter(|_| pods).and_then(|space| space.pod.clone());
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
                    space: Space::Unreached { node: netns, nsid },
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
        found.cluster.sources = vec![SourceStatus {
            name: "kernel".into(),
            status: "ok".into(),
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

fn by_index(links: Vec<Link>) -> HashMap<u32, Link> {
    links.into_iter().map(|link| (link.index, link)).collect()
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

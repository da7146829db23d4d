//! Reads all nodes, the namespaces at the far ends of their pairs, and those of pods without a pair.

use std::{collections::HashSet, io, net::IpAddr};

use ipnet::IpNet;

use super::{
    Discovered,
    cache::Cache,
    classify::role,
    doors::{Doors, NodeRead},
    hostname,
    links::{self, Link},
    nodes::{Absent, inside, nodes},
    select::Selection,
};
use crate::{
    model::{CILIUM_HOST, Role},
    sys::{
        entrance::enter,
        netlink::Netlink,
        netns::{NetNs, NetNsId, try_tour},
        processes::namespace,
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
    let mut scanned = Vec::new();
    for (id, entrances) in nodes(selection, cache, own, absent)? {
        if let Some(netns) = enter(&entrances, id)? {
            scanned.push(NodeRead::new(netns, entrances));
        }
    }
    cache.set_nodes(scanned.iter().map(|node| node.netns.id()).collect());
    let mut scan = Scan {
        cache,
        nodes: scanned,
    };
    scan.read_nodes()?;
    scan.read_far_ends()?;
    scan.read_pods()?;
    let Scan { cache, nodes } = scan;
    let mut doors = Doors::new(cache, own);
    for node in &nodes {
        doors.add_node(node);
    }
    let found = doors.finish(selection);
    cache.retain(|id| found.entrances.contains_key(&id));
    Ok(found)
}

struct Scan<'a> {
    cache: &'a mut Cache,
    nodes: Vec<NodeRead>,
}

impl Scan<'_> {
    fn read_nodes(&mut self) -> io::Result<()> {
        let nodes: Vec<&NetNs> = self.nodes.iter().map(|node| &node.netns).collect();
        let mut changed = false;
        for node in &self.nodes {
            let id = node.netns.id();
            if !self.cache.is_stale(id) {
                continue;
            }
            let mut netlink = inside(&node.netns, &node.entrances, Netlink::open)??;
            let mut links = links::read(&mut netlink, id, &nodes)?;
            links::mark_default_routes(&mut netlink, &mut links);
            self.cache.insert_node(id, links);
            changed = true;
        }
        if changed {
            read_routes(self.cache, &nodes);
        }
        Ok(())
    }

    /// Finds and reads the namespaces at the far ends of the nodes' pairs.
    fn read_far_ends(&mut self) -> io::Result<()> {
        for node in 0..self.nodes.len() {
            let id = self.nodes[node].netns.id();
            let links: Vec<Link> = self.cache.links(id).cloned().collect();
            let wanted: HashSet<i32> = links.iter().filter_map(|link| link.link_nsid).collect();
            self.resolve(node, &wanted)?;
            self.recheck_far_ends(node, &links);
            let shared = shared_uts(self.cache, [id]);
            let mut ids: Vec<NetNsId> = self.nodes[node].far.values().copied().collect();
            read(self.cache, &ids, &shared, &self.nodes)?;
            // An entrance has changed: a process of the pod has ended, or the whole pod.
            if ids.iter().any(|id| self.cache.get(*id).is_none()) && !self.cache.is_indexed() {
                self.cache.index()?;
                self.resolve(node, &wanted)?;
                ids = self.nodes[node].far.values().copied().collect();
                read(self.cache, &ids, &shared, &self.nodes)?;
            }
            let cache = &*self.cache;
            self.nodes[node]
                .far
                .retain(|_, id| cache.get(*id).is_some());
        }
        Ok(())
    }

    fn resolve(&mut self, node: usize, wanted: &HashSet<i32>) -> io::Result<()> {
        let node = &mut self.nodes[node];
        self.cache.resolve(&node.netns, wanted)?;
        let known = |nsid: &i32| Some((*nsid, self.cache.by_nsid(node.netns.id(), *nsid)?));
        node.far = wanted.iter().filter_map(known).collect();
        Ok(())
    }

    /// Marks far ends as stale that do not name the near end as their peer.
    fn recheck_far_ends(&mut self, node: usize, links: &[Link]) {
        for link in links {
            let far = link
                .link_nsid
                .and_then(|nsid| self.nodes[node].far.get(&nsid));
            let Some((id, index)) = far.copied().zip(link.link) else {
                continue;
            };
            let peer = self.cache.get(id).and_then(|entry| entry.links.get(&index));
            if !peer.is_some_and(|peer| peer.names(link)) {
                self.cache.mark_stale(id);
            }
        }
    }

    /// Finds and reads the pods to which no pair leads.
    fn read_pods(&mut self) -> io::Result<()> {
        let known: HashSet<NetNsId> = self
            .nodes
            .iter()
            .flat_map(|node| node.far.values().copied().chain([node.netns.id()]))
            .collect();
        let nodes = self
            .nodes
            .iter()
            .map(|node| &node.netns)
            .collect::<Vec<_>>();
        for (pod, pod_of) in pods(self.cache, &nodes, |id| known.contains(&id))? {
            let mut nodes = self.nodes.iter_mut();
            if let Some(node) = nodes.find(|node| node.netns.id() == pod_of) {
                node.pods.push(pod);
            }
        }
        Ok(())
    }
}

/// Reads the namespaces that are not `known`, and returns those that are pods, with their node.
pub(super) fn pods(
    cache: &mut Cache,
    nodes: &[&NetNs],
    known: impl Fn(NetNsId) -> bool,
) -> io::Result<Vec<(NetNsId, NetNsId)>> {
    let strangers = cache.strangers(known);
    let shared = shared_uts(cache, nodes.iter().map(|node| node.id()));
    if strangers.iter().any(|id| cache.is_stale(*id)) {
        try_tour(|tour| cache.read(tour, &strangers, &shared, nodes))??;
    }
    let pods = strangers.into_iter();
    let pods = pods.filter_map(|id| Some((id, cache.get(id)?.pod_of?)));
    Ok(pods.collect())
}

fn read(cache: &mut Cache, ids: &[NetNsId], shared: &[u64], nodes: &[NodeRead]) -> io::Result<()> {
    if ids.iter().any(|id| cache.is_stale(*id)) {
        let nodes: Vec<&NetNs> = nodes.iter().map(|node| &node.netns).collect();
        try_tour(|tour| cache.read(tour, ids, shared, &nodes))??;
    }
    Ok(())
}

/// The UTS namespaces whose hostname is no pod's: netviz's own, the machine's, the nodes'.
fn shared_uts(cache: &Cache, nodes: impl IntoIterator<Item = NetNsId>) -> Vec<u64> {
    let own = ["/proc/self/ns/uts", "/proc/1/ns/uts"];
    let own = own.into_iter().filter_map(|path| namespace(path).ok());
    let nodes = nodes.into_iter();
    let nodes = nodes.filter_map(|id| hostname::uts(cache.namespaces.get(&id)?));
    own.chain(nodes).collect()
}

/// Finds the interfaces by which each node reaches the addresses of the others.
fn read_routes(cache: &mut Cache, nodes: &[&NetNs]) {
    let all = nodes
        .iter()
        .map(|node| (node.id(), addresses(cache, node.id())));
    let all: Vec<(NetNsId, Vec<IpAddr>)> = all.collect();
    for node in nodes {
        let others = all.iter().filter(|(id, _)| *id != node.id());
        let mut others = others.flat_map(|(_, addresses)| addresses).peekable();
        if others.peek().is_none() {
            continue;
        }
        match Netlink::open_in(node) {
            Ok(mut netlink) => {
                let used = others.filter_map(|address| netlink.route_to(*address));
                let used = used.collect();
                cache.set_routes(node.id(), &used);
            }
            Err(error) => log::debug!("{}: routes to other nodes: {error}", node.id()),
        }
    }
}

/// The addresses at which other nodes may reach a node: not those of its pods' network, which nodes of
/// different clusters may share.
fn addresses(cache: &Cache, node: NetNsId) -> Vec<IpAddr> {
    let cilium = cache.links(node).any(|link| link.name == CILIUM_HOST);
    let links = cache.links(node).filter(|link| {
        let role = role(link, cilium);
        matches!(role, Role::Uplink | Role::Veth | Role::Other)
    });
    let addresses = links.flat_map(|link| link.addresses.iter().map(IpNet::addr));
    addresses.filter(|address| !address.is_loopback()).collect()
}

//! The doors of each pod, and the facts that the sources report about it.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::nodes::share;
use crate::{
    model::{Cluster, DoorId, Role, Side, Source, is_link_local},
    names::report::{PodFact, Report},
    sys::netns::NetNsId,
};

/// One source's fact about one pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) source: Source,
    /// Index of the node.
    pub(super) node: usize,
    pub(super) fact: &'a PodFact,
}

/// The doors of one pod, both ends of its veth pairs.
#[derive(Debug)]
pub(super) struct PodDoors<'a> {
    pub(super) node: usize,
    pub(super) netns: Option<NetNsId>,
    /// Indexes in [`Cluster::doors`].
    pub(super) doors: Vec<usize>,
    /// Addresses at the pod's end.
    pub(super) addresses: Vec<IpAddr>,
    /// MAC addresses at the pod's end.
    pub(super) macs: Vec<String>,
    /// Interfaces at the node's end.
    pub(super) interfaces: Vec<String>,
    pub(super) health: bool,
    /// The reports of the sources, by precedence.
    pub(super) claims: Vec<Claim<'a>>,
}

impl PodDoors<'_> {
    /// The claim by which the pod is named.
    pub(super) fn named(&self) -> Option<&Claim<'_>> {
        self.claims.iter().find(|claim| claim.fact.name.is_some())
    }

    /// The identity by the first source that has one, and that source.
    pub(super) fn identity(&self) -> Option<(Source, u32)> {
        let mut known = self.claims.iter().filter_map(|claim| {
            let identity = known(claim.fact.identity)?;
            Some((claim.source, identity))
        });
        known.next()
    }
}

/// Cilium's 0 is an unknown identity.
pub(super) fn known(identity: Option<u32>) -> Option<u32> {
    identity.filter(|identity| *identity != 0)
}

/// What the doors of a pod have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// The network namespace behind the veth pairs.
    Netns(NetNsId),
    /// The node's end of a veth pair whose far namespace is unknown.
    NodeEnd(DoorId),
}

/// All pods that have doors.
#[derive(Debug, Default)]
pub(super) struct Pods<'a> {
    pub(super) all: Vec<PodDoors<'a>>,
    /// Claims about pods without doors of their own.
    pub(super) unmatched: Vec<Claim<'a>>,
    by_key: HashMap<Key, usize>,
    by_interface: HashMap<(usize, String), usize>,
    by_ifindex: HashMap<(usize, u32), usize>,
    by_address: HashMap<(usize, IpAddr), Vec<usize>>,
}

impl<'a> Pods<'a> {
    /// The pods of `cluster`, with what `reports` claim about them.
    pub(super) fn new(cluster: &Cluster, reports: &[&'a Report]) -> Self {
        let mut pods = Self::default();
        for index in 0..cluster.doors.len() {
            pods.add_door(cluster, index);
        }
        for report in reports {
            for fact in &report.pods {
                if let Some(node) = node_of(cluster, reports, report, fact) {
                    let source = report.source;
                    pods.add_claim(Claim { source, node, fact });
                }
            }
        }
        pods
    }

    fn add_door(&mut self, cluster: &Cluster, index: usize) {
        let door = &cluster.doors[index];
        // Without Cilium, pods are behind plain veth pairs.
        if !matches!(door.role, Role::Pod | Role::Health | Role::Veth) {
            return;
        }
        let (netns, node_end) = match (&door.peer, door.side) {
            (peer, Side::Pod) => (door.id.netns.known(), peer.as_ref().map(|peer| peer.id)),
            (Some(peer), _) => (peer.id.netns.known(), Some(door.id)),
            (None, _) => (None, Some(door.id)),
        };
        let key = match netns {
            Some(netns) => Key::Netns(netns),
            None => Key::NodeEnd(node_end.unwrap_or(door.id)),
        };
        let place = *self.by_key.entry(key).or_insert_with(|| {
            self.all.push(PodDoors {
                node: door.node,
                netns,
                doors: Vec::new(),
                addresses: Vec::new(),
                macs: Vec::new(),
                interfaces: Vec::new(),
                health: door.role == Role::Health,
                claims: Vec::new(),
            });
            self.all.len() - 1
        });
        let pod = &mut self.all[place];
        pod.doors.push(index);
        if door.side != Side::Pod {
            pod.interfaces.push(door.interface.clone());
            let interface = (door.node, door.interface.clone());
            self.by_interface.insert(interface, place);
            self.by_ifindex.insert((door.node, door.id.ifindex), place);
            return;
        }
        let addresses = door.addresses.iter().map(IpNet::addr);
        for address in addresses.filter(|address| !is_link_local(*address)) {
            pod.addresses.push(address);
            let owners = self.by_address.entry((door.node, address)).or_default();
            if !owners.contains(&place) {
                owners.push(place);
            }
        }
        pod.macs.extend(door.mac.clone());
    }

    fn add_claim(&mut self, claim: Claim<'a>) {
        let found = self.find(&claim);
        if found.is_empty() {
            self.unmatched.push(claim);
        }
        for place in found {
            self.all[place].claims.push(claim);
        }
    }

    /// By the most certain of the facts: the namespace, the interface, the address.
    fn find(&self, claim: &Claim<'_>) -> Vec<usize> {
        let (node, fact) = (claim.node, claim.fact);
        let one = |place: Option<&usize>| place.copied().into_iter().collect();
        if fact.host_network {
            return Vec::new();
        }
        if let Some(netns) = fact.netns {
            return one(self.by_key.get(&Key::Netns(netns)));
        }
        if let Some(interface) = &fact.interface {
            return one(self.by_interface.get(&(node, interface.clone())));
        }
        if let Some(ifindex) = fact.ifindex {
            return one(self.by_ifindex.get(&(node, ifindex)));
        }
        let mut addresses = fact.addresses.iter();
        let owners = addresses.find_map(|address| self.by_address.get(&(node, *address)));
        self.narrowed(owners.map_or(&[], Vec::as_slice), fact)
    }

    /// The pods that a fact is about, of those with its address: a sandbox that was left behind keeps its
    /// address. A source that knows the namespaces may have named them, even with the uid, which is not
    /// the same after a pod was made again; otherwise it may be any.
    fn narrowed(&self, owners: &[usize], fact: &PodFact) -> Vec<usize> {
        let with = |fits: &dyn Fn(&PodDoors<'_>) -> bool| -> Vec<usize> {
            let owners = owners.iter().copied();
            owners.filter(|place| fits(&self.all[*place])).collect()
        };
        let (label, uid) = (fact.label(), fact.uid.as_ref());
        let has_uid = |pod: &PodDoors<'_>| {
            let mut claims = pod.claims.iter();
            uid.is_some() && claims.any(|claim| claim.fact.uid.as_ref() == uid)
        };
        let named_so = |pod: &PodDoors<'_>| pod.named().is_some_and(|it| it.fact.label() == label);
        let nameless = |pod: &PodDoors<'_>| pod.named().is_none();
        let tried = [with(&has_uid), with(&named_so), with(&nameless)];
        let mut tried = tried.into_iter();
        let found = tried.find(|places| !places.is_empty());
        found.unwrap_or_else(|| owners.to_vec())
    }
}

/// The node of a pod; `None` if it is not one of the cluster's.
pub(super) fn node_of(
    cluster: &Cluster,
    reports: &[&Report],
    report: &Report,
    fact: &PodFact,
) -> Option<usize> {
    let mut nodes = cluster.nodes.iter();
    if let Some(netns) = report.node {
        return nodes.position(|node| node.netns == netns);
    }
    let name = fact.node_name.as_deref()?;
    let mut named = (0..)
        .zip(&cluster.nodes)
        .filter(|(_, node)| node.name == name);
    if let (Some((index, _)), None) = (named.next(), named.next()) {
        return Some(index);
    }
    // None has the name, or several: the address decides.
    let mut facts = reports.iter().flat_map(|report| &report.nodes);
    let fact = facts.find(|fact| fact.name == name)?;
    nodes.position(|node| share(&fact.addresses, &node.addresses))
}

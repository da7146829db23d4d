//! The pods that can be an end of a path, each identified by its network namespace.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::family::{Family, choose, global};
use crate::{
    model::{Cluster, Door, Owner, Pod, Role, Side, Untrusted, qualified},
    sys::netns::NetNsId,
    verify::{Party, Place},
};

/// A pod: its place, and its names, which other pods may have as well.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    /// `Elsewhere` on a node that is not here; a node for a pod with host network.
    pub(crate) place: Place,
    /// Name of its node.
    pub(crate) node: &'a str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) addresses: Vec<IpAddr>,
    /// What the sources of names know besides.
    pub(crate) pod: Option<&'a Pod>,
    /// Its interface, for a pod that has neither a name nor an address.
    interface: String,
}

/// All pods of a cluster, in the order of their names.
pub(crate) struct Pods<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) all: Vec<Candidate<'a>>,
}

impl<'a> Candidate<'a> {
    fn of_door(cluster: &'a Cluster, door: &'a Door, netns: NetNsId) -> Self {
        let node = door.node;
        Self {
            place: Place::Pod { node, netns },
            node: cluster.nodes.get(node).map_or("", |node| node.name.raw()),
            namespace: door.namespace.as_deref(),
            name: door.pod.as_deref(),
            addresses: Vec::new(),
            pod: None,
            interface: door.label(),
        }
    }

    /// A pod without an interface of its own: it has host network, or is on a node that is not here.
    fn without_doors(cluster: &Cluster, pod: &'a Pod) -> Self {
        let own = |netns| cluster.nodes.iter().position(|node| node.netns == netns);
        let router = false;
        let place = match pod.netns.and_then(own) {
            Some(node) => Place::Node { node, router },
            None => Place::Elsewhere,
        };
        Self {
            place,
            node: pod.node.raw(),
            namespace: pod.namespace.as_ref().map(Untrusted::raw),
            name: Some(pod.name.raw()),
            addresses: pod.addresses.clone(),
            pod: Some(pod),
            interface: String::new(),
        }
    }

    /// `namespace/name`, or the address of a pod without a name.
    pub(crate) fn plain(&self) -> String {
        let name = self.name.map(|name| qualified(self.namespace, name));
        let address = || choose(&self.addresses, None).map(|it| it.to_string());
        let plain = name.or_else(address);
        plain.unwrap_or_else(|| self.interface.clone())
    }

    /// Its name, and what is not as it should be with it.
    pub(super) fn about(&self) -> String {
        match self.pod.and_then(|pod| pod.condition.as_ref()) {
            Some(condition) => format!("{}, {condition}", self.plain()),
            None => self.plain(),
        }
    }

    /// The object that controls it, if a source knows.
    pub(super) fn owner(&self) -> Option<&'a Owner> {
        self.pod?.owner.as_ref()
    }

    /// Whether a name, with or without its namespace, is this pod's; `namespace` is that of a name without.
    pub(super) fn is_called(&self, name: &str, namespace: Option<&str>) -> bool {
        self.fits(name, namespace, |own, name| own == name)
    }

    /// Whether this pod's name begins so.
    pub(super) fn begins(&self, name: &str, namespace: Option<&str>) -> bool {
        let begins = |own: &str, name: &str| !name.is_empty() && own.starts_with(name);
        self.fits(name, namespace, begins)
    }

    fn fits(
        &self,
        name: &str,
        namespace: Option<&str>,
        matches: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (namespace, name),
        };
        let in_it = namespace.is_none() || namespace == self.namespace;
        in_it && self.name.is_some_and(|own| matches(own, name))
    }

    /// Whether it can send from here.
    pub(crate) fn is_here(&self) -> bool {
        self.place != Place::Elsewhere
    }
}

impl<'a> Pods<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let mut here: BTreeMap<NetNsId, Candidate<'a>> = BTreeMap::new();
        let is_pod = |door: &&Door| door.side == Side::Pod && door.role != Role::Other;
        for door in cluster.doors.iter().filter(is_pod) {
            let Some(netns) = door.id.netns.known() else {
                continue;
            };
            let new = || Candidate::of_door(cluster, door, netns);
            let candidate = here.entry(netns).or_insert_with(new);
            candidate.name = candidate.name.or(door.pod.as_deref());
            candidate.namespace = candidate.namespace.or(door.namespace.as_deref());
            candidate.addresses.extend(global(door));
        }
        let mut others = Vec::new();
        for pod in &cluster.pods {
            match pod.netns.and_then(|netns| here.get_mut(&netns)) {
                Some(candidate) => candidate.pod = Some(pod),
                None => others.push(Candidate::without_doors(cluster, pod)),
            }
        }
        let mut all: Vec<_> = here.into_values().chain(others).collect();
        all.sort_by_cached_key(|it| (!it.is_here(), it.plain(), it.node, it.place.netns()));
        Self { cluster, all }
    }

    /// The pods that have this address of their own.
    pub(super) fn with_address(&self, address: IpAddr) -> impl Iterator<Item = &Candidate<'a>> {
        let has = move |it: &&Candidate<'a>| {
            !matches!(it.place, Place::Node { .. }) && it.addresses.contains(&address)
        };
        self.all.iter().filter(has)
    }

    /// The nodes that have this address, and whether it is that of `cilium_host`.
    pub(super) fn nodes_with_address(&self, address: IpAddr) -> BTreeMap<usize, bool> {
        let doors = self.cluster.doors.iter();
        let own = doors.filter(|door| door.side == Side::Node && door.has(address));
        own.map(|door| (door.node, door.role == Role::CiliumHost))
            .collect()
    }

    /// Whether a node is called so, also one that is not here.
    pub(super) fn is_node(&self, name: &str) -> bool {
        let mut remote = self.all.iter().filter(|it| !it.is_here());
        self.cluster.nodes_called(name).next().is_some() || remote.any(|it| it.node == name)
    }

    /// Whether a pod is on a node that is called so.
    pub(super) fn is_on(&self, pod: &Candidate<'_>, node: &str) -> bool {
        let mut called = self.cluster.nodes_called(node);
        match pod.place.node() {
            Some(own) => called.any(|(node, _)| node == own),
            None => pod.node == node,
        }
    }

    /// The shortest name that only this pod has, as it can be given on the command line: `namespace/name`,
    /// `NODE:namespace/name`, or its network namespace, `netns/4026532345`.
    pub(crate) fn label(&self, pod: &Candidate<'_>) -> String {
        let plain = pod.plain();
        let address = choose(&pod.addresses, None);
        let fits = |other: &&Candidate<'_>| match (pod.name, address) {
            (Some(_), _) => other.is_called(&plain, None),
            (None, Some(address)) => other.addresses.contains(&address),
            // The name of an interface, which every pod has.
            (None, None) => true,
        };
        let twins: Vec<_> = self.all.iter().filter(fits).collect();
        let same_node = twins.iter().filter(|other| other.node == pod.node);
        match (twins.len(), same_node.count(), pod.place.netns()) {
            (..=1, ..) => plain,
            (_, ..=1, _) | (.., None) => format!("{}:{plain}", pod.node),
            (.., Some(netns)) => format!("netns/{}", netns.0),
        }
    }

    /// The pod as an end of a path.
    pub(crate) fn party(&self, pod: &Candidate<'_>, family: Option<Family>) -> Party {
        let own = |node: usize| {
            let node = self.cluster.nodes.get(node).into_iter();
            node.flat_map(|node| &node.addresses).map(|it| it.addr())
        };
        let mut addresses = pod.addresses.clone();
        if let (Place::Node { node, .. }, true) = (pod.place, addresses.is_empty()) {
            addresses.extend(own(node));
        }
        Party {
            name: self.label(pod),
            address: choose(&addresses, family),
            place: pod.place,
        }
    }

    /// The names of all pods, with or without their namespace, like `name`.
    pub(super) fn spellings(&self, like: &str) -> BTreeSet<String> {
        let spelt = |it: &Candidate<'_>| match like.contains('/') {
            true => it.name.map(|_| it.plain()),
            false => it.name.map(Into::into),
        };
        self.all.iter().filter_map(spelt).collect()
    }
}

//! Who has an address: a pod, a node or a service.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{DoorState, NetNsId, Pod, Role, Side, Snapshot, Untrusted};

/// The owner of an address.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Owner {
    /// A pod.
    Pod {
        /// Kubernetes namespace.
        namespace: Option<Untrusted>,
        /// Name.
        name: Untrusted,
        /// Name of its node.
        node: Untrusted,
    },
    /// Cilium's health endpoint of a node.
    Health {
        /// Name of the node.
        node: Untrusted,
    },
    /// A node.
    Node {
        /// Name.
        name: Untrusted,
    },
    /// A service, by an address of its own.
    Service {
        /// Kubernetes namespace.
        namespace: Option<Untrusted>,
        /// Name.
        name: Untrusted,
    },
    /// Several have the address.
    Ambiguous,
}

impl Owner {
    fn pod(pod: &Pod) -> Self {
        Self::Pod {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            node: pod.node.clone(),
        }
    }

    /// The node that it is, or on which it is.
    #[must_use]
    pub fn node(&self) -> Option<&Untrusted> {
        match self {
            Self::Pod { node, .. } | Self::Health { node } => Some(node),
            Self::Node { name } => Some(name),
            Self::Service { .. } | Self::Ambiguous => None,
        }
    }
}

/// The owners of all known addresses.
#[derive(Debug, Default)]
pub(super) struct Owners {
    all: HashMap<IpAddr, Owner>,
    /// The pod behind each pod's network namespace.
    by_netns: HashMap<NetNsId, Owner>,
    /// Labels of pods, by address.
    labels: HashMap<IpAddr, HashSet<Untrusted>>,
}

impl Owners {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut owners = Self::default();
        let nodes: HashSet<_> = snapshot.nodes.iter().map(|node| node.netns).collect();
        for node in &snapshot.nodes {
            let name = node.name.clone();
            let addresses = node.addresses.iter().map(IpNet::addr);
            owners.add(addresses, &Owner::Node { name });
        }
        for door in &snapshot.doors {
            owners.add_door(door);
        }
        // A pod in its node's network has the node's addresses.
        let own = |pod: &&Pod| pod.netns.is_none_or(|netns| !nodes.contains(&netns));
        let elsewhere = snapshot.directory.iter().flat_map(|it| &it.pods);
        for pod in snapshot.pods.iter().filter(own).chain(elsewhere) {
            let addresses = pod.addresses.iter().copied();
            owners.add(addresses.clone(), &Owner::pod(pod));
            for address in addresses.filter(|_| !pod.labels.is_empty()) {
                let labels = owners.labels.entry(address).or_default();
                labels.extend(pod.labels.iter().cloned());
            }
            if let Some(netns) = pod.netns {
                owners.by_netns.insert(netns, Owner::pod(pod));
            }
        }
        if let Some(directory) = &snapshot.directory {
            for node in &directory.nodes {
                let name = node.name.clone();
                owners.add(node.addresses.iter().copied(), &Owner::Node { name });
            }
            for service in &directory.services {
                let owner = Owner::Service {
                    namespace: service.namespace.clone(),
                    name: service.name.clone(),
                };
                owners.add(service.addresses.iter().copied(), &owner);
            }
        }
        owners
    }

    fn add_door(&mut self, door: &DoorState) {
        let owner = match (door.role, door.side, &door.pod) {
            (Role::Health, Side::Pod, _) => Owner::Health {
                node: door.node.clone(),
            },
            (_, Side::Pod, Some(name)) => Owner::Pod {
                namespace: door.namespace.clone(),
                name: name.clone(),
                node: door.node.clone(),
            },
            (Role::CiliumHost, ..) => Owner::Node {
                name: door.node.clone(),
            },
            _ => return,
        };
        if let (Side::Pod, Some(netns)) = (door.side, door.netns) {
            self.by_netns.insert(netns, owner.clone());
        }
        self.add(door.addresses.iter().map(IpNet::addr), &owner);
    }

    fn add(&mut self, addresses: impl Iterator<Item = IpAddr>, owner: &Owner) {
        // Every interface has link-local addresses.
        let named = addresses.filter(|address| !crate::model::is_link_local(*address));
        for address in named {
            self.all
                .entry(address)
                .and_modify(|known| {
                    if known != owner {
                        *known = Owner::Ambiguous;
                    }
                })
                .or_insert_with(|| owner.clone());
        }
    }

    /// The owner of an address.
    pub(super) fn of(&self, address: IpAddr) -> Option<&Owner> {
        self.all.get(&address)
    }

    /// The pod whose interface this is.
    pub(super) fn of_netns(&self, netns: NetNsId) -> Option<&Owner> {
        self.by_netns.get(&netns)
    }

    /// Whether the pod with this address has all labels.
    pub(super) fn has_labels(&self, address: IpAddr, labels: &[Untrusted]) -> bool {
        let own = self.labels.get(&address);
        own.is_some_and(|own| labels.iter().all(|label| own.contains(label)))
    }
}

//! An address as an end. Several pods or nodes may have it.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, bail, ensure};

use super::{
    pods::{Candidate, Pods},
    search::{Reading, Search, Target},
    service,
    spelling::Spelling,
};
use crate::{
    model::{Cluster, safe},
    verify::{Party, Place, expect::doors::node_name},
};

impl Search<'_> {
    /// The owner of an address: a pod, a node, or neither.
    pub(super) fn address(&self, address: IpAddr) -> Result<Target> {
        ensure!(
            is_elsewhere(address),
            "{address} is never another pod or node: name one, or its address"
        );
        let service = service::by_address(self.cluster(), address);
        if let Some(service) = service.filter(|_| self.spelling.node.is_none()) {
            let party = elsewhere(address);
            return self.target(party).at_service(service);
        }
        let owners = self.owners(address);
        match owners.as_slice() {
            [] => match self.spelling.node {
                Some(node) => bail!("no pod on {} has the address {address}", safe(node)),
                None => Ok(self.target(elsewhere(address))),
            },
            [owner] => Ok(self.target(owner.party.clone())),
            several => {
                let on = |node: &str| several.iter().filter(|other| other.node == node).count();
                let each = several.iter().map(|owner| match on(&owner.node) {
                    1 => format!("{}:{address} ({})", owner.node, owner.about),
                    _ => format!("{} ({})", owner.party.name, owner.about),
                });
                let each = safe(&each.collect::<Vec<_>>().join(", "));
                let number = several.len();
                bail!("{number} pods or nodes have the address {address}; use one of {each}")
            }
        }
    }

    /// All pods and nodes with an address.
    fn owners(&self, address: IpAddr) -> Vec<Owner> {
        let asked = self.spelling.node;
        let is_on = |pod: &&Candidate<'_>| asked.is_none_or(|node| self.pods.is_on(pod, node));
        let pods = self.pods.with_address(address).filter(is_on);
        let pods = pods.map(|pod| Owner {
            node: pod.node.to_owned(),
            about: pod.about(),
            party: Party {
                address: Some(address),
                ..self.pods.party(pod, None)
            },
        });
        let nodes = self.pods.nodes_with_address(address).into_iter();
        let nodes = nodes.filter(|(node, _)| {
            let called = |name| self.cluster().nodes_called(name);
            asked.is_none_or(|asked| called(asked).any(|it| it.0 == *node))
        });
        let nodes = nodes.map(|(node, router)| {
            let name = node_name(self.cluster(), node);
            Owner {
                node: name.to_owned(),
                about: "the node".into(),
                party: Party {
                    name: format!("node/{name}"),
                    address: Some(address),
                    place: Place::Node { node, router },
                },
            }
        });
        pods.chain(nodes).collect()
    }
}

/// A pod or a node with an address.
struct Owner {
    /// Name of its node.
    node: String,
    /// What it is.
    about: String,
    party: Party,
}

/// The owner of an address; `Elsewhere` if there is none, or several.
pub(crate) fn by_address(cluster: &Cluster, address: IpAddr) -> Party {
    let pods = Pods::new(cluster);
    let search = Search {
        pods: &pods,
        spelling: Spelling::read(""),
        reading: Reading::default(),
    };
    match search.owners(address).as_slice() {
        [owner] => owner.party.clone(),
        _ => elsewhere(address),
    }
}

/// Whether packets to an address can leave the sender and reach one receiver.
fn is_elsewhere(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast)
}

fn elsewhere(address: IpAddr) -> Party {
    Party {
        name: address.to_string(),
        address: Some(address),
        place: Place::Elsewhere,
    }
}

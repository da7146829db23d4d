//! The plan of the cluster: the blog's listings, and what they omit.
//!
//! These values are chosen here, because no listing has them: host number 240 for the unnamed pod of each node
//! and 250 for its health endpoint, their names and namespace, `eth0` as the name of the health
//! endpoint's own end, MACs `02:6c:…` for ends that were not listed, IPv6 addresses
//! `fd00:10:10:N::H` for the IPv4 address 10.10.N.H, and the security identities.

use anyhow::{Context as _, Result};

mod extra;
mod listed;
mod listings;
mod made;
mod topology;

pub(super) use made::fingerprint;
pub(super) use topology::Family;
pub use topology::{Door, Node, Place, Pod, PodKind};

/// The planned nodes and pods.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) pods: Vec<Pod>,
}

impl Plan {
    pub(super) fn new() -> Result<Self> {
        let listings = listings::listings()?;
        let mut plan = Self {
            nodes: Vec::new(),
            pods: Vec::new(),
        };
        for listed in &listings.nodes {
            let Some(interfaces) = &listed.interfaces else {
                continue;
            };
            let node = listed::node(listed, interfaces)
                .with_context(|| format!("the built-in listing of {}", listed.name))?;
            for interface in interfaces
                .iter()
                .filter(|link| link.door.name.starts_with("lxc"))
            {
                plan.pods.push(listed::pod(&listings, &node, interface)?);
            }
            plan.nodes.push(node);
        }
        // Cilium starts a node's health endpoint before any pod.
        plan.pods.sort_by_key(|pod| pod.kind != PodKind::Health);
        Ok(plan)
    }

    /// The backend of the service.
    pub(super) fn backend(&self) -> Option<&Pod> {
        let first = self.nodes.first()?;
        let mut pods = self.pods.iter();
        pods.find(|pod| pod.name.starts_with("netshoot") && pod.node == first.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_door_of_the_listings_is_planned() {
        let plan = Plan::new().unwrap();
        assert_eq!(plan.nodes.len(), 2);
        assert_eq!(plan.pods.len(), 8);
        let health = plan.pods.iter().filter(|pod| pod.kind == PodKind::Health);
        assert!(health.clone().all(|pod| pod.interface.name == "lxc_health"));
        assert_eq!(health.count(), 2);
        assert_eq!(
            (plan.nodes[0].wire.index, plan.nodes[1].wire.index),
            (6, 10)
        );
    }
}

//! Addresses in a node's pod range that no interface has.

use std::net::IpAddr;

use super::doors::{self, CILIUM_HOST};
use crate::{
    model::{Cluster, Role, Side, is_link_local, plain},
    verify::{
        facts::Doubt,
        route::{Party, Place},
    },
};

/// Returns [`Doubt::Unassigned`] if no interface has a party's address and it is in a node's pod range.
#[must_use]
pub fn unassigned(cluster: &Cluster, party: &Party) -> Option<Doubt> {
    let address = party.address.filter(|_| party.place == Place::Elsewhere)?;
    let has = |texts: &[String]| texts.iter().any(|text| plain(text) == Some(address));
    // The pod may be out of reach.
    if cluster.pods.iter().any(|pod| has(&pod.addresses)) {
        return None;
    }
    let (index, listed) = range(cluster, address)?;
    let mut doors = cluster.doors.iter().filter(|door| door.node == index);
    let blind = doors.any(|door| door.side == Side::Pod && door.addresses.is_empty());
    Some(Doubt::Unassigned {
        address,
        node: cluster.nodes[index].name.raw().into(),
        listed,
        complete: !blind && !cluster.partial,
    })
}

/// The node whose pod range contains an address, and whether a source lists that range. Otherwise it is
/// the network of Kubernetes' default size around the address of `cilium_host`.
fn range(cluster: &Cluster, address: IpAddr) -> Option<(usize, bool)> {
    let mut nodes = cluster.nodes.iter().enumerate();
    nodes.find_map(|(index, node)| {
        let listed = !node.pod_cidrs.is_empty();
        let holds = if listed {
            node.pod_cidrs
                .iter()
                .any(|range| doors::holds(range, address))
        } else {
            let mut host = doors::devices(cluster, index, Role::CiliumHost);
            let host = host.find(|door| door.interface == CILIUM_HOST)?;
            host.addresses
                .iter()
                .filter_map(|text| plain(text))
                .any(|own| {
                    let prefix = if own.is_ipv4() { 24 } else { 64 };
                    !is_link_local(own) && doors::holds(&format!("{own}/{prefix}"), address)
                })
        };
        holds.then_some((index, listed))
    })
}

//! Addresses that no interface here has: those of pods on other nodes, or of none.

use std::net::IpAddr;

use ipnet::IpNet;

use super::doors::{self, node_name};
use crate::{
    model::{CILIUM_HOST, Cluster, Pod, Role, Side, is_link_local},
    verify::{Doubt, Party, Place},
};

/// Returns [`Doubt::Unassigned`] if no interface has a party's address and it is in a node's pod range.
pub fn unassigned(cluster: &Cluster, party: &Party) -> Option<Doubt> {
    let address = party.address.filter(|_| party.place == Place::Elsewhere)?;
    // The pod may be out of reach.
    let mut pods = cluster.pods.iter();
    if pods.any(|pod| pod.addresses.contains(&address)) {
        return None;
    }
    let (index, listed) = range(cluster, address)?;
    let mut doors = cluster.doors.iter().filter(|door| door.node == index);
    let blind = doors.any(|door| door.side == Side::Pod && door.addresses.is_empty());
    Some(Doubt::Unassigned {
        address,
        node: node_name(cluster, index).into(),
        listed,
        complete: !blind && !cluster.partial,
    })
}

/// Returns [`Doubt::Remote`] if a party is a pod on a node that is not here, known from a source of names.
pub(crate) fn remote(cluster: &Cluster, party: &Party) -> Option<Doubt> {
    let address = party.address.filter(|_| party.place == Place::Elsewhere)?;
    let here = |pod: &Pod| cluster.nodes.iter().any(|node| node.name == pod.node);
    let mut pods = cluster.pods.iter();
    let pod =
        pods.find(|pod| pod.netns.is_none() && pod.addresses.contains(&address) && !here(pod))?;
    Some(Doubt::Remote {
        pod: pod.label(),
        node: pod.node.clone(),
    })
}

/// The node whose pod range contains an address, and whether a source lists that range. Otherwise it is
/// the network of Kubernetes' default size around the address of `cilium_host`.
fn range(cluster: &Cluster, address: IpAddr) -> Option<(usize, bool)> {
    let mut nodes = cluster.nodes.iter().enumerate();
    nodes.find_map(|(index, node)| {
        let listed = !node.pod_cidrs.is_empty();
        let holds = if listed {
            let mut ranges = node.pod_cidrs.iter();
            ranges.any(|range| range.contains(&address))
        } else {
            let mut host = doors::devices(cluster, index, Role::CiliumHost);
            let host = host.find(|door| door.interface == CILIUM_HOST)?;
            let own = host.addresses.iter().map(IpNet::addr);
            let mut own = own.filter(|own| !is_link_local(*own));
            own.any(|own| {
                let prefix = if own.is_ipv4() { 24 } else { 64 };
                IpNet::new(own, prefix).is_ok_and(|range| range.contains(&address))
            })
        };
        holds.then_some((index, listed))
    })
}

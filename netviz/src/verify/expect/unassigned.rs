//! Addresses that should be a pod's, and are nobody's.

use std::net::IpAddr;

use super::doors::{self, CILIUM_HOST};
use crate::{
    model::{Cluster, Role, Side, is_link_local, plain},
    verify::route::{Party, Place},
};

/// Says that nobody has a party's address, which lies among those of a node's pods; `None` where
/// somebody has it, or where it may be anywhere.
#[must_use]
pub fn nobody(cluster: &Cluster, party: &Party) -> Option<String> {
    let address = party.address.filter(|_| party.place == Place::Elsewhere)?;
    let has = |texts: &[String]| texts.iter().any(|text| plain(text) == Some(address));
    // It may be out of reach.
    if cluster.pods.iter().any(|pod| has(&pod.addresses)) {
        return None;
    }
    let (index, said) = range(cluster, address)?;
    let node = &cluster.nodes[index].name;
    let near = if said { "one of" } else { "near" };
    let mut pods = cluster.doors.iter().filter(|door| door.node == index);
    let blind = pods.any(|door| door.side == Side::Pod && door.addresses.is_empty());
    let unless = if blind || cluster.partial {
        "; not every pod there could be looked into"
    } else {
        ""
    };
    Some(format!(
        "nobody has {address}, which is {near} the addresses of {node}'s pods: the pod is gone, or the address is wrong{unless}"
    ))
}

/// The node among whose pods an address belongs, and whether a source says so. Where none does, it is
/// the network of the usual size (Kubernetes' own default) around the address of `cilium_host`.
fn range(cluster: &Cluster, address: IpAddr) -> Option<(usize, bool)> {
    let mut nodes = cluster.nodes.iter().enumerate();
    nodes.find_map(|(index, node)| {
        let said = !node.pod_cidrs.is_empty();
        let holds = if said {
            node.pod_cidrs
                .iter()
                .any(|range| doors::holds(range, address))
        } else {
            let mut host = doors::own(cluster, index, Role::CiliumHost);
            let host = host.find(|door| door.interface == CILIUM_HOST)?;
            host.addresses
                .iter()
                .filter_map(|text| plain(text))
                .any(|own| {
                    let prefix = if own.is_ipv4() { 24 } else { 64 };
                    !is_link_local(own) && doors::holds(&format!("{own}/{prefix}"), address)
                })
        };
        holds.then_some((index, said))
    })
}

//! Nodes and pods of the listings.

use anyhow::{Context as _, Result};
use netviz_ebpf::lab::HEALTH_IDENTITY;

use super::{
    listings::{ListedInterface, ListedNode, Listings},
    made::{address6, host, identity, made_mac},
    topology::{Door, Node, Pod, PodKind},
};

pub(super) fn node(listed: &ListedNode, interfaces: &[ListedInterface]) -> Result<Node> {
    let find = |name: &str| {
        let found = interfaces
            .iter()
            .find(|interface| interface.door.name == name);
        found.with_context(|| format!("{name} is missing"))
    };
    let door = |name: &str| Ok::<_, anyhow::Error>(find(name)?.door.clone());
    let router = find("cilium_host")?.address;
    let router_address = router.context("cilium_host has no address")?.addr();
    let outside = find("eth0")?.peer_ifindex;
    Ok(Node {
        name: listed.name.clone(),
        pid: 0,
        address: listed.ip,
        address6: listed.ip6.context("its IPv6 address is missing")?,
        pod_cidr: listed.pod_cidr.context("its pod CIDR is missing")?,
        router_address,
        router_address6: address6(router_address),
        cilium_net: door("cilium_net")?,
        cilium_host: door("cilium_host")?,
        cilium_vxlan: door("cilium_vxlan")?,
        eth0: door("eth0")?,
        wire: Door {
            name: format!("veth-{}", listed.name.trim_start_matches("mycluster-")),
            index: outside.context("the index of eth0's peer is missing")?,
            mac: made_mac(listed.ip, 3),
        },
    })
}

pub(super) fn pod(listings: &Listings, node: &Node, interface: &ListedInterface) -> Result<Pod> {
    let name = interface.pod.as_deref();
    let listed = listings
        .pods
        .iter()
        .find(|pod| Some(pod.name.as_str()) == name);
    let (kind, namespace, name, address, mac) = match (listed, &interface.netns) {
        (Some(pod), _) => {
            let (namespace, name) = (pod.namespace.as_str(), pod.name.clone());
            (PodKind::Listed, namespace, name, pod.ip, Some(pod.mac))
        }
        (None, Some(netns)) => {
            let id = netns.trim_start_matches("cni-");
            let name = format!("unnamed-{}", id.get(..8).unwrap_or(id));
            let address = host(node.pod_cidr.addr(), 240);
            (PodKind::Unnamed, "kube-system", name, address, None)
        }
        (None, None) => {
            let address = host(node.pod_cidr.addr(), 250);
            (PodKind::Health, "", "cilium-health".into(), address, None)
        }
    };
    let peer = interface.peer_ifindex;
    Ok(Pod {
        kind,
        namespace: namespace.into(),
        identity: if kind == PodKind::Health {
            HEALTH_IDENTITY
        } else {
            identity(&name)
        },
        name,
        node: node.name.clone(),
        pid: 0,
        address,
        address6: address6(address),
        interface: interface.door.clone(),
        eth0: Door {
            name: "eth0".into(),
            index: peer
                .with_context(|| format!("no index of the peer of {}", interface.door.name))?,
            mac: mac.unwrap_or_else(|| made_mac(address, 1)),
        },
        netns_name: interface.netns.clone(),
    })
}

//! Roles of interfaces, by name and kind.

use ipnet::IpNet;

use super::links::Link;
use crate::{
    model::{LinkKind, Role},
    sys::netns::NetNsId,
};

/// Role of an interface in the namespace of a node, by its place, not its name: every CNI plugin has its
/// own names (`lxc`, `veth`, `cali`, `eni`, `azv`, `gke`). On a node with Cilium, the tunnels
/// of others carry nothing of its pods.
pub(crate) fn role(link: &Link, cilium: bool) -> Role {
    match link.name.as_str() {
        "cilium_host" | "cilium_net" => return Role::CiliumHost,
        "lxc_health" => return Role::Health,
        "cilium_vxlan" | "cilium_geneve" => return Role::Overlay,
        "cilium_wg0" => return Role::Encryption,
        _ => {}
    }
    if link.loopback {
        return Role::Other;
    }
    let addressed = !link.addresses.is_empty();
    match &link.kind {
        _ if link.default_route => Role::Uplink,
        Some(kind) if kind.is_pair() => pair(link),
        _ if link.to_nodes => Role::Uplink,
        Some(kind) if kind.is_tunnel() => match link.up && !cilium {
            true => Role::Overlay,
            false => Role::Other,
        },
        Some(LinkKind::Bridge) => Role::Bridge,
        Some(
            LinkKind::Bond | LinkKind::Team | LinkKind::Vlan | LinkKind::Macvlan | LinkKind::Ipvlan,
        ) if addressed => Role::Uplink,
        // An interface that is down is not used.
        None if link.is_hardware() && link.up => Role::Uplink,
        // WireGuard, tun: packets leave the node there.
        _ if !link.ethernet && link.up && addressed => Role::Uplink,
        _ => Role::Other,
    }
}

/// A pair that leaves the node leads to a pod, unless it has a network or is on the way to other nodes: a
/// node in a container has a veth for its uplink. The host ends of the CNI plugin ptp have the gateway's
/// address and no network.
fn pair(link: &Link) -> Role {
    let is_network = |it: &IpNet| it.prefix_len() < it.max_prefix_len();
    if link.name.starts_with("lxc") {
        Role::Pod
    } else if link.to_nodes || link.addresses.iter().any(is_network) {
        Role::Uplink
    } else if link.link_nsid.is_some() {
        Role::Pod
    } else {
        Role::Veth
    }
}

/// Role of an interface in the namespace `own` of a pod that is no end of a pair. A pod's own devices, such
/// as its tunnels and bridges, lead nowhere else.
pub(crate) fn role_in_pod(link: &Link, own: NetNsId) -> Role {
    let leads_out = link.lower.is_some_and(|(netns, _)| netns != own);
    match leads_out || link.is_hardware() {
        true => Role::Pod,
        false => Role::Other,
    }
}

/// Position of a role among a node's doors: pods first, uplinks last.
pub(crate) fn rank(role: Role) -> u8 {
    match role {
        Role::Pod => 0,
        Role::Health => 1,
        Role::CiliumHost => 2,
        Role::Veth => 3,
        Role::Bridge => 4,
        Role::Encryption => 5,
        Role::Overlay => 6,
        Role::Uplink => 7,
        Role::Other => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, kind: Option<&str>, addresses: &[&str]) -> Link {
        Link {
            name: name.into(),
            kind: kind.map(Into::into),
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
            link_nsid: Some(0),
            ethernet: true,
            up: true,
            ..Link::default()
        }
    }

    #[test]
    fn roles_of_a_kind_node() {
        let role_of = |name, kind, addresses: &[&str]| role(&link(name, kind, addresses), true);
        assert_eq!(role_of("cilium_net", Some("veth"), &[]), Role::CiliumHost);
        assert_eq!(role_of("lxc_health", Some("veth"), &[]), Role::Health);
        assert_eq!(role_of("lxc174c023046ff", Some("veth"), &[]), Role::Pod);
        assert_eq!(
            role_of("lxcadded", Some("veth"), &["169.254.1.1/32"]),
            Role::Pod
        );
        assert_eq!(role_of("cilium_vxlan", Some("vxlan"), &[]), Role::Overlay);
        assert_eq!(
            role_of("eth0", Some("veth"), &["172.18.0.4/16"]),
            Role::Uplink
        );
        assert_eq!(role_of("ens3", None, &[]), Role::Uplink);
        for pod in ["veth12", "eni1a", "cali1", "azv1", "gke1"] {
            assert_eq!(role_of(pod, Some("veth"), &[]), Role::Pod, "{pod}");
        }
        // CNI ptp, as in kindnet.
        assert_eq!(
            role_of("veth3", Some("veth"), &["10.244.0.1/32", "fd00::1/128"]),
            Role::Pod
        );
        let mut inner = link("veth12", Some("veth"), &[]);
        inner.link_nsid = None;
        assert_eq!(role(&inner, true), Role::Veth);
        assert_eq!(
            role_of("docker0", Some("bridge"), &["172.17.0.1/16"]),
            Role::Bridge
        );
        assert_eq!(role_of("ifb0", Some("ifb"), &[]), Role::Other);
        // WireGuard, a tunnel, a pod's eth0: what the default route uses.
        for kind in [Some("wireguard"), Some("tun"), Some("veth"), None] {
            let mut uplink = link("any0", kind, &["10.9.0.1/32"]);
            uplink.default_route = true;
            assert_eq!(role(&uplink, true), Role::Uplink, "{kind:?}");
        }
        // The name is not enough.
        assert_eq!(role_of("lxcbr0", Some("bridge"), &[]), Role::Bridge);
    }

    #[test]
    fn loopback_and_down_interfaces_are_no_uplinks() {
        let mut lo = link("lo", None, &["127.0.0.1/8"]);
        lo.loopback = true;
        assert_eq!(role(&lo, true), Role::Other);
        let mut down = link("eth1", None, &[]);
        down.up = false;
        assert_eq!(role(&down, true), Role::Other);
    }

    #[test]
    fn tunnels_and_point_to_point_links() {
        let mut flannel = link("flannel.1", Some("vxlan"), &["10.244.1.0/32"]);
        assert_eq!(role(&flannel, false), Role::Overlay);
        assert_eq!(role(&flannel, true), Role::Other);
        flannel.to_nodes = true;
        assert_eq!(role(&flannel, true), Role::Uplink);
        let mut wg = link("wg0", Some("wireguard"), &["10.9.0.1/24"]);
        wg.ethernet = false;
        assert_eq!(role(&wg, true), Role::Uplink);
        wg.addresses.clear();
        assert_eq!(role(&wg, true), Role::Other);
        // Unnumbered: only the routes know.
        for kind in ["wireguard", "veth", "bridge"] {
            let mut unnumbered = link("to-others", Some(kind), &[]);
            unnumbered.to_nodes = true;
            assert_eq!(role(&unnumbered, true), Role::Uplink, "{kind}");
        }
    }

    #[test]
    fn interfaces_of_pods() {
        let (node, pod) = (NetNsId(1), NetNsId(2));
        let in_pod = |name, kind, lower| {
            let mut link = link(name, kind, &[]);
            link.lower = lower;
            role_in_pod(&link, pod)
        };
        for kind in ["macvlan", "ipvlan", "vlan"] {
            assert_eq!(in_pod("net1", Some(kind), Some((node, 2))), Role::Pod);
            assert_eq!(in_pod("inner", Some(kind), Some((pod, 2))), Role::Other);
        }
        // SR-IOV, host-device.
        assert_eq!(in_pod("net1", None, None), Role::Pod);
        for kind in ["tun", "bridge", "wireguard"] {
            assert_eq!(in_pod("inner", Some(kind), None), Role::Other);
        }
    }
}

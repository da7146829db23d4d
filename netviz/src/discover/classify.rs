//! Roles of interfaces, by name and kind.

use ipnet::IpNet;

use super::links::Link;
use crate::model::{LinkKind, Role};

/// Role of an interface in the namespace of a node, by its place: names say nothing, as every CNI
/// plugin has its own (`lxc`, `veth`, `cali`, `eni`, `azv`, `gke`).
pub(crate) fn role(link: &Link) -> Role {
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
        Some(LinkKind::Bridge) => Role::Bridge,
        Some(
            LinkKind::Bond | LinkKind::Team | LinkKind::Vlan | LinkKind::Macvlan | LinkKind::Ipvlan,
        ) if addressed => Role::Uplink,
        // Hardware has no kind. An interface that is down is not used.
        None if link.ethernet && link.up => Role::Uplink,
        _ => Role::Other,
    }
}

/// A pair that leaves the node leads to a pod, unless it has a network: a node in a container has a
/// veth for its uplink. The host ends of the CNI plugin ptp have the gateway's address and no network.
fn pair(link: &Link) -> Role {
    let is_network = |it: &IpNet| it.prefix_len() < it.max_prefix_len();
    if link.name.starts_with("lxc") {
        Role::Pod
    } else if link.addresses.iter().any(is_network) {
        Role::Uplink
    } else if link.link_nsid.is_some() {
        Role::Pod
    } else {
        Role::Veth
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
        let role_of = |name, kind, addresses: &[&str]| role(&link(name, kind, addresses));
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
        assert_eq!(role(&inner), Role::Veth);
        assert_eq!(
            role_of("docker0", Some("bridge"), &["172.17.0.1/16"]),
            Role::Bridge
        );
        assert_eq!(role_of("ifb0", Some("ifb"), &[]), Role::Other);
        // WireGuard, a tunnel, a pod's eth0: what the default route uses.
        for kind in [Some("wireguard"), Some("tun"), Some("veth"), None] {
            let mut uplink = link("any0", kind, &["10.9.0.1/32"]);
            uplink.default_route = true;
            assert_eq!(role(&uplink), Role::Uplink, "{kind:?}");
        }
        // The name is not enough.
        assert_eq!(role_of("lxcbr0", Some("bridge"), &[]), Role::Bridge);
    }

    #[test]
    fn loopback_and_what_is_down_are_no_uplinks() {
        let mut lo = link("lo", None, &["127.0.0.1/8"]);
        lo.loopback = true;
        assert_eq!(role(&lo), Role::Other);
        let mut down = link("eth1", None, &[]);
        down.up = false;
        assert_eq!(role(&down), Role::Other);
    }
}

//! Roles of interfaces, by name and kind.

use super::links::Link;
use crate::model::{LinkKind, Role};

/// Role of an interface in the namespace of a node.
pub(crate) fn role(link: &Link) -> Role {
    let name = link.name.as_str();
    let kind = link.kind.as_ref();
    match name {
        "cilium_host" | "cilium_net" => return Role::CiliumHost,
        "lxc_health" => return Role::Health,
        "cilium_vxlan" | "cilium_geneve" => return Role::Overlay,
        "cilium_wg0" => return Role::Encryption,
        _ => {}
    }
    if kind.is_some_and(LinkKind::is_pair) && name.starts_with("lxc") {
        return Role::Pod;
    }
    if link.loopback {
        return Role::Other;
    }
    let addressed = !link.addresses.is_empty();
    match kind {
        // A node in a container has a veth for its uplink: the one with an address.
        Some(LinkKind::Veth | LinkKind::Netkit) if !addressed => Role::Veth,
        Some(LinkKind::Bridge) => Role::Bridge,
        Some(
            LinkKind::Veth
            | LinkKind::Netkit
            | LinkKind::Bond
            | LinkKind::Team
            | LinkKind::Vlan
            | LinkKind::Macvlan
            | LinkKind::Ipvlan,
        ) if addressed => Role::Uplink,
        // Hardware has no kind. An interface that is down is not used.
        None if link.ethernet && link.up => Role::Uplink,
        _ => Role::Other,
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
        assert_eq!(role_of("veth12", Some("veth"), &[]), Role::Veth);
        assert_eq!(
            role_of("docker0", Some("bridge"), &["172.17.0.1/16"]),
            Role::Bridge
        );
        assert_eq!(role_of("ifb0", Some("ifb"), &[]), Role::Other);
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

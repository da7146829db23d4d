//! Wrong or missing routes, endpoints and links.

use netviz::{
    lab::{Mode, Node, Pod},
    sys::netlink::NewRoute,
};
use netviz_tests::{
    cli::verify::{VerifyOutput, verify},
    netns::net_faults::{delete_route, set_down},
};

use super::site::{Site, arrived, expect, expect_lost};

/// C is removed from the node's programs, as far as they know it, and a route delivers its packets
/// all the same.
pub(super) fn detour(mode: Mode) {
    let mut site = Site::up(mode, false);
    let [_, _, c] = site.pods().map(Clone::clone);
    let [_, far] = site.nodes().map(Clone::clone);
    let address = c.address.into();
    let mut netlink = site.netlink(&far);
    let by = match mode {
        Mode::NativeEndpointRoutes => {
            delete_route(&mut netlink, address, 32).unwrap();
            let host = NewRoute::host(address, far.cilium_host.index);
            netlink.add_route(&host).unwrap();
            "by cilium_host ▲"
        }
        Mode::Native => {
            past_cilium(&site, &far, &c);
            "cilium_host ▲"
        }
        _ => {
            site.lab.forget_endpoint(&c.name).unwrap();
            past_cilium(&site, &far, &c);
            if mode.tunnels() {
                "by cilium_net ▲"
            } else {
                "by lxc"
            }
        }
    };
    let said = expect(site.across(&[]), "detour");
    assert_eq!(arrived(&said), (Some(4), Some(4)));
    let detours = said.json["detours"][0]["text"].as_str().unwrap_or_default();
    assert!(detours.contains(by), "{mode}: {detours}");
    assert!(detours.contains(&far.name), "{mode}: {detours}");
}

/// Adds a route by which the node's stack delivers.
fn past_cilium(site: &Site, far: &Node, c: &Pod) {
    let mut netlink = site.netlink(far);
    let (address, index) = (c.address.into(), c.interface.index);
    netlink.add_route(&NewRoute::host(address, index)).unwrap();
    netlink.add_neighbour(index, address, c.eth0.mac).unwrap();
}

/// C's node sends the packets for C back.
pub(super) fn circle(mode: Mode) {
    let mut site = Site::up(mode, false);
    let [_, _, c] = site.pods().map(Clone::clone);
    let [own, far] = site.nodes().map(Clone::clone);
    let address = c.address.into();
    let mut netlink = site.netlink(&far);
    if mode.routes_each_endpoint() {
        delete_route(&mut netlink, address, 32).unwrap();
    }
    site.lab.forget_endpoint(&c.name).unwrap();
    let back = NewRoute {
        gateway: Some(own.address.into()),
        ..NewRoute::host(address, far.eth0.index)
    };
    netlink.add_route(&back).unwrap();
    let said = expect(site.across(&[]), "lost");
    assert_eq!(arrived(&said), (Some(0), Some(0)));
    let circle = said.circle();
    for node in [&own.name, &far.name] {
        let door = format!("{node} ▼ eth0");
        assert!(circle.contains(&door), "{mode}: {circle:?}");
    }
    assert!(said.causes().contains("circle"), "{}", said.causes());
}

/// Unassigned addresses of a node's pod range.
pub(super) fn nobody(mode: Mode) {
    let site = Site::up(mode, false);
    let [a, _, c] = site.pods();
    let to_nobody_beside = |pod: &Pod| {
        let [x, y, z, _] = pod.address.octets();
        let nobody = format!("{x}.{y}.{z}.99");
        let said = verify(&site.lab, &[&a.address.to_string(), &nobody]);
        let unclear = said.json["unclear"].to_string();
        let words = format!("no interface has {nobody}");
        assert!(unclear.contains(&words), "{mode}: {unclear}");
        assert!(unclear.contains(&pod.node), "{mode}: {unclear}");
        said
    };
    // With one route per pod, an unassigned address has none.
    let (near, far) = if mode.routes_each_endpoint() {
        (format!("▼ {}", a.interface.name), "▼ eth0")
    } else {
        ("▲ cilium_host".into(), "▲ cilium_host")
    };
    expect_lost(to_nobody_beside(a), &near);
    expect_lost(to_nobody_beside(c), far);
}

/// A's node loses its routes to the other node: packets through its stack are lost, with a specific
/// cause.
pub(super) fn missing_route(mode: Mode) {
    let site = Site::up(mode, false);
    let [a, ..] = site.pods();
    let [own, far] = site.nodes();
    let mut netlink = site.netlink(own);
    let [x, y, ..] = own.address.octets();
    let between = std::net::Ipv4Addr::new(x, y, 0, 0);
    if !mode.tunnels() {
        let pods = far.pod_cidr;
        delete_route(&mut netlink, pods.address.into(), pods.prefix).unwrap();
    }
    delete_route(&mut netlink, between.into(), 16).unwrap();
    let said = site.across(&[]);
    match mode {
        Mode::Vxlan | Mode::VxlanHostRouting => drop(expect_lost(said, "▲ cilium_vxlan")),
        // Cilium's programs need no route.
        Mode::NativeHostRouting => drop(expect(said, "verified")),
        Mode::Native | Mode::NativeEndpointRoutes => {
            let said = expect_lost(said, &format!("▼ {}", a.interface.name));
            let causes = said.causes();
            assert!(causes.contains("network unreachable"), "{causes}");
        }
    }
    no_route_in_the_pod(&site, a);
}

/// The packet crosses no door.
fn no_route_in_the_pod(site: &Site, a: &Pod) {
    delete_route(
        &mut site.netlink(a),
        std::net::Ipv4Addr::UNSPECIFIED.into(),
        0,
    )
    .unwrap();
    let said: VerifyOutput = expect(site.across(&[]), "lost");
    assert!(said.crossed("request").is_empty(), "{:#}", said.json);
    assert!(said.causes().contains("no route"), "{}", said.causes());
}

/// The pod's own link is down.
pub(super) fn destination_down(mode: Mode) {
    let site = Site::up(mode, false);
    let [_, _, c] = site.pods();
    set_down(&mut site.netlink(c), c.eth0.index).unwrap();
    let last = match mode {
        Mode::VxlanHostRouting => "▼ cilium_vxlan".into(),
        Mode::NativeHostRouting => "▼ eth0".into(),
        _ => format!("▲ {}", c.interface.name),
    };
    let said = expect_lost(site.across(&[]), &last);
    assert_eq!(arrived(&said), (Some(0), Some(0)));
    let causes = said.causes();
    assert!(causes.contains("eth0 is down"), "{causes}");
}

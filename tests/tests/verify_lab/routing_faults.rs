//! Wrong or missing routes, endpoints and links.

use netviz::{
    lab::{Mode, Node, Pod},
    sys::netlink::NewRoute,
};
use netviz_tests::{
    cli::verify::{VerifyOutput, verify},
    netns::net_faults::{delete_route, set_down},
};

use super::fixture::{LabFixture, arrived, expect, expect_lost};

/// C is removed from the node's programs, as far as they know it, and a route delivers its packets
/// all the same.
pub(super) fn detour(mode: Mode) {
    let mut fixture = LabFixture::up(mode, false);
    let [_, _, c] = fixture.pods().map(Clone::clone);
    let [_, far] = fixture.nodes().map(Clone::clone);
    let address = c.address.into();
    let mut netlink = fixture.netlink(&far);
    let by = match mode {
        Mode::NativeEndpointRoutes => {
            delete_route(&mut netlink, address, 32).unwrap();
            let host = NewRoute::host(address, far.cilium_host.index);
            netlink.add_route(&host).unwrap();
            "by cilium_host ▲"
        }
        Mode::Native => {
            add_stack_route(&fixture, &far, &c);
            "cilium_host ▲"
        }
        _ => {
            fixture.lab.forget_endpoint(&c.name).unwrap();
            add_stack_route(&fixture, &far, &c);
            if mode.tunnels() {
                "by cilium_net ▲"
            } else {
                "by lxc"
            }
        }
    };
    let result = expect(fixture.across(&[]), "detour");
    assert_eq!(arrived(&result), (Some(4), Some(4)));
    let detours = result.json["detours"][0]["text"]
        .as_str()
        .unwrap_or_default();
    assert!(detours.contains(by), "{mode}: {detours}");
    assert!(detours.contains(&far.name), "{mode}: {detours}");
}

/// Adds a route by which the node's stack delivers.
fn add_stack_route(fixture: &LabFixture, far: &Node, c: &Pod) {
    let mut netlink = fixture.netlink(far);
    let (address, index) = (c.address.into(), c.interface.index);
    netlink.add_route(&NewRoute::host(address, index)).unwrap();
    netlink.add_neighbour(index, address, c.eth0.mac).unwrap();
}

/// C's node sends the packets for C back.
pub(super) fn routing_loop(mode: Mode) {
    let mut fixture = LabFixture::up(mode, false);
    let [_, _, c] = fixture.pods().map(Clone::clone);
    let [own, far] = fixture.nodes().map(Clone::clone);
    let address = c.address.into();
    let mut netlink = fixture.netlink(&far);
    if mode.routes_each_endpoint() {
        delete_route(&mut netlink, address, 32).unwrap();
    }
    fixture.lab.forget_endpoint(&c.name).unwrap();
    let back = NewRoute {
        gateway: Some(own.address.into()),
        ..NewRoute::host(address, far.eth0.index)
    };
    netlink.add_route(&back).unwrap();
    let result = expect(fixture.across(&[]), "lost");
    assert_eq!(arrived(&result), (Some(0), Some(0)));
    let circle = result.circle();
    for node in [&own.name, &far.name] {
        let door = format!("{node} ▼ eth0");
        assert!(circle.contains(&door), "{mode}: {circle:?}");
    }
    assert!(result.causes().contains("circle"), "{}", result.causes());
}

/// Unassigned addresses of a node's pod range.
pub(super) fn unassigned_address(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, _, c] = fixture.pods();
    let to_nobody_beside = |pod: &Pod| {
        let [x, y, z, _] = pod.address.octets();
        let unassigned = format!("{x}.{y}.{z}.99");
        let result = verify(&fixture.lab, &[&a.address.to_string(), &unassigned]);
        let unclear = result.json["unclear"].to_string();
        let reason = format!("no interface has {unassigned}");
        assert!(unclear.contains(&reason), "{mode}: {unclear}");
        assert!(unclear.contains(&pod.node), "{mode}: {unclear}");
        result
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
    let fixture = LabFixture::up(mode, false);
    let [a, ..] = fixture.pods();
    let [own, far] = fixture.nodes();
    let mut netlink = fixture.netlink(own);
    let [x, y, ..] = own.address.octets();
    let between = std::net::Ipv4Addr::new(x, y, 0, 0);
    if !mode.tunnels() {
        let pods = far.pod_cidr;
        delete_route(&mut netlink, pods.addr().into(), pods.prefix_len()).unwrap();
    }
    delete_route(&mut netlink, between.into(), 16).unwrap();
    let result = fixture.across(&[]);
    match mode {
        Mode::Vxlan | Mode::VxlanHostRouting => drop(expect_lost(result, "▲ cilium_vxlan")),
        // Cilium's programs need no route.
        Mode::NativeHostRouting => drop(expect(result, "verified")),
        Mode::Native | Mode::NativeEndpointRoutes => {
            let result = expect_lost(result, &format!("▼ {}", a.interface.name));
            let causes = result.causes();
            let cause = format!("node {} has no route to ", own.name);
            assert!(causes.contains(&cause), "{causes}");
        }
    }
    remove_pod_route(&fixture, a);
}

/// The packet crosses no door.
fn remove_pod_route(fixture: &LabFixture, a: &Pod) {
    delete_route(
        &mut fixture.netlink(a),
        std::net::Ipv4Addr::UNSPECIFIED.into(),
        0,
    )
    .unwrap();
    // The path is not tested.
    let result: VerifyOutput = expect(fixture.across(&[]), "unclear");
    assert!(result.crossed("request").is_empty(), "{:#}", result.json);
    assert!(result.causes().contains("no route"), "{}", result.causes());
}

/// The pod's own link is down.
pub(super) fn destination_down(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [_, _, c] = fixture.pods();
    set_down(&mut fixture.netlink(c), c.eth0.index).unwrap();
    let last = match mode {
        Mode::VxlanHostRouting => "▼ cilium_vxlan".into(),
        Mode::NativeHostRouting => "▼ eth0".into(),
        _ => format!("▲ {}", c.interface.name),
    };
    let result = expect_lost(fixture.across(&[]), &last);
    assert_eq!(arrived(&result), (Some(0), Some(0)));
    let causes = result.causes();
    assert!(causes.contains(" is down"), "{causes}");
    assert!(causes.contains("ip link set eth0 up"), "{causes}");
}

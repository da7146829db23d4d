//! Packets dropped by a foreign program, and doors at which netviz cannot be attached.

use aya::programs::LinkOrder;
use netviz::{lab::Mode, model::Direction};
use netviz_tests::bpf::{
    foreign_program::{ForeignProgram, Verdict},
    skip,
};

use super::site::{Site, arrived, expect, expect_lost};

/// More programs than a hook can hold.
const TOO_MANY: usize = 100;

/// Each case adds one fault, runs verify, and removes the fault.
pub(super) fn programs_that_end_packets(mode: Mode) {
    // Foreign programs are attached with tcx, from which they can be detached.
    if skip::without_tcx() {
        return;
    }
    let site = Site::up(mode, false);
    where_the_pod_sends(&site);
    at_arrival(&site);
    before_the_pod(&site);
    on_the_uplink(&site);
    the_reply_alone(&site);
    nobody_who_listens(&site);
    expect(site.across(&[]), "verified");
}

/// Where a policy of A would drop the packet.
fn where_the_pod_sends(site: &Site) {
    let [a, ..] = site.pods();
    let device = &a.interface.name;
    let foreign = site.plant(site.node(a), device, Direction::Ingress, Verdict::Shot);
    let said = expect_lost(site.across(&[]), &format!("▼ {device}"));
    assert!(said.causes().contains("foreign_shot"), "{}", said.causes());
    assert!(foreign.seen().unwrap() >= 4);
}

/// Where a policy of B would drop the packet: at Cilium's program that delivers it to the pod.
fn at_arrival(site: &Site) {
    let [_, _, c] = site.pods();
    let (device, direction) = match site.mode {
        Mode::Vxlan | Mode::VxlanHostRouting => ("cilium_vxlan", Direction::Ingress),
        Mode::Native => ("cilium_host", Direction::Egress),
        Mode::NativeHostRouting => ("eth0", Direction::Ingress),
        Mode::NativeEndpointRoutes => (c.interface.name.as_str(), Direction::Egress),
    };
    let _foreign = site.plant(site.node(c), device, direction, Verdict::Shot);
    let door = format!("{} {device}", direction.sign());
    let said = expect_lost(site.across(&[]), &door);
    assert_eq!(arrived(&said), (Some(0), Some(0)));
}

/// At lxcB, in the modes in which packets cross it; in the others, a program there drops nothing.
fn before_the_pod(site: &Site) {
    let [_, _, c] = site.pods();
    let device = &c.interface.name;
    let _foreign = site.plant(site.node(c), device, Direction::Egress, Verdict::Shot);
    if site.mode.bypasses_stack() {
        expect(site.across(&[]), "verified");
    } else {
        expect_lost(site.across(&[]), &format!("▲ {device}"));
    }
}

/// Inside the tunnel's packet, if there is a tunnel.
fn on_the_uplink(site: &Site) {
    let [own, _] = site.nodes();
    let _foreign = site.plant(own, "eth0", Direction::Egress, Verdict::Shot);
    let said = expect_lost(site.across(&[]), "▲ eth0");
    let row = said.json["losses"][0]["after"].as_u64().unwrap() as usize;
    assert_eq!(said.json["request"][row]["outer"], site.mode.tunnels());
    assert_eq!(said.json["request"][row]["node"], own.name.as_str());
}

fn the_reply_alone(site: &Site) {
    let [_, _, c] = site.pods();
    let device = &c.interface.name;
    let _foreign = site.plant(site.node(c), device, Direction::Ingress, Verdict::Shot);
    let said = expect(site.across(&[]), "lost");
    let last = format!("▼ {device} of the reply");
    assert_eq!(said.lost_after(), Some(last), "{:#}", said.json);
    assert_eq!(arrived(&said), (Some(4), Some(0)));
    // The request is complete, which can be all that is judged.
    expect(site.across(&["--one-way"]), "verified");
}

/// The packet reaches the pod's own door, and no reply leaves it.
fn nobody_who_listens(site: &Site) {
    let [_, _, c] = site.pods();
    let _deaf = site.plant(c, "eth0", Direction::Ingress, Verdict::Shot);
    let said = expect(site.across(&[]), "lost");
    assert_eq!(arrived(&said), (Some(4), Some(0)));
}

/// A hook is full: netviz cannot be attached, and reports that.
pub(super) fn doors_that_are_hidden(mode: Mode) {
    if skip::without_tcx() {
        return;
    }
    let site = Site::up(mode, false);
    let [a, ..] = site.pods();
    let node = site.node(a);
    let device = &a.interface.name;
    let netns = site.lab.netns(node).unwrap();
    let another = |_| {
        let first = LinkOrder::first();
        ForeignProgram::tcx(&netns, device, Direction::Ingress, Verdict::Next, first).ok()
    };
    let full: Vec<_> = (0..TOO_MANY).map_while(another).collect();
    assert!(full.len() < TOO_MANY);
    let said = expect(site.across(&[]), "unclear");
    assert_eq!(arrived(&said), (Some(4), Some(4)));
    let row = said.row("request", &format!("▼ {device}")).unwrap();
    assert!(row["seen"].is_null(), "{row:#}");
    let unclear = said.json["unclear"].to_string();
    assert!(unclear.contains(device.as_str()), "{unclear}");
    assert!(unclear.contains("takes no more"), "{unclear}");
    // A hidden door is neither the place of a loss nor crossed.
    let _ended = site.plant(node, "eth0", Direction::Egress, Verdict::Shot);
    expect_lost(site.across(&[]), "▲ eth0");
    drop(full);
}

//! Packets that a program of somebody else ends, and doors at which netviz cannot stand.

use aya::programs::LinkOrder;
use netviz::{lab::Mode, model::Direction};
use netviz_tests::bpf::{
    foreign_program::{ForeignProgram, Verdict},
    skip,
};

use super::site::{Site, arrived, expect, expect_lost};

/// More programs than any hook holds.
const TOO_MANY: usize = 100;

/// Each plants one fault, looks, and takes it away again.
pub(super) fn programs_that_end_packets(mode: Mode) {
    // ForeignProgram programs are planted in tcx, from where they can be taken away again.
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

/// Where a policy of A would end it.
fn where_the_pod_sends(site: &Site) {
    let [a, ..] = site.pods();
    let device = &a.interface.name;
    let foreign = site.plant(site.node(a), device, Direction::Ingress, Verdict::Shot);
    let said = expect_lost(site.across(&[]), &format!("▼ {device}"));
    assert!(said.causes().contains("foreign_shot"), "{}", said.causes());
    assert!(foreign.seen().unwrap() >= 4);
}

/// Where a policy of B would end it: Cilium's program stands there that hands packets to the pod.
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

/// At lxcB itself, where that is crossed; elsewhere a program there ends nothing.
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

/// In the tunnel's packet, where there is a tunnel.
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
    // The way there is whole, and that can be all that is asked.
    expect(site.across(&["--one-way"]), "verified");
}

/// It comes to the pod's own door, and nothing comes out of it.
fn nobody_who_listens(site: &Site) {
    let [_, _, c] = site.pods();
    let _deaf = site.plant(c, "eth0", Direction::Ingress, Verdict::Shot);
    let said = expect(site.across(&[]), "lost");
    assert_eq!(arrived(&said), (Some(4), Some(0)));
}

/// A hook that holds as many programs as it can: netviz cannot be attached, and says so.
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
    assert!(unclear.contains("63 programs"), "{unclear}");
    // What cannot be seen is no place to be lost at, and none to be crossed.
    let _ended = site.plant(node, "eth0", Direction::Egress, Verdict::Shot);
    expect_lost(site.across(&[]), "▲ eth0");
    drop(full);
}

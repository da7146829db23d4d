//! Packets dropped by a foreign program, and doors at which netviz cannot be attached.

use aya::programs::LinkOrder;
use netviz::{lab::Mode, model::Direction};
use netviz_tests::bpf::{
    foreign_program::{ForeignProgram, Verdict},
    skip,
};

use super::fixture::{LabFixture, arrived, expect, expect_lost};

/// More programs than a hook can hold.
const TOO_MANY: usize = 100;

/// Each case adds one fault, runs verify, and removes the fault.
pub(super) fn packets_dropped_by_programs(mode: Mode) {
    // Foreign programs are attached with tcx, from which they can be detached.
    if skip::without_tcx() {
        return;
    }
    let fixture = LabFixture::up(mode, false);
    at_the_sender(&fixture);
    at_the_destination_node(&fixture);
    before_the_pod(&fixture);
    on_the_uplink(&fixture);
    only_the_reply(&fixture);
    without_a_listener(&fixture);
    expect(fixture.across(&[]), "verified");
}

/// Where a policy of A would drop the packet.
fn at_the_sender(fixture: &LabFixture) {
    let [a, ..] = fixture.pods();
    let device = &a.interface.name;
    let foreign = fixture.attach(fixture.node(a), device, Direction::Ingress, Verdict::Shot);
    let result = expect_lost(fixture.across(&[]), &format!("▼ {device}"));
    assert!(
        result.causes().contains("foreign_shot"),
        "{}",
        result.causes()
    );
    assert!(foreign.seen().unwrap() >= 4);
}

/// Where a policy of B would drop the packet: at Cilium's program that delivers it to the pod.
fn at_the_destination_node(fixture: &LabFixture) {
    let [_, _, c] = fixture.pods();
    let (device, direction) = match fixture.mode {
        Mode::Vxlan | Mode::VxlanHostRouting => ("cilium_vxlan", Direction::Ingress),
        Mode::Native => ("cilium_host", Direction::Egress),
        Mode::NativeHostRouting => ("eth0", Direction::Ingress),
        Mode::NativeEndpointRoutes => (c.interface.name.as_str(), Direction::Egress),
    };
    let _foreign = fixture.attach(fixture.node(c), device, direction, Verdict::Shot);
    let door = format!("{} {device}", direction.sign());
    let result = expect_lost(fixture.across(&[]), &door);
    assert_eq!(arrived(&result), (Some(0), Some(0)));
}

/// At lxcB, in the modes in which packets cross it; in the others, a program there drops nothing.
fn before_the_pod(fixture: &LabFixture) {
    let [_, _, c] = fixture.pods();
    let device = &c.interface.name;
    let _foreign = fixture.attach(fixture.node(c), device, Direction::Egress, Verdict::Shot);
    if fixture.mode.bypasses_stack() {
        expect(fixture.across(&[]), "verified");
    } else {
        expect_lost(fixture.across(&[]), &format!("▲ {device}"));
    }
}

/// Inside the tunnel's packet, if there is a tunnel.
fn on_the_uplink(fixture: &LabFixture) {
    let [own, _] = fixture.nodes();
    let _foreign = fixture.attach(own, "eth0", Direction::Egress, Verdict::Shot);
    let result = expect_lost(fixture.across(&[]), "▲ eth0");
    let row = result.json["losses"][0]["after"].as_u64().unwrap() as usize;
    assert_eq!(result.json["request"][row]["outer"], fixture.mode.tunnels());
    assert_eq!(result.json["request"][row]["node"], own.name.as_str());
}

fn only_the_reply(fixture: &LabFixture) {
    let [_, _, c] = fixture.pods();
    let device = &c.interface.name;
    let _foreign = fixture.attach(fixture.node(c), device, Direction::Ingress, Verdict::Shot);
    let result = expect(fixture.across(&[]), "lost");
    let last = format!("▼ {device} of the reply");
    assert_eq!(result.lost_after(), Some(last), "{:#}", result.json);
    assert_eq!(arrived(&result), (Some(4), Some(0)));
    // The request is complete, which can be all that is judged.
    expect(fixture.across(&["--one-way"]), "verified");
}

/// The packet reaches the pod's own door, and no reply leaves it.
fn without_a_listener(fixture: &LabFixture) {
    let [_, _, c] = fixture.pods();
    let _deaf = fixture.attach(c, "eth0", Direction::Ingress, Verdict::Shot);
    let result = expect(fixture.across(&[]), "lost");
    assert_eq!(arrived(&result), (Some(4), Some(0)));
}

/// A hook is full: netviz cannot be attached, and reports that.
pub(super) fn full_hooks_are_hidden(mode: Mode) {
    if skip::without_tcx() {
        return;
    }
    let fixture = LabFixture::up(mode, false);
    let [a, ..] = fixture.pods();
    let node = fixture.node(a);
    let device = &a.interface.name;
    let netns = fixture.lab.netns(node).unwrap();
    let another = |_| {
        let first = LinkOrder::first();
        ForeignProgram::tcx(&netns, device, Direction::Ingress, Verdict::Next, first).ok()
    };
    let full: Vec<_> = (0..TOO_MANY).map_while(another).collect();
    assert!(full.len() < TOO_MANY);
    let result = expect(fixture.across(&[]), "unclear");
    assert_eq!(arrived(&result), (Some(4), Some(4)));
    let row = result.row("request", &format!("▼ {device}")).unwrap();
    assert!(row["seen"].is_null(), "{row:#}");
    let unclear = result.json["unclear"].to_string();
    assert!(unclear.contains(device.as_str()), "{unclear}");
    assert!(unclear.contains("63 programs"), "{unclear}");
    // A hidden door is neither the place of a loss nor crossed.
    let _ended = fixture.attach(node, "eth0", Direction::Egress, Verdict::Shot);
    expect_lost(fixture.across(&[]), "▲ eth0");
    drop(full);
}

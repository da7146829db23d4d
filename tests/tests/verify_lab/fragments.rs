//! Packets larger than the MTU of a network: fragmented, with the marker in one fragment or in
//! none, or dropped.

use netviz::lab::Mode;
use netviz_tests::{cli::verify::VerifyOutput, netns::net_faults::set_mtu};

use super::fixture::{LabFixture, arrived, expect, expect_lost};

/// MTU of the network between the nodes in the second test.
const NARROW: u32 = 1_300;

/// Tunnel packets of 1 500 bytes are in two fragments, the second of which contains the whole
/// marker; of 1 460 bytes, in two without the whole marker.
pub(super) fn fragmented_packets(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    expect(fixture.across(&["--size", "1500", "--one-way"]), "verified");
    let result = fixture.across(&["--size", "1460", "--one-way"]);
    if mode.tunnels() {
        expect_hidden(result, "▲ eth0", "1450");
    } else {
        expect(result, "verified");
    }
    // The sender of the reply may fragment it.
    expect(fixture.across(&["--size", "1500"]), "verified");
    let result = fixture.across(&["--size", "1460"]);
    let wanted = if mode.tunnels() {
        "unclear"
    } else {
        "verified"
    };
    expect(result, wanted);
    let result = fixture.across(&["--size", "1600"]);
    // The sender's own kernel refuses to send it.
    let result = expect(result, "unclear");
    let cause = "1600 bytes > MTU 1500 of eth0 in pod ";
    assert!(result.causes().contains(cause), "{}", result.causes());
}

/// The network's MTU is smaller than that of its links: packets without fragmentation are lost.
pub(super) fn small_mtu(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let wire = fixture.lab.wire().unwrap();
    let mut outside = netviz::sys::netlink::Netlink::open_in(&wire).unwrap();
    for node in fixture.lab.nodes() {
        set_mtu(&mut fixture.netlink(node), node.eth0.index, NARROW).unwrap();
        set_mtu(&mut outside, node.wire.index, NARROW).unwrap();
    }
    let [a, ..] = fixture.pods();
    let large = ["--size", "1400"];
    match mode {
        // The tunnel's own packets may be fragmented.
        Mode::Vxlan | Mode::VxlanHostRouting => drop(expect(fixture.across(&large), "verified")),
        Mode::Native | Mode::NativeEndpointRoutes => {
            let result = expect_lost(fixture.across(&large), &format!("▼ {}", a.interface.name));
            let causes = result.causes();
            assert!(
                causes.contains("1400 bytes > MTU 1300 of eth0 on node "),
                "{causes}"
            );
        }
        // Past the stack, nothing checks a packet's length before it is dropped.
        Mode::NativeHostRouting => drop(expect_lost(fixture.across(&large), "▲ eth0")),
    }
    without_df(&fixture);
    expect(fixture.across(&["--size", "1200"]), "verified");
}

fn without_df(fixture: &LabFixture) {
    let large = fixture.across(&["--size", "1400", "--fragment"]);
    // 1 280 bytes of payload in the first fragment, 10 in the second.
    let cut = fixture.across(&["--size", "1310", "--fragment"]);
    match fixture.mode {
        Mode::Vxlan | Mode::VxlanHostRouting => {
            expect(large, "verified");
            expect(cut, "verified");
        }
        Mode::Native | Mode::NativeEndpointRoutes => {
            expect(large, "verified");
            expect_hidden(cut, "▲ eth0", "1300");
        }
        Mode::NativeHostRouting => {
            expect_lost(large, "▲ eth0");
            expect_lost(cut, "▲ eth0");
        }
    }
}

/// Checks that all packets arrive, and that doors at which they are not recognised are hidden:
/// neither a loss nor bypassed.
#[track_caller]
fn expect_hidden(result: VerifyOutput, door: &str, largest: &str) {
    let result = expect(result, "unclear");
    assert_eq!(arrived(&result).0, Some(4), "{:#}", result.json);
    let row = result.row("request", door).unwrap();
    assert!(row["seen"].is_null(), "{row:#}");
    let unclear = result.json["unclear"].to_string();
    let remedy = format!("send --size {largest} or less");
    assert!(unclear.contains("fragments"), "{unclear}");
    assert!(unclear.contains(&remedy), "{unclear}");
    assert_eq!(result.json["detours"].as_array().map(Vec::len), Some(0));
}

//! Frames of every length and kind, valid and invalid, through both hooks of a real pair: all are
//! counted and arrive at the other end. `prog_test` runs the programs on them without a pair, and
//! checks each verdict.

use std::time::Duration;

use netviz::{
    attach::{AttachMode, AttachOptions},
    model::Counts,
};
use netviz_tests::{
    bpf::{frames, skip},
    cli::{
        fault_table::{Row, many},
        observation::Observation,
        wait::settle,
    },
    netns::{TestNetns, join, send, stats},
};

const SCENARIO: &str = "frames";
const ARRIVAL: Duration = Duration::from_secs(5);
/// As in `traffic_fixture`: less than the queue between the two ends holds.
const AT_ONCE: usize = 500;
/// Random seed.
const SEED: u64 = 0x6e65_7476_697a_0006;

/// Sends all frames, and compares both hooks with both links and with the sent bytes. The kernel
/// refuses only frames shorter than an Ethernet header.
fn through_a_pair(mode: Option<AttachMode>, fault: &str, all: &[&[u8]]) {
    let namespaces = [TestNetns::new().unwrap(), TestNetns::new().unwrap()];
    let ends = join(&namespaces[0], &namespaces[1], 1).unwrap();
    let names = namespaces.iter().map(TestNetns::name).collect();
    let options = AttachOptions { fast: false, mode };
    let mut netviz = Observation::start(names, options).unwrap();
    let mut netlinks = namespaces
        .each_ref()
        .map(|namespace| namespace.netlink().unwrap());
    let mut links =
        || [0, 1].map(|end: usize| stats::links(&mut netlinks[end]).unwrap()[&ends[end].index]);
    let before = links();
    let mut sent = Counts::default();
    let mut untagged = 0;
    for some in all.chunks(AT_ONCE) {
        let taken =
            send::frames(namespaces[0].netns(), ends[0].index, some.iter().copied()).unwrap();
        for (frame, taken) in some.iter().zip(taken) {
            assert_eq!(taken, frame.len() >= frames::SHORTEST, "{frame:02x?}");
            if !taken {
                continue;
            }
            sent.packets += 1;
            sent.segments += 1;
            sent.bytes += frame.len() as u64;
            untagged += u64::from(is_tagged(frame));
        }
        settle(ARRIVAL, &sent.packets, || {
            (links()[1] - before[1]).rx_packets
        });
    }
    let [near, far] = links();
    let (near, far) = (near - before[0], far - before[1]);
    let [_, egress] = netviz.counts(namespaces[0].netns().id(), ends[0].index);
    let [ingress, _] = netviz.counts(namespaces[1].netns().id(), ends[1].index);
    let refused = all.len() as u64 - sent.packets;
    let short = all.iter().filter(|it| it.len() < frames::SHORTEST).count();
    assert_eq!(refused, short as u64);
    let row = Row::new(fault, sent.packets, far.rx_packets, egress.packets).note(format!(
        "{} bytes; the kernel refused {refused} that are shorter than a header",
        sent.bytes
    ));
    row.print(SCENARIO);
    assert_eq!(egress, sent);
    assert_eq!((near.tx_packets, near.tx_bytes), (sent.packets, sent.bytes));
    assert_eq!((far.rx_packets, far.rx_bytes), (sent.packets, sent.bytes));
    // The kernel removes a VLAN tag before the ingress hook.
    sent.bytes -= 4 * untagged;
    assert_eq!(ingress, sent);
    assert_eq!(row.received, row.sent);
}

fn is_tagged(frame: &[u8]) -> bool {
    let kind = frame.get(12..14).unwrap_or_default();
    frame.len() >= 18 && [[0x81, 0x00], [0x88, 0xa8]].iter().any(|it| it == kind)
}

fn modes() -> Vec<(&'static str, AttachMode)> {
    let mut modes = vec![("clsact", AttachMode::Clsact)];
    if skip::has_tcx() {
        modes.push(("tcx", AttachMode::Tcx));
    }
    modes
}

#[test]
fn every_kind() {
    let short: Vec<_> = (0..frames::SHORTEST)
        .map(|length| vec![0x6e_u8; length])
        .collect();
    let known = frames::all();
    let all: Vec<&[u8]> = short
        .iter()
        .map(Vec::as_slice)
        .chain(known.iter().map(|frame| &frame.bytes[..]))
        .collect();
    for (name, mode) in modes() {
        through_a_pair(
            Some(mode),
            &format!("{name}: frames of 0 to 1514 bytes"),
            &all,
        );
    }
}

#[test]
fn random() {
    let random = frames::random(SEED, usize::try_from(many(100_000)).unwrap());
    let all: Vec<&[u8]> = random.iter().map(|frame| &frame.bytes[..]).collect();
    for (name, mode) in modes() {
        through_a_pair(
            Some(mode),
            &format!("{name}: random frames, seed {SEED:#x}"),
            &all,
        );
    }
}

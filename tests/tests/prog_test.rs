//! The programs by themselves: no device, no traffic, one frame at a time.

use netviz::{model::Direction, sys::objects};
use netviz_ebpf::{EGRESS_PROGRAM, INGRESS_PROGRAM, TCX_NEXT};
use netviz_tests::bpf::{
    frames,
    prog_test::{
        count::{self, CountTest},
        flow, follow, see,
    },
    test_objects,
};

/// All other tests rely on this.
#[test]
fn count_counts_every_frame_and_passes_it_on() {
    count::check(objects::COUNT).unwrap();
}

/// The same check must catch the mutant, which would skip Cilium's programs at the head of a tcx
/// chain.
#[test]
fn check_catches_a_wrong_verdict() {
    let error = count::check(test_objects::MUTANT_PIPE).expect_err("TC_ACT_PIPE must be caught");
    assert_eq!(error.root_cause().to_string(), "the verdict is 3");
}

/// The same for the programs that are attached while a check runs: with and without marker, with a
/// free and with a full ring buffer.
#[test]
fn see_passes_every_frame_on() {
    see::check(objects::SEE).unwrap();
}

/// Ethernet pads short frames, and some devices append trailers, also inside of a tunnel.
#[test]
fn see_finds_packets_in_longer_frames() {
    see::check_trailers(objects::SEE).unwrap();
}

/// And for the programs that follow existing traffic.
#[test]
fn follow_passes_every_frame_on() {
    follow::check(objects::FOLLOW).unwrap();
}

/// Under heavy traffic, a door reports a sample, and each door reports the same packets.
#[test]
fn follow_samples_the_same_packets_at_every_door() {
    follow::check_sampling(objects::FOLLOW).unwrap();
}

/// Flows are counted beside the door's counters, which count as ever.
#[test]
fn flow_counts_every_frame_in_one_place_and_passes_it_on() {
    flow::check(objects::FLOW).unwrap();
}

/// IPv4, IPv6 and its extension headers, VLAN and QinQ, ICMP, SCTP, fragments and tunnels.
#[test]
fn flow_reads_the_key_of_each_kind_of_packet() {
    flow::check_keys(objects::FLOW).unwrap();
}

/// What is evicted is counted, and a flow that has a slot keeps it.
#[test]
fn flood_of_new_flows_is_counted_in_full() {
    flow::check_flood(objects::FLOW).unwrap();
}

/// At the sender's own interface, repeated sequence numbers are retransmissions.
#[test]
fn flow_counts_retransmitted_segments_and_flags() {
    flow::check_tcp(objects::FLOW).unwrap();
}

/// Flows cost nothing where they are off: the counting path has the same instructions as the reference,
/// which changes only together with it.
#[test]
fn counting_path_is_unchanged() {
    let [now, reference] = [objects::COUNT, test_objects::COUNT_REFERENCE];
    for name in [INGRESS_PROGRAM, EGRESS_PROGRAM] {
        assert_eq!(
            count::instructions(now, name).unwrap(),
            count::instructions(reference, name).unwrap(),
            "{name}"
        );
    }
}

/// The benchmark runs a program with `repeat`: each run is one crossing.
#[test]
fn repeated_run_is_counted_each_time() {
    use aya::{TestRun as _, programs::TestRunOptions};
    let mut counting = CountTest::load(objects::COUNT).unwrap();
    let frame = frames::ipv4(1_500);
    let options = TestRunOptions {
        data_in: Some(&frame),
        repeat: 10_000,
        ..TestRunOptions::default()
    };
    let program = counting.program(Direction::Egress).unwrap();
    let result = program.test_run(options).unwrap();
    assert_eq!(result.return_value.cast_signed(), TCX_NEXT);
    let [ingress, egress] = counting.counts().unwrap();
    assert_eq!(ingress.packets, 0);
    assert_eq!(
        (egress.packets, egress.segments, egress.bytes),
        (10_000, 10_000, 15_000_000)
    );
}

/// Up to Linux 6.18, a test run accepts less than a page. `faults::exact_counts` sends jumbo frames through a
/// door; this test runs them where the kernel can.
#[test]
fn jumbo_frames_are_counted() {
    let mut counting = CountTest::load(objects::COUNT).unwrap();
    for direction in count::DIRECTIONS {
        match counting.run(direction, &frames::ipv4(9_000), 0) {
            Ok(verdict) => {
                assert_eq!(verdict, TCX_NEXT);
                let counts = counting.counts().unwrap();
                let own = counts[usize::from(direction == Direction::Egress)];
                assert_eq!((own.packets, own.segments, own.bytes), (1, 1, 9_000));
            }
            Err(error) => assert!(count::is_refused(&error), "{error:#}"),
        }
    }
}

//! The programs by themselves: no device, no traffic, one frame at a time.

use netviz::{model::Direction, sys::objects};
use netviz_ebpf::TCX_NEXT;
use netviz_tests::bpf::{
    frames,
    prog_test::{
        count::{self, CountTest},
        follow, see,
    },
    test_objects,
};

/// What a packet's fate rests on, and what every other test takes for granted.
#[test]
fn count_counts_every_frame_and_passes_it_on() {
    count::check(objects::COUNT).unwrap();
}

/// The same check has to tell the mutant apart: at the head of a tcx chain it would cut Cilium off.
#[test]
fn check_catches_a_wrong_verdict() {
    let error = count::check(test_objects::MUTANT_PIPE).expect_err("TC_ACT_PIPE must be caught");
    assert_eq!(error.root_cause().to_string(), "the verdict is 3");
}

/// The same rests on the programs that stand at the hooks while a check runs: marked or not, with
/// room in the ring buffer or without.
#[test]
fn see_passes_every_frame_on() {
    see::check(objects::SEE).unwrap();
}

/// And on those that follow what is there anyway.
#[test]
fn follow_passes_every_frame_on() {
    follow::check(objects::FOLLOW).unwrap();
}

/// However many there are, a door tells of few, and each door of the same.
#[test]
fn follow_samples_the_same_packets_at_every_door() {
    follow::check_thinned(objects::FOLLOW).unwrap();
}

/// `repeat` is how the benchmark runs a program: a run is one crossing there, too.
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

/// Up to Linux 6.18 a test run takes less than a page: jumbo frames are sent through a door in
/// `exact.rs`, and run here where the kernel can.
#[test]
fn jumbo_frames_where_the_kernel_runs_them() {
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

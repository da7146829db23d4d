//! Compares the programs that find marked packets with those that count, for packets that are no
//! probes, under `BPF_PROG_TEST_RUN`: the cost of `netviz verify` for other traffic.

use anyhow::Result;
use netviz::sys::objects;
use netviz_tests::bpf::prog_test::{
    count::{CountTest, DIRECTIONS},
    see::SeeTest,
};

use crate::{
    counting::{ROUNDS, nanoseconds},
    figure::{Figure, median},
};

pub(crate) fn run(report: &mut dyn FnMut(Figure)) -> Result<()> {
    for (tcp, what) in [
        (false, "looking for probes"),
        (true, "looking for SYNs and answers"),
    ] {
        let mut see_test = SeeTest::load(objects::SEE, tcp)?;
        let mut counting = CountTest::load(objects::COUNT)?;
        for direction in DIRECTIONS {
            let see_test = see_test.program(direction)?;
            let counting = counting.program(direction)?;
            let [mut matches, mut counts] = [Vec::new(), Vec::new()];
            // Alternating, so that other load affects both.
            for _ in 0..ROUNDS {
                matches.push(nanoseconds(see_test)?);
                counts.push(nanoseconds(counting)?);
            }
            let (matches, counts) = (median(matches), median(counts));
            report(Figure::new(format!("{what}, {direction}"), matches, "ns"));
            let what = format!("{what} against counting, {direction}");
            report(Figure::new(what, matches / counts, "x").goal(2.0));
        }
    }
    Ok(())
}

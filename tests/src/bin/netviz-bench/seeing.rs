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

pub(crate) fn run(tell: &mut dyn FnMut(Figure)) -> Result<()> {
    for (tcp, what) in [
        (false, "looking for probes"),
        (true, "looking for SYNs and answers"),
    ] {
        let mut seeing = SeeTest::load(objects::SEE, tcp)?;
        let mut counting = CountTest::load(objects::COUNT)?;
        for direction in DIRECTIONS {
            let seeing = seeing.program(direction)?;
            let counting = counting.program(direction)?;
            let [mut looks, mut counts] = [Vec::new(), Vec::new()];
            // Alternating, so that other load affects both.
            for _ in 0..ROUNDS {
                looks.push(nanoseconds(seeing)?);
                counts.push(nanoseconds(counting)?);
            }
            let (looks, counts) = (median(looks), median(counts));
            tell(Figure::new(format!("{what}, {direction}"), looks, "ns"));
            let what = format!("{what} against counting, {direction}");
            tell(Figure::new(what, looks / counts, "x").goal(2.0));
        }
    }
    Ok(())
}

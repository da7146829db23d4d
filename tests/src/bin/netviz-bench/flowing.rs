//! Compares the programs that count flows with an empty program, under `BPF_PROG_TEST_RUN`. Another
//! program gives each packet the address of one of the flows; its own cost is subtracted.

use anyhow::{Context as _, Result, ensure};
use aya::{Ebpf, EbpfLoader, maps::Array, programs::SchedClassifier};
use netviz::sys::objects;
use netviz_ebpf::flow::{DOOR_GLOBAL, EPOCH_MAP, FLOWS_MAP, FRAGMENTS, FRAGMENTS_MAP, FlowDoor};
use netviz_tests::bpf::test_objects;

use crate::{
    counting::{ROUNDS, nanoseconds},
    figure::{Figure, median},
};

/// Power of two: the sets of each CPU, with room for twice as many flows as there are.
const SET_BITS: u32 = 15;
/// Map of the number and the mask of the packets.
const VARY_MAP: &str = "NETVIZ_VARY";
/// Description, name of the ratio, mask of the addresses, goal.
const CASES: [(&str, &str, u32, Option<f64>); 4] = [
    ("1 flow", "flow_ratio", 0, Some(2.75)),
    ("4 096 flows", "flow_ratio_4096", 4_095, Some(2.75)),
    ("65 536 flows", "flow_ratio_65536", 65_535, Some(2.75)),
    ("new flows only", "flow_ratio_new", u32::MAX, None),
];

pub(crate) fn run(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut lab = EbpfLoader::new().btf(None).load(objects::LAB)?;
    let empty: &SchedClassifier = program(&mut lab, "netviz_empty")?;
    let mut object = load()?;
    let mut vary = Array::<_, [u32; 2]>::try_from(object.take_map(VARY_MAP).context(VARY_MAP)?)?;
    let mut epoch = Array::<_, u32>::try_from(object.take_map(EPOCH_MAP).context(EPOCH_MAP)?)?;
    program(&mut object, "netviz_vary")?;
    program(&mut object, "netviz_vary_flow")?;
    let loaded = |name: &str| -> Result<&SchedClassifier> {
        Ok(object
            .program(name)
            .context("no such program")?
            .try_into()?)
    };
    let (varied, flows) = (loaded("netviz_vary")?, loaded("netviz_vary_flow")?);
    for (number, (what, name, mask, goal)) in (1..).zip(CASES) {
        vary.set(0, [0, mask], 0)?;
        epoch.set(0, number, 0)?;
        let mut ratios = Vec::new();
        let mut costs = Vec::new();
        // Alternating, so that other load affects all of them.
        for round in 0..=ROUNDS {
            let (nothing, varied) = (nanoseconds(empty)?, nanoseconds(varied)?);
            let cost = nothing + nanoseconds(flows)? - varied;
            // The first round fills the table.
            if round > 0 {
                ratios.push(cost / nothing);
                costs.push(cost);
            }
        }
        report(Figure::new(
            format!("counting and flows, {what}"),
            median(costs),
            "ns",
        ));
        let what = format!("counting and flows / empty program, {what}");
        let figure = Figure::ratio(what, name, ratios);
        report(Figure { goal, ..figure });
    }
    Ok(())
}

fn load() -> Result<Ebpf> {
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)? as u32;
    let door = FlowDoor {
        seed: 0x6e65_7476_697a,
        door: 7,
        cpus,
        set_bits: SET_BITS,
        has_coarse_clock: 1,
        ..FlowDoor::default()
    };
    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .map_max_entries(FLOWS_MAP, (2 * cpus) << SET_BITS)
        .map_max_entries(FRAGMENTS_MAP, FRAGMENTS * cpus)
        .override_global(DOOR_GLOBAL, &door, true);
    Ok(loader.load(test_objects::FLOW_VARY)?)
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    let program = object.program_mut(name).context("no such program")?;
    let program: &mut SchedClassifier = program.try_into()?;
    program.load()?;
    ensure!(program.fd().is_ok());
    Ok(program)
}

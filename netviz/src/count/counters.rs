//! The counting object.

use std::fmt;

use aya::{
    Ebpf,
    maps::{MapData, MapError, PerCpuArray},
};
use netviz_ebpf::{COUNTERS_MAP, DoorCounters, EGRESS_PROGRAM, INGRESS_PROGRAM};

use crate::{
    attach::object::{LoadError, Object, map},
    model::Counts,
    sys::objects,
};

/// Counts packets, segments and bytes at both hooks.
pub(super) struct Counting;

impl Object for Counting {
    type Maps = Counters;

    const PROGRAMS: [&'static str; 2] = [INGRESS_PROGRAM, EGRESS_PROGRAM];

    fn bytes() -> &'static [u8] {
        objects::COUNT
    }

    fn maps(object: &mut Ebpf) -> Result<Counters, LoadError> {
        map(object, COUNTERS_MAP).map(Counters)
    }
}

/// The counters of one door.
pub(super) struct Counters(PerCpuArray<MapData, DoorCounters>);

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counters")
    }
}

impl Counters {
    /// Ingress and egress, summed over the CPUs.
    pub(super) fn read(&self) -> Result<(Counts, Counts), MapError> {
        let values = self.0.get(&0, 0)?;
        let sum = |of: fn(&DoorCounters) -> &netviz_ebpf::Counters| {
            values.iter().map(of).fold(Counts::default(), |sum, one| {
                sum + Counts {
                    packets: one.packets,
                    segments: one.segments,
                    bytes: one.bytes,
                }
            })
        };
        Ok((sum(|door| &door.ingress), sum(|door| &door.egress)))
    }
}

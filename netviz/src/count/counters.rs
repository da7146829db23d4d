//! The counting object.

use std::{
    fmt,
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
};

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, PerCpuArray},
};
use netviz_ebpf::{COUNTERS_MAP, DoorCounters, EGRESS_PROGRAM, INGRESS_PROGRAM};

use super::flows::{FlowMaps, SharedTable};
use crate::{
    attach::{
        linked,
        object::{LoadError, Object, Program, Switch},
    },
    model::{Counts, Door},
    sys::objects,
};

/// Counts packets, segments and bytes at both hooks, and flows where they are asked for.
pub(super) struct Counting {
    pub(super) table: SharedTable,
}

impl Object for Counting {
    type Maps = Arc<Counters>;

    const PROGRAMS: [&'static str; 2] = [INGRESS_PROGRAM, EGRESS_PROGRAM];

    fn bytes() -> &'static [u8] {
        objects::COUNT
    }

    fn maps(object: &mut Ebpf) -> Result<Self::Maps, LoadError> {
        let map = object.take_map(COUNTERS_MAP);
        let map = map.ok_or(LoadError::Missing(COUNTERS_MAP))?;
        Ok(Arc::new(Counters(map)))
    }
}

impl Switch for Counting {
    type Other = FlowMaps;

    fn switched_on(
        &self,
        door: &Door,
        counters: &Self::Maps,
    ) -> Result<([Program; 2], FlowMaps), LoadError> {
        let table = self.table.get().ok_or(LoadError::Missing("table"))?;
        table.load(door, counters.fd()?)
    }

    fn switched_off(&self, counters: &Self::Maps) -> Result<[Program; 2], LoadError> {
        let shared = [(COUNTERS_MAP, counters.fd()?)];
        let (programs, _) = linked::load(objects::COUNT, Self::PROGRAMS, &shared, None)?;
        Ok(programs)
    }
}

/// The counters of one door.
pub(super) struct Counters(Map);

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counters")
    }
}

impl Counters {
    fn fd(&self) -> Result<BorrowedFd<'_>, LoadError> {
        match &self.0 {
            Map::PerCpuArray(map) => Ok(map.fd().as_fd()),
            _ => Err(LoadError::Missing(COUNTERS_MAP)),
        }
    }

    /// Ingress and egress, summed over the CPUs.
    pub(super) fn read(&self) -> Result<(Counts, Counts), MapError> {
        let array = PerCpuArray::<&MapData, DoorCounters>::try_from(&self.0)?;
        let values = array.get(&0, 0)?;
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

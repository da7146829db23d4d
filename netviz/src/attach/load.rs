//! Loads a copy of the counting object.

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{MapData, MapError, PerCpuArray},
    programs::{ProgramError, SchedClassifier},
};
use netviz_ebpf::{COUNTERS_MAP, DoorCounters, EGRESS_PROGRAM, INGRESS_PROGRAM};

use crate::{
    model::{Counts, Direction},
    sys::objects,
};

/// Why the counting programs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Object(#[from] EbpfError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("the object has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Maps(std::io::Error),
}

/// Loads copies; kept, because making one reads the kernel's BTF, which takes 20 ms and is not
/// needed here.
pub(crate) struct Loader {
    loader: EbpfLoader<'static>,
}

impl Loader {
    pub(crate) fn new() -> Self {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        Self { loader }
    }

    /// A copy with a map of its own.
    pub(crate) fn load(&mut self) -> Result<(Programs, Counters), LoadError> {
        let mut object = self.loader.load(objects::COUNT)?;
        let map = object
            .take_map(COUNTERS_MAP)
            .ok_or(LoadError::Missing(COUNTERS_MAP))?;
        let counters = Counters {
            map: PerCpuArray::try_from(map)?,
        };
        let programs = Programs::load(object, [INGRESS_PROGRAM, EGRESS_PROGRAM])?;
        Ok((programs, counters))
    }
}

/// The two programs of one copy, loaded.
pub(crate) struct Programs {
    object: Ebpf,
    /// For ingress and for egress.
    names: [&'static str; 2],
}

impl Programs {
    /// Gives the programs for ingress and egress to the kernel.
    pub(crate) fn load(object: Ebpf, names: [&'static str; 2]) -> Result<Self, LoadError> {
        let mut programs = Self { object, names };
        for direction in [Direction::Ingress, Direction::Egress] {
            programs.program(direction)?.load()?;
        }
        Ok(programs)
    }

    /// Name of the program for a hook.
    pub(super) fn name(&self, direction: Direction) -> &'static str {
        let [ingress, egress] = self.names;
        match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        }
    }

    pub(crate) fn program(
        &mut self,
        direction: Direction,
    ) -> Result<&mut SchedClassifier, LoadError> {
        let name = self.name(direction);
        let program = self
            .object
            .program_mut(name)
            .ok_or(LoadError::Missing(name))?;
        Ok(program.try_into()?)
    }
}

/// The counters of one copy.
pub(crate) struct Counters {
    map: PerCpuArray<MapData, DoorCounters>,
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counters")
    }
}

impl Counters {
    /// Ingress and egress, summed over the CPUs.
    pub(crate) fn read(&self) -> Result<(Counts, Counts), MapError> {
        let values = self.map.get(&0, 0)?;
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

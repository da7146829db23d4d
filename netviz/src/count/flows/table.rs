//! The kernel's table of flows ([`netviz_ebpf::flow`]).

use std::{
    collections::HashMap,
    fmt, io,
    os::fd::{AsFd as _, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool, atomic::Ordering},
};

use aya::maps::{MapData, MapError, PerCpuArray};
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};
use netviz_ebpf::{
    COUNTERS_MAP,
    flow::{
        DOOR_GLOBAL, EPOCH_MAP, FLOW_EGRESS_PROGRAM, FLOW_INGRESS_PROGRAM, FLOWS_MAP, FRAGMENTS,
        FRAGMENTS_MAP, FlowDoor, FlowSet, FlowSlot, Fragment, OUTSIDE_MAP, Outside, WAYS,
    },
};

use crate::{
    attach::{
        linked,
        object::{LoadError, Program},
    },
    model::{Door, DoorId, FlowMemory, LinkKind, Role},
    sys::{bpf::io_error, mapping::Mapping, objects, rcu},
};

/// Sets of each CPU at the least.
const LEAST_SETS: u32 = 256;
/// Offset of the epoch in a slot.
const SLOT_EPOCH: usize = std::mem::offset_of!(FlowSlot, key.epoch);

/// The table, its maps, and the numbers of the doors in it.
pub(crate) struct FlowTable {
    flows: MapData,
    fragments: MapData,
    epoch_map: MapData,
    slots: Mapping,
    epoch: Mapping,
    cpus: u32,
    set_bits: u32,
    room: u32,
    seed: u64,
    /// Until the kernel refuses it.
    has_coarse_clock: AtomicBool,
    numbers: Mutex<Numbers>,
}

impl fmt::Debug for FlowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowTable")
    }
}

/// Which door has which number.
#[derive(Default)]
struct Numbers {
    doors: HashMap<u16, DoorId>,
    last: u16,
}

/// What a door whose flows are counted has for itself.
pub(crate) struct FlowMaps {
    /// Its number in the table.
    pub(super) number: u16,
    outside: PerCpuArray<MapData, Outside>,
}

impl fmt::Debug for FlowMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowMaps({})", self.number)
    }
}

impl FlowMaps {
    /// The packets that are in no slot, of each CPU.
    pub(super) fn outside(&self) -> Result<Vec<Outside>, MapError> {
        Ok(self.outside.get(&0, 0)?.to_vec())
    }
}

impl FlowTable {
    /// Creates a table with slots for `room` flows, divided among the CPUs.
    ///
    /// # Errors
    /// The kernel's errno, such as `ENOMEM`.
    pub(super) fn new(room: u32) -> io::Result<Self> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)? as u32;
        let sets = (room / cpus / WAYS as u32).max(LEAST_SETS);
        let set_bits = sets.next_power_of_two().ilog2();
        let array = |name, size, entries, flags| {
            let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
            let map = aya_obj::Map::new_from_params(kind, 4, size as u32, entries, flags);
            MapData::create(map, name, None).map_err(io_error)
        };
        let entries = (2 * cpus).checked_shl(set_bits).unwrap_or(u32::MAX);
        let flows = array(
            "netviz_flows",
            size_of::<FlowSet>(),
            entries,
            BPF_F_MMAPABLE,
        )?;
        let epoch_map = array("netviz_epoch", size_of::<u32>(), 1, BPF_F_MMAPABLE)?;
        let fragments = (size_of::<Fragment>(), FRAGMENTS * cpus);
        let epoch = Mapping::new(epoch_map.fd().as_fd(), size_of::<u32>())?;
        // A slot of epoch 0 is one that was never used.
        epoch.write(0, 1_u32);
        let bytes = entries as usize * size_of::<FlowSet>();
        Ok(Self {
            fragments: array("netviz_fragment", fragments.0, fragments.1, 0)?,
            slots: Mapping::new(flows.fd().as_fd(), bytes)?,
            flows,
            epoch_map,
            epoch,
            cpus,
            set_bits,
            room,
            seed: seed()?,
            has_coarse_clock: AtomicBool::new(true),
            numbers: Mutex::default(),
        })
    }

    pub(super) fn memory(&self) -> FlowMemory {
        let sets = u64::from(2 * self.cpus) << self.set_bits;
        FlowMemory {
            room: self.room.into(),
            table_bytes: sets * size_of::<FlowSet>() as u64,
        }
    }

    /// Loads the programs that count the flows of a door, with its map of counters.
    pub(in crate::count) fn load(
        &self,
        door: &Door,
        counters: BorrowedFd<'_>,
    ) -> Result<([Program; 2], FlowMaps), LoadError> {
        let number = self.numbers().assign(door.id)?;
        let loaded = self.load_with(
            self.has_coarse_clock.load(Ordering::Relaxed),
            number,
            door,
            counters,
        );
        let loaded = match loaded {
            // Linux 5.10 has no coarse clock.
            Err(LoadError::Kernel(error)) if error.raw_os_error() == Some(libc::EINVAL) => {
                self.has_coarse_clock.store(false, Ordering::Relaxed);
                self.load_with(false, number, door, counters)
            }
            loaded => loaded,
        };
        if loaded.is_err() {
            self.retire(number);
        }
        loaded
    }

    fn load_with(
        &self,
        coarse: bool,
        number: u16,
        door: &Door,
        counters: BorrowedFd<'_>,
    ) -> Result<([Program; 2], FlowMaps), LoadError> {
        let is_tunnel =
            door.role == Role::Overlay || door.kind.as_ref().is_some_and(LinkKind::is_tunnel);
        let is_pods = matches!(door.role, Role::Pod | Role::Health | Role::CiliumHost);
        let constants = FlowDoor {
            seed: self.seed,
            door: number.into(),
            cpus: self.cpus,
            set_bits: self.set_bits,
            is_tunnel: is_tunnel.into(),
            sees_tunnels: (!is_tunnel && !is_pods).into(),
            has_coarse_clock: coarse.into(),
        };
        let shared = [
            (COUNTERS_MAP, counters),
            (FLOWS_MAP, self.flows.fd().as_fd()),
            (FRAGMENTS_MAP, self.fragments.fd().as_fd()),
            (EPOCH_MAP, self.epoch_map.fd().as_fd()),
        ];
        let names = [FLOW_INGRESS_PROGRAM, FLOW_EGRESS_PROGRAM];
        let global = (DOOR_GLOBAL, &constants.bytes()[..]);
        let (programs, mut own) = linked::load(objects::FLOW, names, &shared, Some(global))?;
        let outside = own.take(OUTSIDE_MAP)?;
        Ok((programs, FlowMaps { number, outside }))
    }

    /// Ends the epoch and reads its flows, each with its door.
    pub(super) fn read(&self, mut each: impl FnMut(DoorId, &FlowSlot)) {
        let ended: u32 = self.epoch.read(0);
        let next = match ended.wrapping_add(1) {
            0 => 2,
            next => next,
        };
        self.epoch.write(0, next);
        rcu::wait_for_programs();
        let numbers = self.numbers();
        let sets = (self.cpus as usize) << self.set_bits;
        let first = (ended as usize & 1) * sets;
        for set in first..first + sets {
            for way in 0..WAYS {
                let offset = set * size_of::<FlowSet>() + way * size_of::<FlowSlot>();
                // The slots of a set are filled in their order.
                if self.slots.read::<u32>(offset + SLOT_EPOCH) != ended {
                    break;
                }
                let slot: FlowSlot = self.slots.read(offset);
                if let Some(door) = numbers.doors.get(&slot.key.door) {
                    each(*door, &slot);
                }
            }
        }
    }

    /// Frees the number of a door whose flows are read for the last time.
    pub(super) fn retire(&self, number: u16) {
        self.numbers().doors.remove(&number);
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(u64::from_ne_bytes(seed))
}

impl Numbers {
    fn assign(&mut self, door: DoorId) -> io::Result<u16> {
        for _ in 0..=u16::MAX {
            self.last = self.last.wrapping_add(1);
            if !self.doors.contains_key(&self.last) {
                self.doors.insert(self.last, door);
                return Ok(self.last);
            }
        }
        Err(io::ErrorKind::OutOfMemory.into())
    }
}

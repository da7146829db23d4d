//! A lookout: one copy of the seeing object at one door.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use aya::{
    EbpfLoader,
    maps::{MapData, PerCpuArray, RingBuf},
};
use netviz_ebpf::crossing::{
    COOKIE_GLOBAL, CROSSINGS_MAP, LENGTHS_GLOBAL, MISSED_MAP, SEE_EGRESS_PROGRAM,
    SEE_INGRESS_PROGRAM, Seen, TCP_GLOBAL, TcpReplies,
};

use super::{Marks, Sighting};
use crate::{
    discover::{self, Discovered},
    model::{Door, DoorId, NetNsId},
    objects,
    sys::netns::NetNs,
    trace::{
        clsact::Instance,
        hook::{self, AttachError, AttachMode, Chains, Hooked, Visit},
        load::{LoadError, Programs},
    },
};

/// [`Marks`] as the object has them.
pub(super) struct Globals {
    cookie: [u64; 2],
    lengths: [u32; 2],
    tcp: TcpReplies,
}

impl From<Marks> for Globals {
    fn from(marks: Marks) -> Self {
        let half = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&marks.cookie[from..from + 8]);
            u64::from_ne_bytes(bytes)
        };
        Self {
            cookie: [half(0), half(8)],
            lengths: marks.lengths,
            tcp: marks.tcp,
        }
    }
}

/// Loads copies that look for the same marks.
pub(super) struct Loader<'a> {
    loader: EbpfLoader<'a>,
    /// By which filters of this process are known, where filters have to be.
    instance: Option<Instance>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(globals: &'a Globals) -> Self {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        loader.override_global(COOKIE_GLOBAL, &globals.cookie[..], true);
        loader.override_global(LENGTHS_GLOBAL, &globals.lengths[..], true);
        loader.override_global(TCP_GLOBAL, &globals.tcp, true);
        Self {
            loader,
            instance: None,
        }
    }

    fn load(&mut self) -> Result<Copy, LoadError> {
        let mut object = self.loader.load(objects::SEE)?;
        let mut map = |name| object.take_map(name).ok_or(LoadError::Missing(name));
        let ring = RingBuf::try_from(map(CROSSINGS_MAP)?)?;
        let missed = PerCpuArray::try_from(map(MISSED_MAP)?)?;
        let programs = Programs::load(object, [SEE_INGRESS_PROGRAM, SEE_EGRESS_PROGRAM])?;
        Ok(Copy {
            programs,
            ring,
            missed,
        })
    }
}

/// One copy, loaded.
struct Copy {
    programs: Programs,
    ring: RingBuf<MapData>,
    missed: PerCpuArray<MapData, u64>,
}

/// Stands at both hooks of one door.
pub(super) struct Lookout {
    pub(super) door: DoorId,
    hooked: Hooked,
    ring: RingBuf<MapData>,
    missed: PerCpuArray<MapData, u64>,
}

impl Lookout {
    /// Loads a copy and attaches it; an error is a reason with its remedy.
    pub(super) fn post(
        loader: &mut Loader<'_>,
        found: &Discovered,
        door: &Door,
        mode: Option<AttachMode>,
    ) -> Result<(Self, Chains), String> {
        if let Some(problem) = &door.problem {
            return Err(problem.clone());
        }
        let vanished = || AttachError::Vanished.to_string();
        let namespace = open(found, door.id).ok_or_else(vanished)?;
        let Copy {
            mut programs,
            ring,
            missed,
        } = loader
            .load()
            .map_err(|error| AttachError::from(error).to_string())?;
        let instance = &mut loader.instance;
        let attach = || {
            let mut visit = Visit::default();
            let ifindex = door.id.ifindex;
            let mut hooked = hook::attach(&mut programs, ifindex, mode, instance, &mut visit)?;
            hooked.look(&mut visit)?;
            Ok::<_, AttachError>(hooked)
        };
        let attached = namespace.run(attach).map_err(|_| vanished())?;
        let hooked = attached.map_err(|error| error.to_string())?;
        let chains = hooked.chains().clone();
        let lookout = Self {
            door: door.id,
            hooked,
            ring,
            missed,
        };
        Ok((lookout, chains))
    }

    pub(super) fn mode(&self) -> AttachMode {
        self.hooked.mode()
    }

    /// What was seen since the last time.
    pub(super) fn take(&mut self) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        while let Some(entry) = self.ring.next() {
            sightings.extend(Seen::read(&entry).map(|seen| Sighting {
                door: self.door,
                seen,
            }));
        }
        sightings
    }

    /// For how many marked packets there was no room.
    pub(super) fn missed(&self) -> io::Result<u64> {
        let values = self.missed.get(&0, 0).map_err(io::Error::other)?;
        Ok(values.iter().sum())
    }

    /// Detaches. Who was on the hooks in the end; `None` where the door is gone with its namespace,
    /// an error where somebody took netviz away.
    pub(super) fn leave(mut self, found: &Discovered) -> Result<Option<Chains>, String> {
        // Where the namespace is gone, its filters are gone with it.
        let Some(namespace) = open(found, self.door) else {
            return Ok(None);
        };
        let left = namespace.run(move || {
            let mut visit = Visit::default();
            let looked = self.hooked.look(&mut visit);
            let chains = self.hooked.chains().clone();
            self.hooked.detach(&mut visit);
            looked.map(|_| chains)
        });
        match left {
            Err(_) => Ok(None),
            Ok(Ok(chains)) => Ok(Some(chains)),
            Ok(Err(_)) => Err("netviz was removed from this door, or the door itself was".into()),
        }
    }
}

impl AsFd for Lookout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring buffer's, which lives as long as this borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

fn open(found: &Discovered, door: DoorId) -> Option<NetNs> {
    let netns: NetNsId = door.space.known()?;
    discover::open(found.entrances.get(&netns)?, netns)
}

//! A lookout: one copy of the seeing object at one door.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use aya::{
    EbpfLoader,
    maps::{MapData, PerCpuArray, RingBuf},
};

use super::{collector::Collector, record::Sighting};
use crate::{
    attach::{
        AttachMode,
        clsact::Instance,
        hook::{self, AttachError, Chains, Hooked, Visit},
        load::{LoadError, Programs},
    },
    discover::Discovered,
    model::{Door, DoorId},
};

/// Loads copies that look for the same.
pub(super) struct Loader<'a, T> {
    target: &'a T,
    loader: EbpfLoader<'a>,
}

impl<'a, T: Collector> Loader<'a, T> {
    pub(super) fn new(target: &'a T) -> Self {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        target.globals(&mut loader);
        Self { target, loader }
    }

    fn load(&mut self, door: &Door) -> Result<Copy<T>, LoadError> {
        let [ring, missed] = T::MAPS;
        self.loader.map_max_entries(ring, self.target.room(door));
        let mut object = self.loader.load(T::object())?;
        let mut map = |name| object.take_map(name).ok_or(LoadError::Missing(name));
        let ring = RingBuf::try_from(map(ring)?)?;
        let missed = PerCpuArray::try_from(map(missed)?)?;
        let books = T::open(&mut object).map_err(LoadError::Maps)?;
        let programs = Programs::load(object, T::PROGRAMS)?;
        Ok(Copy {
            programs,
            ring,
            missed,
            books,
        })
    }
}

/// One copy, loaded.
struct Copy<T: Collector> {
    programs: Programs,
    ring: RingBuf<MapData>,
    missed: PerCpuArray<MapData, u64>,
    books: T::Maps,
}

/// Stands at both hooks of one door.
pub(super) struct HookWatch<T: Collector> {
    pub(super) door: DoorId,
    hooked: Hooked,
    ring: RingBuf<MapData>,
    missed: PerCpuArray<MapData, u64>,
    books: T::Maps,
}

impl<T: Collector> HookWatch<T> {
    /// Loads a copy and attaches it; an error is a reason with its remedy. Its filters are known by
    /// `instance`, where filters have to be.
    pub(super) fn post(
        loader: &mut Loader<'_, T>,
        instance: &mut Option<Instance>,
        found: &Discovered,
        door: &Door,
        mode: Option<AttachMode>,
    ) -> Result<(Self, Chains), String> {
        if let Some(problem) = &door.problem {
            return Err(problem.clone());
        }
        let vanished = || AttachError::Vanished.to_string();
        let namespace = found
            .open_for(door.id)
            .map_err(|error| error.to_string())?
            .ok_or_else(vanished)?;
        let Copy {
            mut programs,
            ring,
            missed,
            books,
        } = loader
            .load(door)
            .map_err(|error| AttachError::from(error).to_string())?;
        let attach = || {
            let mut visit = Visit::default();
            let ifindex = door.id.ifindex;
            hook::attach(&mut programs, ifindex, mode, instance, &mut visit)
        };
        let attached = namespace.run(attach).map_err(AttachError::Enter);
        let hooked = attached.flatten().map_err(|error| error.to_string())?;
        let chains = hooked.chains().clone();
        let lookout = Self {
            door: door.id,
            hooked,
            ring,
            missed,
            books,
        };
        Ok((lookout, chains))
    }

    pub(super) fn mode(&self) -> AttachMode {
        self.hooked.mode()
    }

    pub(super) fn begin(&mut self, target: &T, now: Duration) -> io::Result<()> {
        target.begin(&mut self.books, now)
    }

    pub(super) fn balance(&self) -> io::Result<T::Totals> {
        T::balance(&self.books)
    }

    /// What was seen since the last time.
    pub(super) fn take(&mut self) -> Vec<Sighting<T::Record>> {
        let mut sightings = Vec::new();
        while let Some(entry) = self.ring.next() {
            sightings.extend(T::read(&entry).map(|seen| Sighting {
                door: self.door,
                seen,
            }));
        }
        sightings
    }

    /// For how many packets there was no room.
    pub(super) fn missed(&self) -> io::Result<u64> {
        let values = self.missed.get(&0, 0).map_err(io::Error::other)?;
        Ok(values.iter().sum())
    }

    /// Detaches. Who was on the hooks in the end; `None` where the door is gone with its namespace,
    /// an error where somebody took netviz away.
    pub(super) fn leave(mut self, found: &Discovered) -> Result<Option<Chains>, String> {
        // Where the namespace is gone, its filters are gone with it.
        let opened = found.open_for(self.door).map_err(|error| error.to_string());
        let Some(namespace) = opened? else {
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

impl<T: Collector> AsFd for HookWatch<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

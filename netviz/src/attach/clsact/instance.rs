//! Which netviz a filter belongs to, and whether that one is alive.
//!
//! Process ids say neither: two netviz may be in two pid namespaces, as two containers are. Maps of
//! BPF are numbered for the whole machine, and one that nothing else uses goes with its process,
//! however that ends. So each netviz that attaches filters holds such a map, and the lower half of
//! its filters' handles is the lower half of the map's number.

use std::{collections::HashSet, io};

use aya::{
    maps::{MapData, MapError, loaded_maps},
    sys::SyscallError,
};
use aya_obj::generated::bpf_map_type;

/// Name of the map; the kernel takes 15 characters.
const NAME: &str = "netviz_alive";

/// How often another map is made because a living netviz has the same lower half.
const ATTEMPTS: usize = 8;

/// This netviz, for as long as the value is held.
#[derive(Debug)]
pub(crate) struct Instance {
    _map: MapData,
    id: u32,
}

impl Instance {
    pub(crate) fn new() -> Result<Self, MapError> {
        let mut tried = Vec::new();
        loop {
            let instance = Self::create()?;
            // Where nobody can be asked, nobody is swept either.
            let taken = living(instance.id).unwrap_or_default();
            if tried.len() == ATTEMPTS || !taken.contains(&instance.number()) {
                return Ok(instance);
            }
            // Held meanwhile, so that the kernel gives the next number.
            tried.push(instance);
        }
    }

    fn create() -> Result<Self, MapError> {
        let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        let map = MapData::create(aya_obj::Map::new_from_params(kind, 4, 4, 1, 0), NAME, None)?;
        let id = map.info()?.id();
        Ok(Self { _map: map, id })
    }

    /// What tells its filters from those of other living ones.
    pub(crate) fn number(&self) -> u16 {
        self.id as u16
    }

    /// The numbers of all others.
    ///
    /// # Errors
    /// When the kernel does not say: then nothing may be taken for left over.
    pub(crate) fn others(&self) -> io::Result<HashSet<u16>> {
        living(self.id)
    }
}

/// The numbers of all netviz that hold filters, in whichever pid namespace they are.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn all_living() -> io::Result<HashSet<u16>> {
    // No map has the number 0.
    living(0)
}

fn living(own: u32) -> io::Result<HashSet<u16>> {
    let mut living = HashSet::new();
    for map in loaded_maps() {
        match map {
            Ok(map) if map.id() != own && map.name_as_str() == Some(NAME) => {
                living.insert(map.id() as u16);
            }
            Ok(_) => {}
            Err(error) if has_gone(&error) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(living)
}

/// A map may go between the question for its number and the one for its name.
fn has_gone(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(SyscallError { io_error, .. })
        if io_error.raw_os_error() == Some(libc::ENOENT))
}

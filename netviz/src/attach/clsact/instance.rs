//! Which instance of netviz a filter belongs to, and whether that instance is alive.
//!
//! Process ids do not distinguish them: two instances may be in two pid namespaces, as two containers are. Ids of
//! BPF maps are unique on the machine, and a map that nothing else uses ends with its process, however
//! that ends. So each instance that attaches filters holds such a map, and the lower half of its
//! filters' handles is the lower half of the map's id.

use std::{collections::HashSet, io};

use aya::{
    maps::{MapData, MapError, loaded_maps},
    sys::SyscallError,
};
use aya_obj::generated::bpf_map_type;

/// Name of the map, of at most 15 characters.
const NAME: &str = "netviz_alive";

/// How often another map is created because a living instance has the same lower half.
const ATTEMPTS: usize = 8;

/// This instance, alive until it is dropped.
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
            // Where the maps cannot be listed, nothing is swept either.
            let taken = living(instance.id).unwrap_or_default();
            if tried.len() == ATTEMPTS || !taken.contains(&instance.number()) {
                return Ok(instance);
            }
            // Held meanwhile, so that the kernel assigns the next id.
            tried.push(instance);
        }
    }

    fn create() -> Result<Self, MapError> {
        let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        let map = MapData::create(aya_obj::Map::new_from_params(kind, 4, 4, 1, 0), NAME, None)?;
        let id = map.info()?.id();
        Ok(Self { _map: map, id })
    }

    /// The number in its filters' handles.
    pub(crate) fn number(&self) -> u16 {
        self.id as u16
    }

    /// The numbers of all other living instances.
    ///
    /// # Errors
    /// When the maps cannot be listed: then no filter counts as left over.
    pub(crate) fn others(&self) -> io::Result<HashSet<u16>> {
        living(self.id)
    }
}

/// The numbers of all living instances that attach filters, in any pid namespace.
///
/// # Errors
/// When the maps cannot be listed.
pub(crate) fn all_living() -> io::Result<HashSet<u16>> {
    // No map has the id 0.
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

/// A map may end between the queries for its id and for its name.
fn has_gone(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(SyscallError { io_error, .. })
        if io_error.raw_os_error() == Some(libc::ENOENT))
}

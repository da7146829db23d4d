//! Objects that are loaded with maps that exist already: aya shares maps only through pins, which a
//! killed process leaves behind.

use std::{
    collections::HashMap,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use aya::maps::{Map, MapData, MapError};
use aya_obj::EbpfSectionKind;

use super::object::{LoadError, Program};
use crate::sys::bpf;

/// The maps that a copy has for itself, by name.
pub(crate) struct OwnMaps(HashMap<String, MapData>);

impl OwnMaps {
    /// Takes a map.
    ///
    /// # Errors
    /// When the object has no such map, or one of another type.
    pub(crate) fn take<T: TryFrom<Map, Error = MapError>>(
        &mut self,
        name: &'static str,
    ) -> Result<T, LoadError> {
        let map = self.0.remove(name).ok_or(LoadError::Missing(name))?;
        Ok(Map::from_map_data(map)?.try_into()?)
    }
}

/// Loads the two programs of an object. Its map with a name in `shared` is that one; the others are
/// created. `global` is the name and the value of its constant, if it has one.
///
/// # Errors
/// See [`LoadError`].
pub(crate) fn load(
    object: &[u8],
    names: [&'static str; 2],
    shared: &[(&str, BorrowedFd<'_>)],
    global: Option<(&str, &[u8])>,
) -> Result<([Program; 2], OwnMaps), LoadError> {
    let mut object = aya_obj::Object::parse(object)?;
    object.patch_map_data(
        global
            .map(|(name, value)| (name, (value, true)))
            .into_iter()
            .collect(),
    )?;
    let maps = std::mem::take(&mut object.maps);
    let is_shared = |name: &str| shared.iter().find(|(other, _)| *other == name);
    let mut own = HashMap::new();
    for (name, map) in &maps {
        if is_shared(name).is_none() {
            own.insert(name.clone(), create(name, map)?);
        }
    }
    let sections = object.functions.keys().map(|(section, _)| *section);
    let sections = sections.collect();
    let descriptors = maps.iter().filter_map(|(name, map)| {
        let shared = is_shared(name).map(|(_, map)| *map);
        let map_fd = shared.or_else(|| Some(own.get(name)?.fd().as_fd()))?;
        Some((name.as_str(), map_fd.as_raw_fd(), map))
    });
    object.relocate_maps(descriptors, &sections)?;
    object.relocate_calls(&sections)?;
    let [first, second] = names.map(|name| program(&object, name));
    Ok(([first?, second?], OwnMaps(own)))
}

fn create(name: &str, map: &aya_obj::Map) -> Result<MapData, LoadError> {
    let created = MapData::create(map.clone(), name, None)?;
    if map.section_kind() == EbpfSectionKind::Rodata {
        bpf::write_constants(created.fd().as_fd(), map.data())?;
    }
    Ok(created)
}

fn program(object: &aya_obj::Object, name: &'static str) -> Result<Program, LoadError> {
    let program = object.programs.get(name).ok_or(LoadError::Missing(name))?;
    let function = object.functions.get(&program.function_key());
    let instructions = &function.ok_or(LoadError::Missing(name))?.instructions;
    let fd = bpf::load_classifier(name, &object.license, instructions)?;
    Ok(Program {
        name,
        id: bpf::program_id(&fd)?,
        fd,
    })
}

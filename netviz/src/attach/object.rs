//! The eBPF object that is attached: each door gets its own copy.
//!
//! A copy has its own maps, so that equal interface indexes of two namespaces cannot be confused.

use std::{
    fmt::Debug,
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Map, MapError},
    programs::{ProgramError, SchedClassifier},
};

use crate::model::Door;

/// A kind of object: its programs, its constants and its maps.
pub(crate) trait Object: Send + 'static {
    /// The maps of one copy.
    type Maps: Debug + Send + 'static;

    /// Names of the programs for ingress and egress.
    const PROGRAMS: [&'static str; 2];

    /// The compiled object.
    fn bytes() -> &'static [u8];

    /// Sets the constants of all copies.
    fn globals<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        let _ = loader;
    }

    /// Sets the sizes of the maps at `door`.
    fn sizes(&self, door: &Door, loader: &mut EbpfLoader<'_>) {
        let _ = (door, loader);
    }

    /// Takes the maps of a copy.
    ///
    /// # Errors
    /// When the object has no such map.
    fn maps(object: &mut Ebpf) -> Result<Self::Maps, LoadError>;
}

/// An object at whose doors other programs can take the place of its own, while packets cross.
pub(crate) trait Switch: Object<Maps: Clone> {
    /// The maps of the other programs.
    type Other: Debug + Send + 'static;

    /// Loads the other programs, which go on with the maps of the copy.
    ///
    /// # Errors
    /// See [`LoadError`].
    fn switched_on(
        &self,
        door: &Door,
        maps: &Self::Maps,
    ) -> Result<([Program; 2], Self::Other), LoadError>;

    /// Loads its own programs, which go on with the maps of the copy.
    ///
    /// # Errors
    /// See [`LoadError`].
    fn switched_off(&self, maps: &Self::Maps) -> Result<[Program; 2], LoadError>;
}

/// Why a copy could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The object cannot be read, or its maps not be created.
    #[error(transparent)]
    Object(#[from] EbpfError),
    /// The object cannot be read.
    #[error(transparent)]
    Parse(#[from] aya_obj::ParseError),
    /// Its maps and functions do not fit together.
    #[error(transparent)]
    Relocation(#[from] aya_obj::relocation::EbpfRelocationError),
    /// A map has another type, or cannot be created.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The kernel refuses a program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The kernel refuses a program or a map.
    #[error(transparent)]
    Kernel(#[from] io::Error),
    /// The object lacks a map or a program.
    #[error("the object has no {0}")]
    Missing(&'static str),
}

/// Takes a map of a copy.
///
/// # Errors
/// When the object has no such map, or one of another type.
pub(crate) fn map<T: TryFrom<Map, Error = MapError>>(
    object: &mut Ebpf,
    name: &'static str,
) -> Result<T, LoadError> {
    let map = object.take_map(name).ok_or(LoadError::Missing(name))?;
    Ok(map.try_into()?)
}

/// Loads copies. Kept, because [`EbpfLoader::new`] reads the kernel's BTF, which takes 20 ms.
pub(super) struct Loader<'a, T> {
    kind: &'a T,
    loader: EbpfLoader<'a>,
}

impl<'a, T: Object> Loader<'a, T> {
    pub(super) fn new(kind: &'a T) -> Self {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        kind.globals(&mut loader);
        Self { kind, loader }
    }

    pub(super) fn kind(&self) -> &T {
        self.kind
    }

    /// A copy for `door`: its programs, in the order of [`DIRECTIONS`], and its maps.
    pub(super) fn load(&mut self, door: &Door) -> Result<([Program; 2], T::Maps), LoadError> {
        self.kind.sizes(door, &mut self.loader);
        let mut object = self.loader.load(T::bytes())?;
        let maps = T::maps(&mut object)?;
        let [ingress, egress] = T::PROGRAMS;
        let programs = [
            Program::load(&mut object, ingress)?,
            Program::load(&mut object, egress)?,
        ];
        Ok((programs, maps))
    }
}

/// A program of a copy, in the kernel.
pub(crate) struct Program {
    pub(super) name: &'static str,
    pub(super) id: u32,
    pub(super) fd: OwnedFd,
}

impl Program {
    fn load(object: &mut Ebpf, name: &'static str) -> Result<Self, LoadError> {
        let program = object.program_mut(name).ok_or(LoadError::Missing(name))?;
        let program: &mut SchedClassifier = program.try_into()?;
        program.load()?;
        Ok(Self {
            name,
            id: program.info()?.id(),
            fd: program.fd()?.as_fd().try_clone_to_owned()?,
        })
    }
}

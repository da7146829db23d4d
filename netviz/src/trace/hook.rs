//! Attaches one copy of the counting object to the two hooks of one door.

use std::{
    io,
    time::{Duration, Instant},
};

use aya::{
    programs::{
        ProgramError,
        tc::{SchedClassifierLink, TcError},
    },
    sys::SyscallError,
};

use super::{
    clsact,
    load::{LoadError, Programs},
    tcx,
};
use crate::model::{Chain, Direction};

/// By which of the kernel's two ways netviz attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// tcx links (Linux 6.6), the only way where the kernel has them.
    Tcx,
    /// Filters of the clsact qdisc.
    Clsact,
}

/// Who shares the ingress and the egress hook, where that could be asked.
pub(crate) type Chains = [Option<Chain>; 2];

pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Why a door could not be attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The interface is not there: it went while it was being attached, which is normal.
    #[error("the interface is not there any more")]
    Vanished,
    #[error("cannot load the counting programs: {}", explain_load(.0))]
    Load(#[from] LoadError),
    #[error("cannot attach to {direction}: {}", explain(.source))]
    Attach {
        direction: Direction,
        source: ProgramError,
    },
}

/// An attached door. Must be dropped in the door's namespace in [`AttachMode::Clsact`], where a
/// filter is removed by a request that counts in the namespace of the thread.
#[derive(Debug)]
pub(crate) struct Hooked {
    pub(crate) mode: AttachMode,
    pub(crate) interface: String,
    ifindex: u32,
    programs: [u32; 2],
    filters: Option<Filters>,
    _links: [SchedClassifierLink; 2],
}

/// Names of the clsact filters of a door, which run after all of tcx.
#[derive(Debug)]
struct Filters {
    read: Instant,
    ingress: Vec<String>,
    egress: Vec<String>,
}

/// How long they are believed. They say why packets go no further, and endanger no count.
const FILTERS_INTERVAL: Duration = Duration::from_secs(30);

/// Attaches in the calling thread's namespace. Without a `mode` the kernel is asked by trying.
pub(crate) fn attach(
    mut programs: Programs,
    ifindex: u32,
    mode: Option<AttachMode>,
) -> Result<Hooked, AttachError> {
    let interface = name_of(ifindex).ok_or(AttachError::Vanished)?;
    let mut used = mode.unwrap_or(AttachMode::Tcx);
    let ingress = match attach_one(&mut programs, &interface, Direction::Ingress, used) {
        Err(AttachError::Attach { source, .. })
            if mode.is_none() && errno(&source) == Some(libc::EINVAL) =>
        {
            used = AttachMode::Clsact;
            clsact::sweep(ifindex)
                .map_err(|error| vanished_or(Direction::Ingress, TcError::IoError(error).into()))?;
            attach_one(&mut programs, &interface, Direction::Ingress, used)?
        }
        result => result?,
    };
    let egress = attach_one(&mut programs, &interface, Direction::Egress, used)?;
    // aya finds the interface by its name, and names can be given away between two calls.
    if name_of(ifindex).is_none_or(|name| name != interface) {
        return Err(AttachError::Vanished);
    }
    let mut ids = [0; 2];
    for (id, direction) in ids.iter_mut().zip(DIRECTIONS) {
        *id = programs
            .program(direction)?
            .info()
            .map_err(LoadError::from)?
            .id();
    }
    Ok(Hooked {
        mode: used,
        interface,
        ifindex,
        programs: ids,
        filters: None,
        _links: [ingress, egress],
    })
}

impl Hooked {
    /// Who shares the hooks, asked in the calling thread's namespace.
    ///
    /// # Errors
    /// [`AttachError::Vanished`] when netviz is not there any more.
    pub(crate) fn chains(&mut self) -> Result<Chains, AttachError> {
        // Interfaces are renamed while they are up (Linux 6.2).
        self.interface = name_of(self.ifindex).ok_or(AttachError::Vanished)?;
        if self.mode == AttachMode::Tcx {
            self.read_filters();
        }
        let mut chains = [None, None];
        for ((chain, direction), own) in chains.iter_mut().zip(DIRECTIONS).zip(self.programs) {
            let found = match self.mode {
                AttachMode::Tcx => self.tcx_chain(direction, own),
                AttachMode::Clsact => clsact::chain(self.ifindex, direction, own).map_err(drop),
            };
            match found {
                Ok(None) => return Err(AttachError::Vanished),
                Ok(there) => *chain = there,
                // A program that is unloaded between the list and the question: asked again later.
                Err(()) => {}
            }
        }
        Ok(chains)
    }

    /// Cilium may stand in clsact beside a netviz in tcx: what comes after the links is behind too.
    fn tcx_chain(&self, direction: Direction, own: u32) -> Result<Option<Chain>, ()> {
        let chain = tcx::chain(&self.interface, direction, own).map_err(drop)?;
        let filters = self.filters.as_ref().ok_or(())?;
        Ok(chain.map(|mut chain| {
            let names = match direction {
                Direction::Ingress => &filters.ingress,
                Direction::Egress => &filters.egress,
            };
            chain.behind.extend_from_slice(names);
            chain
        }))
    }

    fn read_filters(&mut self) {
        if self
            .filters
            .as_ref()
            .is_some_and(|filters| filters.read.elapsed() < FILTERS_INTERVAL)
        {
            return;
        }
        self.filters = clsact::names(self.ifindex)
            .ok()
            .map(|[ingress, egress]| Filters {
                read: Instant::now(),
                ingress,
                egress,
            });
    }
}

/// Whether, on a kernel without tcx, it is netviz's turn: Cilium's filter first.
pub(crate) fn may_attach(ifindex: u32, mode: Option<AttachMode>) -> bool {
    mode != Some(AttachMode::Clsact)
        || clsact::occupied(ifindex, Direction::Ingress).unwrap_or(true)
}

/// Clears a door of what a killed netviz left; nothing is ever left on a kernel with tcx.
pub(crate) fn sweep(ifindex: u32) {
    match clsact::sweep(ifindex) {
        Ok(0) => {}
        Ok(swept) => log::info!("removed {swept} filters that a killed netviz had left"),
        Err(error) => log::debug!("cannot look for left-over filters: {error}"),
    }
}

fn attach_one(
    programs: &mut Programs,
    interface: &str,
    direction: Direction,
    mode: AttachMode,
) -> Result<SchedClassifierLink, AttachError> {
    let program = programs.program(direction)?;
    let link = match mode {
        AttachMode::Tcx => tcx::attach(program, interface, direction),
        AttachMode::Clsact => clsact::attach(program, interface, direction),
    };
    link.map_err(|source| vanished_or(direction, source))
}

fn vanished_or(direction: Direction, source: ProgramError) -> AttachError {
    match errno(&source) {
        Some(libc::ENODEV) => AttachError::Vanished,
        _ => AttachError::Attach { direction, source },
    }
}

fn name_of(ifindex: u32) -> Option<String> {
    nix::net::if_::if_indextoname(ifindex)
        .ok()?
        .into_string()
        .ok()
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. })
        | ProgramError::LoadError { io_error, .. }
        | ProgramError::TcError(TcError::IoError(io_error)) => io_error.raw_os_error(),
        ProgramError::TcError(TcError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    }
}

fn explain_load(error: &LoadError) -> String {
    match error {
        LoadError::Program(error) => explain(error),
        LoadError::Object(aya::EbpfError::MapError(aya::maps::MapError::CreateError {
            io_error,
            ..
        })) => explain_errno(io_error.raw_os_error(), &io_error.to_string()),
        other => explain_errno(None, &other.to_string()),
    }
}

fn explain(error: &ProgramError) -> String {
    let code = errno(error);
    let text = code.map_or_else(
        || error.to_string(),
        |code| io::Error::from_raw_os_error(code).to_string(),
    );
    explain_errno(code, &text)
}

fn explain_errno(code: Option<i32>, text: &str) -> String {
    let remedy = match code {
        Some(libc::EPERM | libc::EACCES) => {
            "run netviz as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN"
        }
        Some(libc::EMFILE) => "raise the limit of open files (ulimit -n), each door needs three",
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            "the kernel has neither tcx nor clsact: it needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF"
        }
        Some(libc::ENOMEM) => {
            "there is no memory left for BPF: raise the memory limit, or RLIMIT_MEMLOCK before Linux 5.11"
        }
        _ => return text.to_owned(),
    };
    format!("{text}; {remedy}")
}

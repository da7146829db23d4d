//! Attaches one copy of the counting object to the two hooks of one door.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use netlink_packet_route::tc::TcHandle;

use super::{
    clsact::{self, Instance},
    errors::{explain, explain_load},
    load::{LoadError, Programs},
    tcx,
};
use crate::{
    model::{Chain, Direction},
    sys::{bpf, descriptors, netlink::Netlink},
};

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

/// Left to whoever looks for interfaces and asks for names.
const SPARE_DESCRIPTORS: u64 = 12;

pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Why a door could not be attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The interface is not there: it went while it was being attached, which is normal.
    #[error("the interface is not there any more")]
    Vanished,
    /// netviz was attached there, and is not any more; in clsact that may be the interface's end as well.
    #[error("somebody removed netviz's programs from this door; end that, and start netviz again")]
    Removed,
    /// No file can be opened at all.
    #[error("cannot open its network namespace: {0}")]
    Open(io::Error),
    /// There was no thread for it, or it is not allowed.
    #[error("cannot enter its network namespace: {0}")]
    Enter(io::Error),
    /// The rest is for whoever looks for interfaces: a namespace that could not be opened would look as if
    /// it had gone.
    #[error(
        "too few files may still be opened, and each door needs three; {}",
        descriptors::RAISE
    )]
    Scarce,
    #[error("cannot load the counting programs: {}", explain_load(.0))]
    Load(#[from] LoadError),
    #[error("cannot attach to {direction}: {}", explain(.source))]
    Attach {
        direction: Direction,
        source: io::Error,
    },
}

/// Work in the namespace of the calling thread. What it needs of that is opened once, and when it
/// is first needed.
#[derive(Default)]
pub(crate) struct Visit {
    netlink: Option<Netlink>,
}

impl Visit {
    pub(crate) fn netlink(&mut self) -> io::Result<&mut Netlink> {
        if self.netlink.is_none() {
            self.netlink = Some(Netlink::open()?);
        }
        self.netlink
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// An attached door.
#[derive(Debug)]
pub(crate) struct Hooked {
    ifindex: u32,
    programs: [u32; 2],
    stand: Stand,
    chains: Chains,
}

/// How netviz stands there.
#[derive(Debug)]
enum Stand {
    Tcx(Box<Tcx>),
    /// To be taken away by [`Hooked::detach`], in the door's namespace.
    Clsact(TcHandle),
}

#[derive(Debug)]
struct Tcx {
    /// Gone with their descriptors.
    _links: [OwnedFd; 2],
    seen: [Option<tcx::Seen>; 2],
    filters: Option<Filters>,
}

/// Names of the clsact filters of a door, which run after all of tcx.
#[derive(Debug)]
struct Filters {
    read: Instant,
    names: [Vec<String>; 2],
}

/// How long they are believed. They say why packets go no further, and endanger no count.
const FILTERS_INTERVAL: Duration = Duration::from_secs(30);

/// Attaches in the namespace of the visit, and looks who else is there. Without a `mode` the kernel is asked by trying.
pub(crate) fn attach(
    programs: &mut Programs,
    ifindex: u32,
    mode: Option<AttachMode>,
    instance: &mut Option<Instance>,
    visit: &mut Visit,
) -> Result<Hooked, AttachError> {
    if !descriptors::are_left(SPARE_DESCRIPTORS) {
        return Err(AttachError::Scarce);
    }
    let mut ids = [0; 2];
    // Before anything is attached: what fails afterwards would leave a filter.
    for (id, direction) in ids.iter_mut().zip(DIRECTIONS) {
        *id = programs
            .program(direction)?
            .info()
            .map_err(LoadError::from)?
            .id();
    }
    let stand = match mode {
        Some(AttachMode::Tcx) => by_tcx(programs, ifindex)?,
        Some(AttachMode::Clsact) => by_clsact(programs, ifindex, instance, visit)?,
        None => match by_tcx(programs, ifindex) {
            Err(AttachError::Attach { source, .. })
                if source.raw_os_error() == Some(libc::EINVAL) =>
            {
                by_clsact(programs, ifindex, instance, visit)?
            }
            result => result?,
        },
    };
    let mut hooked = Hooked {
        ifindex,
        programs: ids,
        stand,
        chains: [None, None],
    };
    match hooked.look(visit) {
        Ok(_) => Ok(hooked),
        Err(error) => {
            hooked.detach(visit);
            Err(error)
        }
    }
}

fn by_tcx(programs: &mut Programs, ifindex: u32) -> Result<Stand, AttachError> {
    let mut link = |direction| {
        let program = programs.program(direction)?;
        let fd = program.fd().map_err(LoadError::from)?;
        bpf::attach_first(fd.as_fd(), ifindex, direction)
            .map_err(|source| vanished_or(direction, source))
    };
    Ok(Stand::Tcx(Box::new(Tcx {
        _links: [link(Direction::Ingress)?, link(Direction::Egress)?],
        seen: [None, None],
        filters: None,
    })))
}

fn by_clsact(
    programs: &mut Programs,
    ifindex: u32,
    instance: &mut Option<Instance>,
    visit: &mut Visit,
) -> Result<Stand, AttachError> {
    let instance = match instance {
        Some(instance) => &*instance,
        None => instance.insert(Instance::new().map_err(LoadError::from)?),
    };
    let handle = clsact::handle(instance);
    let failed = |direction| move |source| vanished_or(direction, source);
    let netlink = visit.netlink().map_err(failed(Direction::Ingress))?;
    sweep(netlink, ifindex, instance);
    clsact::prepare(netlink, ifindex).map_err(failed(Direction::Ingress))?;
    for direction in DIRECTIONS {
        let name = programs.name(direction);
        let program = programs.program(direction)?;
        let fd = program.fd().map_err(LoadError::from)?;
        let what = (fd.as_fd(), name);
        let attached = clsact::attach(netlink, (ifindex, direction), handle, what);
        if let Err(error) = attached {
            if direction == Direction::Egress {
                let _ = clsact::detach(netlink, (ifindex, Direction::Ingress), handle);
            }
            return Err(vanished_or(direction, error));
        }
    }
    Ok(Stand::Clsact(handle))
}

/// Clears a door of what a killed netviz left; nothing is ever left on a kernel with tcx.
fn sweep(netlink: &mut Netlink, ifindex: u32, instance: &Instance) {
    match clsact::sweep(netlink, ifindex, instance) {
        Ok(0) => {}
        Ok(swept) => log::info!("removed {swept} filters that a killed netviz had left"),
        Err(error) => log::debug!("cannot look for left-over filters: {error}"),
    }
}

impl Hooked {
    pub(crate) fn mode(&self) -> AttachMode {
        match self.stand {
            Stand::Tcx(_) => AttachMode::Tcx,
            Stand::Clsact(_) => AttachMode::Clsact,
        }
    }

    /// Who shared the hooks when they were last looked at.
    pub(crate) fn chains(&self) -> &Chains {
        &self.chains
    }

    /// Whether nobody ran before netviz when the hooks were last looked at, another netviz excepted: two
    /// that each insist on being first would do nothing else. `None` where that could not be asked.
    pub(crate) fn is_first(&self) -> Option<bool> {
        let first = |chain: &Chain| chain.foreign_ahead().is_empty();
        let [ingress, egress] = self.chains.each_ref().map(|it| it.as_ref().map(first));
        match (ingress, egress) {
            (Some(true), Some(true)) => Some(true),
            (Some(false), _) | (_, Some(false)) => Some(false),
            _ => None,
        }
    }

    /// Asks who shares the hooks, in the namespace of the visit; true when that has changed.
    ///
    /// # Errors
    /// [`AttachError::Removed`] when netviz is not there any more, [`AttachError::Vanished`] when the
    /// interface is not.
    pub(crate) fn look(&mut self, visit: &mut Visit) -> Result<bool, AttachError> {
        let chains = match &mut self.stand {
            Stand::Tcx(tcx) => {
                read_filters(&mut tcx.filters, self.ifindex, visit);
                tcx_chains(self.ifindex, self.programs, tcx)?
            }
            Stand::Clsact(_) => clsact_chains(self.ifindex, self.programs, visit)?,
        };
        let changed = chains != self.chains;
        self.chains = chains;
        Ok(changed)
    }

    /// Takes netviz away. Where the namespace cannot be entered any more, a filter is gone with it,
    /// and there is nothing to call this for.
    pub(crate) fn detach(self, visit: &mut Visit) {
        let Stand::Clsact(handle) = self.stand else {
            return;
        };
        for direction in DIRECTIONS {
            let gone = visit
                .netlink()
                .and_then(|netlink| clsact::detach(netlink, (self.ifindex, direction), handle));
            if let Err(error) = gone {
                log::debug!("cannot remove a filter, which may be gone already: {error}");
            }
        }
    }
}

/// Cilium may stand in clsact beside a netviz in tcx: what comes after the links is behind too.
fn tcx_chains(
    ifindex: u32,
    programs: [u32; 2],
    Tcx { seen, filters, .. }: &mut Tcx,
) -> Result<Chains, AttachError> {
    let mut chains = [None, None];
    for (at, direction) in DIRECTIONS.into_iter().enumerate() {
        match tcx::look(ifindex, direction, programs[at], seen[at].take()) {
            Ok(None) => return Err(AttachError::Removed),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                return Err(AttachError::Vanished);
            }
            Ok(there) => seen[at] = there,
            // A program that is unloaded between the list and the question: asked again later.
            Err(_) => {}
        }
        chains[at] = seen[at].as_ref().map(|seen| {
            let mut chain = seen.chain().clone();
            // Where they could not be read, who is ahead is known all the same.
            let filters = filters.as_ref().map(|filters| filters.names[at].as_slice());
            chain.behind.extend_from_slice(filters.unwrap_or_default());
            chain
        });
    }
    Ok(chains)
}

fn clsact_chains(
    ifindex: u32,
    programs: [u32; 2],
    visit: &mut Visit,
) -> Result<Chains, AttachError> {
    let mut chains = [None, None];
    for ((chain, direction), own) in chains.iter_mut().zip(DIRECTIONS).zip(programs) {
        let found = visit
            .netlink()
            .and_then(|netlink| clsact::chain(netlink, (ifindex, direction), own));
        match found {
            Ok(None) => return Err(AttachError::Removed),
            Ok(there) => *chain = there,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                return Err(AttachError::Vanished);
            }
            Err(_) => {}
        }
    }
    Ok(chains)
}

fn read_filters(filters: &mut Option<Filters>, ifindex: u32, visit: &mut Visit) {
    let fresh = |filters: &Filters| filters.read.elapsed() < FILTERS_INTERVAL;
    if filters.as_ref().is_some_and(fresh) {
        return;
    }
    let names = visit
        .netlink()
        .and_then(|netlink| clsact::names(netlink, ifindex));
    *filters = names.ok().map(|names| Filters {
        read: Instant::now(),
        names,
    });
}

/// Whether, on a kernel without tcx, it is netviz's turn: Cilium's filter first.
pub(crate) fn may_attach(ifindex: u32, mode: Option<AttachMode>, visit: &mut Visit) -> bool {
    mode != Some(AttachMode::Clsact)
        || visit
            .netlink()
            .and_then(|netlink| clsact::occupied(netlink, (ifindex, Direction::Ingress)))
            .unwrap_or(true)
}

fn vanished_or(direction: Direction, source: io::Error) -> AttachError {
    match source.raw_os_error() {
        Some(libc::ENODEV) => AttachError::Vanished,
        _ => AttachError::Attach { direction, source },
    }
}

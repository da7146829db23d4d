//! A door with a copy of an object at both of its hooks.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use netlink_packet_route::tc::TcHandle;

use super::{
    clsact::{self, Instance},
    errors::AttachError,
    object::{LoadError, Program},
    tcx,
};
use crate::{
    model::{Chain, Direction, Door},
    sys::{bpf, descriptors, netlink::Netlink},
};

/// The kernel's two ways of attaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// tcx links (Linux 6.6), the only way where the kernel has them.
    Tcx,
    /// Filters of the clsact qdisc.
    Clsact,
}

/// The other programs at the ingress and the egress hook, where the kernel lists them.
pub(crate) type Chains = [Option<Chain>; 2];

/// File descriptors that are left to discovery and the sources of names.
const SPARE_DESCRIPTORS: u64 = 12;

/// Every door is read within this time and that of one round: tcx sends no notifications.
pub(crate) const INSPECT_INTERVAL: Duration = Duration::from_secs(4);

pub(crate) const DIRECTIONS: [Direction; 2] = Direction::BOTH;

/// Work in the namespace of the calling thread. Its netlink socket is opened when it is first needed.
#[derive(Default)]
pub(crate) struct Visit {
    netlink: Option<Netlink>,
}

impl Visit {
    fn netlink(&mut self) -> io::Result<&mut Netlink> {
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
pub(crate) struct Attached {
    /// As discovery last found it.
    pub(crate) door: Door,
    /// When its hooks were last read.
    pub(crate) inspected_at: Instant,
    /// Ids of its programs.
    programs: [u32; 2],
    by: By,
    chains: Chains,
}

/// What attaches the programs.
#[derive(Debug)]
enum By {
    /// They end with their descriptors.
    Tcx([OwnedFd; 2], tcx::Others),
    /// Filters, removed by [`Attached::detach`] in the door's namespace.
    Clsact(TcHandle),
}

/// Attaches the programs in the namespace of the visit, and reads who else is at the hooks. Without a
/// `mode`, tcx is tried first.
pub(super) fn attach(
    door: &Door,
    programs: &[Program; 2],
    mode: Option<AttachMode>,
    instance: &mut Option<Instance>,
    visit: &mut Visit,
) -> Result<Attached, AttachError> {
    let begun = Instant::now();
    if !descriptors::are_left(SPARE_DESCRIPTORS) {
        return Err(AttachError::Scarce);
    }
    let ifindex = door.id.ifindex;
    let by = match mode {
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
    let mut attached = Attached {
        door: door.clone(),
        inspected_at: begun,
        programs: [programs[0].id, programs[1].id],
        by,
        chains: [None, None],
    };
    match attached.inspect(visit) {
        Ok(_) => Ok(attached),
        Err(error) => {
            attached.detach(visit);
            Err(error)
        }
    }
}

fn by_tcx([ingress, egress]: &[Program; 2], ifindex: u32) -> Result<By, AttachError> {
    let link = |program: &Program, direction| {
        bpf::attach_first(program.fd.as_fd(), ifindex, direction)
            .map_err(|source| AttachError::at(direction, source))
    };
    let links = [
        link(ingress, Direction::Ingress)?,
        link(egress, Direction::Egress)?,
    ];
    Ok(By::Tcx(links, tcx::Others::default()))
}

fn by_clsact(
    programs: &[Program; 2],
    ifindex: u32,
    instance: &mut Option<Instance>,
    visit: &mut Visit,
) -> Result<By, AttachError> {
    let instance = match instance {
        Some(instance) => &*instance,
        None => instance.insert(Instance::new().map_err(LoadError::from)?),
    };
    let handle = clsact::handle(instance);
    let failed = |source| AttachError::at(Direction::Ingress, source);
    let netlink = visit.netlink().map_err(failed)?;
    sweep(netlink, ifindex, instance);
    clsact::prepare(netlink, ifindex).map_err(failed)?;
    for (direction, program) in DIRECTIONS.into_iter().zip(programs) {
        let what = (program.fd.as_fd(), program.name);
        let attached = clsact::attach(netlink, (ifindex, direction), handle, what);
        if let Err(error) = attached {
            if direction == Direction::Egress {
                let _ = clsact::detach(netlink, (ifindex, Direction::Ingress), handle);
            }
            return Err(AttachError::at(direction, error));
        }
    }
    Ok(By::Clsact(handle))
}

/// Removes what a killed netviz left at a door. Nothing is ever left on a kernel with tcx.
fn sweep(netlink: &mut Netlink, ifindex: u32, instance: &Instance) {
    match clsact::sweep(netlink, ifindex, instance) {
        Ok(0) => {}
        Ok(swept) => log::info!("removed {swept} filters that a killed netviz had left"),
        Err(error) => log::debug!("cannot search for left-over filters: {error}"),
    }
}

/// Whether Cilium's filter, before which netviz's must run, is attached; always so where tcx may be
/// used.
pub(super) fn may_attach(ifindex: u32, mode: Option<AttachMode>, visit: &mut Visit) -> bool {
    mode != Some(AttachMode::Clsact)
        || visit
            .netlink()
            .and_then(|netlink| clsact::occupied(netlink, (ifindex, Direction::Ingress)))
            .unwrap_or(true)
}

impl Attached {
    /// Makes its hooks due to be read.
    pub(super) fn inspect_soon(&mut self) {
        let now = Instant::now();
        self.inspected_at = now.checked_sub(INSPECT_INTERVAL).unwrap_or(now);
    }

    pub(crate) fn mode(&self) -> AttachMode {
        match self.by {
            By::Tcx(..) => AttachMode::Tcx,
            By::Clsact(_) => AttachMode::Clsact,
        }
    }

    /// The other programs at the last inspection.
    pub(crate) fn chains(&self) -> &Chains {
        &self.chains
    }

    /// Whether netviz ran first at both hooks at the last inspection, other instances of netviz aside: two
    /// that each insist on being first would do nothing else. `None` if unknown.
    pub(crate) fn is_first(&self) -> Option<bool> {
        let first = |chain: &Chain| chain.foreign_ahead().is_empty();
        let [ingress, egress] = self.chains.each_ref().map(|it| it.as_ref().map(first));
        match (ingress, egress) {
            (Some(true), Some(true)) => Some(true),
            (Some(false), _) | (_, Some(false)) => Some(false),
            _ => None,
        }
    }

    /// Reads who else is at the hooks, in the namespace of the visit; true when that has changed.
    ///
    /// # Errors
    /// [`AttachError::Removed`] when netviz is not there, [`AttachError::Vanished`] when the interface
    /// is not.
    pub(crate) fn inspect(&mut self, visit: &mut Visit) -> Result<bool, AttachError> {
        let ifindex = self.door.id.ifindex;
        if let By::Tcx(_, others) = &mut self.by {
            others.read_filters(|| clsact::names(visit.netlink()?, ifindex));
        }
        let mut chains = [None, None];
        for (at, direction) in DIRECTIONS.into_iter().enumerate() {
            let place = (ifindex, direction);
            let chain = match &mut self.by {
                By::Tcx(_, others) => others.chain(place, self.programs[at]),
                By::Clsact(_) => visit
                    .netlink()
                    .and_then(|netlink| clsact::chain(netlink, place, self.programs[at])),
            };
            chains[at] = match chain {
                Ok(Some(chain)) => Some(chain),
                Ok(None) => return Err(AttachError::Removed),
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    return Err(AttachError::Vanished);
                }
                // Such as a program that is unloaded between two queries: read at the next inspection.
                Err(_) => None,
            };
        }
        let changed = chains != self.chains;
        self.chains = chains;
        Ok(changed)
    }

    /// Puts other programs in the place of its own, in the namespace of the visit. Each packet meets one
    /// of the two, at the same place in the hook's order.
    pub(super) fn replace(
        &mut self,
        programs: &[Program; 2],
        visit: &mut Visit,
    ) -> Result<(), AttachError> {
        let ifindex = self.door.id.ifindex;
        for (at, direction) in DIRECTIONS.into_iter().enumerate() {
            let program = &programs[at];
            let replaced = match &self.by {
                By::Tcx(links, _) => bpf::update_link(links[at].as_fd(), program.fd.as_fd()),
                By::Clsact(handle) => visit.netlink().and_then(|netlink| {
                    let what = (program.fd.as_fd(), program.name);
                    clsact::replace(netlink, (ifindex, direction), *handle, what)
                }),
            };
            replaced.map_err(|source| AttachError::at(direction, source))?;
            self.programs[at] = program.id;
        }
        Ok(())
    }

    /// Detaches, in the namespace of the visit where that matters.
    pub(crate) fn detach(self, visit: &mut Visit) {
        let By::Clsact(handle) = self.by else {
            return;
        };
        for direction in DIRECTIONS {
            let place = (self.door.id.ifindex, direction);
            let removed = visit
                .netlink()
                .and_then(|netlink| clsact::detach(netlink, place, handle));
            if let Err(error) = removed {
                log::debug!("cannot remove a filter, which may be gone already: {error}");
            }
        }
    }
}

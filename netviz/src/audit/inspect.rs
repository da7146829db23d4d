//! Reads the programs at a door from the kernel. Read-only.

mod keepers;
mod pins;
mod programs;

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use aya_obj::generated::bpf_attach_type::{BPF_NETKIT_PEER, BPF_NETKIT_PRIMARY};
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};

pub use keepers::Keepers;

use super::model::{Attached, Chains, Hook, Way};
use crate::{
    attach::clsact,
    model::{Direction, Door, LinkKind},
    sys::{
        bpf::{self, Query},
        netlink::{Netlink, only},
        netns::NetNs,
    },
};

/// How often a hook is read again if its programs change during the inspection.
const ATTEMPTS: u32 = 5;

/// Why a door cannot be inspected.
#[derive(Debug)]
pub enum InspectError {
    /// The interface was removed meanwhile, which is normal.
    Vanished,
    /// Anything else.
    Kernel(io::Error),
}

impl From<io::Error> for InspectError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENODEV) => Self::Vanished,
            _ => Self::Kernel(error),
        }
    }
}

/// The programs at both hooks of `door`, which is in `namespace`, in run order.
/// [`Keepers::complete`] adds the processes and pins that keep them.
///
/// # Errors
/// When the door no longer exists, or the kernel does not answer.
pub fn inspect(door: &Door, namespace: &NetNs) -> Result<Chains, InspectError> {
    let netkit = door.kind == Some(LinkKind::Netkit);
    let mut chains = namespace.run(|| chains(door.id.ifindex, netkit))??;
    let mut known = HashMap::new();
    for hook in chains.hooks_mut() {
        for program in &mut hook.programs {
            programs::describe(program, &mut known);
        }
    }
    Ok(chains)
}

/// In the namespace of the calling thread.
fn chains(ifindex: u32, netkit: bool) -> io::Result<Chains> {
    let mut netlink = Netlink::open()?;
    let xdp = netlink.link(ifindex)?.as_ref().map(xdp).unwrap_or_default();
    let mut hook = |direction| hook(&mut netlink, ifindex, netkit, direction);
    let mut chains = Chains {
        ingress: hook(Direction::Ingress)?,
        egress: hook(Direction::Egress)?,
    };
    let xdp = xdp
        .into_iter()
        .map(|program| programs::attached(Way::Xdp, program, None));
    chains.ingress.programs.splice(..0, xdp);
    Ok(chains)
}

/// IDs of a device's XDP programs: it can have one in the driver, one in front of the stack and one
/// in hardware.
fn xdp(link: &LinkMessage) -> BTreeSet<u32> {
    let attributes = link.attributes.iter();
    let attributes = attributes.filter_map(only!(LinkAttribute::Xdp));
    let ids = attributes.flatten().filter_map(|it| match it {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    });
    ids.filter(|id| *id > 0).collect()
}

/// Reads one hook: its tcx chain before and after its filters, until both answers are the same.
fn hook(
    netlink: &mut Netlink,
    ifindex: u32,
    netkit: bool,
    direction: Direction,
) -> io::Result<Hook> {
    let tcx = bpf::tcx(direction);
    let device = match direction {
        Direction::Ingress => BPF_NETKIT_PEER,
        Direction::Egress => BPF_NETKIT_PRIMARY,
    };
    let mut before = bpf::query(ifindex, tcx)?;
    let mut attempt = 1;
    loop {
        let device = netkit.then(|| bpf::query(ifindex, device)).transpose()?;
        let filters = clsact::filters(netlink, (ifindex, direction))?;
        let after = bpf::query(ifindex, tcx)?;
        if before == after || attempt == ATTEMPTS {
            let changed = before != after;
            return Ok(Hook {
                revision: after.as_ref().map(|query| query.revision),
                changed,
                programs: in_order(direction, device.flatten(), after, filters),
            });
        }
        before = after;
        attempt += 1;
    }
}

/// A netkit device runs its own programs last at egress, and before all others at ingress.
fn in_order(
    direction: Direction,
    device: Option<Query>,
    tcx: Option<Query>,
    filters: Vec<clsact::Filter>,
) -> Vec<Attached> {
    let of = |way, query: Option<Query>| {
        let programs = query.unwrap_or_default().programs.into_iter();
        programs.map(move |(program, link)| programs::attached(way, program, link))
    };
    let device: Vec<_> = of(Way::Netkit, device).collect();
    let stack = of(Way::Tcx, tcx).chain(filters.into_iter().map(programs::filter));
    match direction {
        Direction::Ingress => device.into_iter().chain(stack).collect(),
        Direction::Egress => stack.chain(device).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netkit_programs_run_first_at_ingress_and_last_at_egress() {
        let query = |program| {
            Some(Query {
                revision: 1,
                programs: vec![(program, None)],
            })
        };
        let ways = |direction| {
            let order = in_order(direction, query(7), query(8), Vec::new());
            order.iter().map(|it| it.way).collect::<Vec<_>>()
        };
        assert_eq!(ways(Direction::Ingress), [Way::Netkit, Way::Tcx]);
        assert_eq!(ways(Direction::Egress), [Way::Tcx, Way::Netkit]);
    }
}

//! Programs of another tool at netviz's hooks.

use std::{
    net::Ipv4Addr,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, PerCpuArray},
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
    },
};
use netviz::{
    model::Direction,
    sys::{netlink::Netlink, netns::NetNs},
};
use nix::net::if_::if_nametoindex;

use crate::{
    bpf::{filters, skip, test_objects},
    cli::wait::wait_for,
};

/// What a foreign program does with every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `TC_ACT_OK`: the packet passes, and no later program runs.
    Ok,
    /// `TC_ACT_SHOT`.
    Shot,
    /// `TCX_NEXT`, like netviz.
    Next,
    /// `bpf_redirect` out of the device with this index.
    Redirect(u32),
    /// `bpf_redirect_peer` to the other end of the device with this index.
    Peer(u32),
    /// `bpf_redirect_neigh` out of the device with this index, to this next hop.
    Neigh(u32, Ipv4Addr),
    /// A code unknown to the kernel.
    Unknown,
    /// `bpf_clone_redirect` out of the device with this index, then `TCX_NEXT`.
    Clone(u32),
}

impl Verdict {
    /// Returns the name of the program, as the kernel stores it.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Ok => "foreign_ok",
            Self::Shot => "foreign_shot",
            Self::Next => "foreign_next",
            // The kernel stores 15 bytes.
            Self::Redirect(_) => "foreign_redirect",
            Self::Peer(_) => "foreign_peer",
            Self::Neigh(..) => "foreign_neigh",
            Self::Unknown => "foreign_unknown",
            Self::Clone(_) => "foreign_clone",
        }
    }
}

/// An attached foreign program.
pub struct ForeignProgram {
    object: Ebpf,
    /// `None` for a filter, which ends with its device.
    link: Option<SchedClassifierLink>,
    /// Its verdict.
    pub verdict: Verdict,
}

impl ForeignProgram {
    /// Attaches to tcx at a position in the chain.
    pub fn tcx(
        namespace: &NetNs,
        interface: &str,
        direction: Direction,
        verdict: Verdict,
        order: LinkOrder,
    ) -> Result<Self> {
        let mut object = load(verdict)?;
        let link = namespace.run(|| {
            let program = program(&mut object, verdict)?;
            let id = program.attach_with_options(
                interface,
                attach_type(direction),
                TcAttachOptions::TcxOrder(order),
            )?;
            anyhow::Ok(program.take_link(id)?)
        })??;
        Ok(Self {
            object,
            link: Some(link),
            verdict,
        })
    }

    /// Attaches a filter like Cilium without tcx: clsact, priority 1, handle 1.
    pub fn clsact(
        namespace: &NetNs,
        interface: &str,
        direction: Direction,
        verdict: Verdict,
    ) -> Result<Self> {
        Self::filter(namespace, interface, direction, verdict, (1, 1))
    }

    /// Attaches a filter with a priority and a handle.
    pub fn filter(
        namespace: &NetNs,
        interface: &str,
        direction: Direction,
        verdict: Verdict,
        (priority, handle): (u16, u32),
    ) -> Result<Self> {
        let mut object = load(verdict)?;
        namespace.run(|| {
            match tc::qdisc_add_clsact(interface) {
                Ok(()) => {}
                Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
                }
                Err(error) => return Err(error.into()),
            }
            let program = program(&mut object, verdict)?;
            let options = NlOptions {
                priority,
                handle: TcHandle::from(handle),
                ..NlOptions::default()
            };
            let id = program.attach_with_options(
                interface,
                attach_type(direction),
                TcAttachOptions::Netlink(options),
            )?;
            // Dropping it would look up the device in the namespace of the current thread.
            std::mem::forget(program.take_link(id)?);
            anyhow::Ok(())
        })??;
        Ok(Self {
            object,
            link: None,
            verdict,
        })
    }

    /// Replaces the filter with this priority and handle, as Cilium does when it restarts.
    pub fn replace(
        namespace: &NetNs,
        interface: &str,
        direction: Direction,
        verdict: Verdict,
        (priority, handle): (u16, u32),
    ) -> Result<Self> {
        let mut object = load(verdict)?;
        let fd = program(&mut object, verdict)?.fd()?.as_fd().as_raw_fd();
        let index = namespace.run(|| if_nametoindex(interface))??;
        let mut netlink = Netlink::open_in(namespace)?;
        let name = verdict.program();
        filters::replace(
            &mut netlink,
            (index, direction),
            (priority, handle),
            (fd, name),
        )?;
        Ok(Self {
            object,
            link: None,
            verdict,
        })
    }

    /// Replaces the program of the link by another copy (`BPF_LINK_UPDATE`), as Cilium does with
    /// tcx: the position is kept, and the revision increases by one.
    pub fn update(&mut self, verdict: Verdict) -> Result<()> {
        let mut object = load(verdict)?;
        let link = self.link.take().context("not attached by a link")?;
        let program = program(&mut object, verdict)?;
        let id = program.attach_to_link(link)?;
        self.link = Some(program.take_link(id)?);
        self.object = object;
        self.verdict = verdict;
        Ok(())
    }

    /// Returns the number of packets that it processed.
    pub fn seen(&self) -> Result<u64> {
        let map = self.object.map("FOREIGN_SEEN").context("FOREIGN_SEEN")?;
        let seen: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        Ok(seen.get(&0, 0)?.iter().sum())
    }
}

/// Returns the kernel's name of a hook.
#[must_use]
pub fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

/// Returns the names of the programs at a tcx hook in run order; empty without tcx.
pub fn tcx_chain(
    namespace: &NetNs,
    interface: &str,
    direction: Direction,
) -> Result<Vec<(String, u32)>> {
    if !skip::has_tcx() {
        return Ok(Vec::new());
    }
    // First the IDs, then each program, which may be gone by then.
    let (_, programs) = wait_for(|| {
        let hook = attach_type(direction);
        anyhow::Ok(namespace.run(|| SchedClassifier::query_tcx(interface, hook))??)
    })?;
    let named = programs.iter().map(|program| {
        let name = program.name_as_str().unwrap_or_default();
        (name.to_owned(), program.id())
    });
    Ok(named.collect())
}

/// Detaches the first link of a program, as any privileged process can.
pub fn detach_link_of(program: u32) -> Result<()> {
    let link = links_of(program).next();
    detach(link.with_context(|| format!("program {program} has no link"))?)
}

/// Detaches all links of a program, which may be attached at many doors.
pub fn detach_links_of(program: u32) -> Result<()> {
    links_of(program).try_for_each(detach)
}

/// Returns the IDs of the links of a program.
fn links_of(program: u32) -> impl Iterator<Item = u32> {
    let links = aya::programs::loaded_links().filter_map(Result::ok);
    links
        .filter(move |link| link.program_id() == program)
        .map(|link| link.id())
}

/// `BPF_LINK_DETACH`; no effect on a detached link.
fn detach(link: u32) -> Result<()> {
    const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
    const BPF_LINK_DETACH: libc::c_long = 34;
    // The first member of the attributes of both commands is a u32; the rest may be 0.
    let bpf = |command: libc::c_long, argument: u32| {
        let mut attributes = [0_u32; 16];
        attributes[0] = argument;
        // SAFETY: the kernel reads as many bytes as the given size.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command,
                attributes.as_mut_ptr(),
                size_of_val(&attributes),
            )
        };
        if result < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(result as i32)
    };
    let fd = bpf(BPF_LINK_GET_FD_BY_ID, link).context("opening the link")?;
    let detached = bpf(BPF_LINK_DETACH, fd.cast_unsigned()).context("detaching the link");
    // SAFETY: opened above, and not shared.
    unsafe { libc::close(fd) };
    detached.map(drop)
}

fn load(verdict: Verdict) -> Result<Ebpf> {
    let mut object = EbpfLoader::new().btf(None).load(test_objects::FOREIGN)?;
    let target = match verdict {
        Verdict::Redirect(index) | Verdict::Clone(index) | Verdict::Peer(index) => Some((index, 0)),
        Verdict::Neigh(index, next) => Some((index, u32::from_ne_bytes(next.octets()))),
        _ => None,
    };
    if let Some((index, next)) = target {
        let map = object.map_mut("FOREIGN_TARGET").context("FOREIGN_TARGET")?;
        let mut map = Array::<_, u32>::try_from(map)?;
        map.set(0, index, 0)?;
        map.set(1, next, 0)?;
    }
    program(&mut object, verdict)?.load()?;
    Ok(object)
}

fn program(object: &mut Ebpf, verdict: Verdict) -> Result<&mut SchedClassifier> {
    let name = verdict.program();
    Ok(object.program_mut(name).context(name)?.try_into()?)
}

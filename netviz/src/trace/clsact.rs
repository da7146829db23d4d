//! The clsact way, for kernels without tcx, by the rules that keep Cilium's filters whole: its
//! own priority, an explicit handle that is not 1, never another's filter, never a qdisc removed.

use std::{collections::HashSet, fs, io};

use aya::programs::{
    ProgramError, SchedClassifier,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{
        TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle as RouteHandle, TcHeader, TcMessage,
        TcOption,
    },
};
use netviz_ebpf::PROGRAM_PREFIX;

use super::tcx::attach_type;
use crate::{
    model::{Chain, Direction},
    sys::netlink::Netlink,
};

/// Cilium's priority: behind it a filter is never run, and the latest comes first.
const PRIORITY: u16 = 1;
/// Upper half of the handles of netviz, "nv"; the lower half is the process id's.
const HANDLE_MAJOR: u16 = 0x6e76;

fn own_handle() -> TcHandle {
    TcHandle::new(HANDLE_MAJOR, std::process::id() as u16)
}

/// Attaches in front of the filters that are there. Called in the door's namespace.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    direction: Direction,
) -> Result<SchedClassifierLink, ProgramError> {
    match tc::qdisc_add_clsact(interface) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let options = NlOptions {
        priority: PRIORITY,
        handle: own_handle(),
        classid: None,
    };
    let id = program.attach_with_options(
        interface,
        attach_type(direction),
        TcAttachOptions::Netlink(options),
    )?;
    program.take_link(id)
}

/// A filter on a hook.
#[derive(Debug)]
pub(crate) struct Filter {
    /// The lowest runs first.
    pub(crate) priority: u16,
    protocol: u16,
    handle: RouteHandle,
    /// Its own name, or what kind of filter it is.
    pub(crate) name: String,
    /// The program that it runs, if it is one of BPF.
    pub(crate) program: Option<u32>,
    /// What the program returns is what becomes of the packet.
    pub(crate) direct_action: bool,
}

impl Filter {
    /// Its handle within the priority.
    pub(crate) fn handle(&self) -> u32 {
        u32::from(self.handle.major) << 16 | u32::from(self.handle.minor)
    }

    /// For one that bears the marks of netviz: the lower half of the id of the process whose it is.
    pub(crate) fn maker(&self) -> Option<u16> {
        let own = self.priority == PRIORITY
            && self.handle.major == HANDLE_MAJOR
            && self.name.starts_with(PROGRAM_PREFIX);
        own.then_some(self.handle.minor)
    }
}

/// Who is on the hook besides the program with the id `own`, in the order in which the kernel
/// runs and lists them; `None` when that one is not there.
pub(crate) fn chain(ifindex: u32, direction: Direction, own: u32) -> io::Result<Option<Chain>> {
    let filters = filters(&mut Netlink::open()?, ifindex, direction)?;
    let Some(place) = filters
        .iter()
        .position(|filter| filter.program == Some(own))
    else {
        return Ok(None);
    };
    let names = |filters: &[Filter]| filters.iter().map(|filter| filter.name.clone()).collect();
    Ok(Some(Chain {
        ahead: names(&filters[..place]),
        behind: names(&filters[place + 1..]),
    }))
}

/// The filters of both hooks, in the order in which the kernel runs them: after all of tcx.
pub(crate) fn names(ifindex: u32) -> io::Result<[Vec<String>; 2]> {
    let mut netlink = Netlink::open()?;
    let mut names = |direction| {
        let filters = filters(&mut netlink, ifindex, direction)?;
        io::Result::Ok(filters.into_iter().map(|filter| filter.name).collect())
    };
    Ok([names(Direction::Ingress)?, names(Direction::Egress)?])
}

/// Whether somebody's program is there already.
pub(crate) fn occupied(ifindex: u32, direction: Direction) -> io::Result<bool> {
    Ok(!filters(&mut Netlink::open()?, ifindex, direction)?.is_empty())
}

/// Removes filters that a netviz which was killed has left behind: exactly those with a handle of
/// netviz, a name of netviz, and no other living netviz of that id. Called in the door's namespace,
/// at a door where this process has none: one with its own id is a predecessor's, as in a
/// container, where each netviz has the same id.
pub(crate) fn sweep(ifindex: u32) -> io::Result<usize> {
    let mut netlink = Netlink::open()?;
    let mut swept = 0;
    for direction in [Direction::Ingress, Direction::Egress] {
        for filter in filters(&mut netlink, ifindex, direction)? {
            if is_left_over(&filter) {
                netlink.change(RouteNetlinkMessage::DelTrafficFilter(message(
                    ifindex,
                    direction,
                    filter.handle,
                    u32::from(filter.priority) << 16 | u32::from(filter.protocol),
                    vec![TcAttribute::Kind("bpf".into())],
                )))?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

fn is_left_over(filter: &Filter) -> bool {
    filter
        .maker()
        .is_some_and(|maker| !living().contains(&maker))
}

/// Lower halves of the ids of all other processes called netviz.
fn living() -> HashSet<u16> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            (pid != std::process::id() && name.starts_with("netviz")).then_some(pid as u16)
        })
        .collect()
}

/// The filters of one hook, in the order in which the kernel runs them: after all of tcx.
pub(crate) fn filters(
    netlink: &mut Netlink,
    ifindex: u32,
    direction: Direction,
) -> io::Result<Vec<Filter>> {
    let request = message(ifindex, direction, RouteHandle::UNSPEC, 0, Vec::new());
    let answers = match netlink.dump(RouteNetlinkMessage::GetTrafficFilter(request)) {
        Ok(answers) => answers,
        // No qdisc, no filters.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(answers.into_iter().filter_map(filter).collect())
}

fn filter(answer: RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(message) = answer else {
        return None;
    };
    // Each priority is announced by an entry without a handle, which is no filter.
    if message.header.handle == RouteHandle::UNSPEC {
        return None;
    }
    let (mut name, mut kind, mut program, mut direct_action) = (None, None, None, false);
    for attribute in &message.attributes {
        let options = match attribute {
            TcAttribute::Options(options) => options,
            TcAttribute::Kind(text) => {
                kind = Some(format!("a {text} filter"));
                continue;
            }
            _ => continue,
        };
        for option in options {
            match option {
                TcOption::Bpf(TcFilterBpfOption::ProgName(text)) => name = Some(text.clone()),
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => program = Some(*id),
                TcOption::Bpf(TcFilterBpfOption::Flags(flags)) => {
                    direct_action = flags.contains(TcBpfFlags::DirectAction);
                }
                _ => {}
            }
        }
    }
    Some(Filter {
        priority: (message.header.info >> 16) as u16,
        protocol: message.header.info as u16,
        handle: message.header.handle,
        name: name.or(kind)?,
        program,
        direct_action,
    })
}

fn message(
    ifindex: u32,
    direction: Direction,
    handle: RouteHandle,
    info: u32,
    attributes: Vec<TcAttribute>,
) -> TcMessage {
    let minor = match direction {
        Direction::Ingress => 0xfff2,
        Direction::Egress => 0xfff3,
    };
    let mut message = TcMessage::default();
    message.header = TcHeader {
        index: ifindex.cast_signed(),
        handle,
        parent: RouteHandle {
            major: 0xffff,
            minor,
        },
        info,
        ..TcHeader::default()
    };
    message.attributes = attributes;
    message
}

//! Filters of the clsact qdisc, for kernels without tcx, by the rules that protect Cilium's filters:
//! Cilium's priority, an explicit handle that is not 1, no change to others' filters, no removal of a
//! qdisc.

mod instance;

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

pub(crate) use instance::{Instance, all_living};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};
use netviz_ebpf::{FILTER_HANDLE, PROGRAM_PREFIX};

use crate::{
    model::{Chain, Direction},
    sys::netlink::Netlink,
};

/// Cilium's priority: behind it a filter is never run, and the latest comes first.
const PRIORITY: u16 = 1;
/// All protocols, in network byte order.
const PROTOCOL: u16 = (libc::ETH_P_ALL as u16).to_be();

/// The handle of all filters of one netviz ([`Instance`]).
pub(crate) fn handle(instance: &Instance) -> TcHandle {
    TcHandle {
        major: FILTER_HANDLE,
        minor: instance.number(),
    }
}

/// Creates a clsact qdisc unless there is one. `netlink` is a socket in the door's namespace, here and
/// below.
pub(crate) fn prepare(netlink: &mut Netlink, ifindex: u32) -> io::Result<()> {
    let mut message = TcMessage::default();
    message.header.index = ifindex.cast_signed();
    message.header.handle.major = TcHandle::CLSACT.major;
    message.header.parent = TcHandle::CLSACT;
    message.attributes = vec![TcAttribute::Kind("clsact".into())];
    match netlink.create(RouteNetlinkMessage::NewQueueDiscipline(message)) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        result => result,
    }
}

/// Attaches in front of the existing filters.
pub(crate) fn attach(
    netlink: &mut Netlink,
    place: (u32, Direction),
    handle: TcHandle,
    program: (BorrowedFd<'_>, &str),
) -> io::Result<()> {
    netlink.create(filter_with(place, handle, program))
}

/// Puts another program into the filter of that handle, which keeps its place: each packet meets one of
/// the two.
pub(crate) fn replace(
    netlink: &mut Netlink,
    place: (u32, Direction),
    handle: TcHandle,
    program: (BorrowedFd<'_>, &str),
) -> io::Result<()> {
    netlink.replace(filter_with(place, handle, program))
}

fn filter_with(
    place: (u32, Direction),
    handle: TcHandle,
    (program, name): (BorrowedFd<'_>, &str),
) -> RouteNetlinkMessage {
    let options = vec![
        TcOption::Bpf(TcFilterBpfOption::ProgFd(
            program.as_raw_fd().cast_unsigned(),
        )),
        TcOption::Bpf(TcFilterBpfOption::ProgName(name.into())),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ];
    let mut message = filter_message(place, handle);
    message.attributes.push(TcAttribute::Options(options));
    RouteNetlinkMessage::NewTrafficFilter(message)
}

/// Removes the filter of that handle.
pub(crate) fn detach(
    netlink: &mut Netlink,
    place: (u32, Direction),
    handle: TcHandle,
) -> io::Result<()> {
    let message = filter_message(place, handle);
    netlink.change(RouteNetlinkMessage::DelTrafficFilter(message))
}

/// A request about a filter of netviz's.
fn filter_message(place: (u32, Direction), handle: TcHandle) -> TcMessage {
    let mut message = message(place);
    message.header.handle = handle;
    message.header.info = u32::from(PRIORITY) << 16 | u32::from(PROTOCOL);
    message.attributes = vec![TcAttribute::Kind("bpf".into())];
    message
}

/// A filter on a hook.
#[derive(Debug)]
pub struct Filter {
    /// The lowest runs first.
    pub priority: u16,
    handle: TcHandle,
    /// Its name, or else its kind.
    pub name: String,
    /// Its BPF program, if it has one.
    pub program: Option<u32>,
    /// The program's return code is the verdict on the packet.
    pub direct_action: bool,
}

impl Filter {
    /// Its handle within the priority.
    pub fn handle(&self) -> u32 {
        u32::from(self.handle.major) << 16 | u32::from(self.handle.minor)
    }

    /// The netviz instance that attached it, if netviz did.
    pub fn maker(&self) -> Option<u16> {
        let own = self.priority == PRIORITY
            && self.handle.major == FILTER_HANDLE
            && self.name.starts_with(PROGRAM_PREFIX);
        own.then_some(self.handle.minor)
    }
}

/// The filters around the one of the program with the id `own`, in run order; `None` when that one is
/// not there.
pub(crate) fn chain(
    netlink: &mut Netlink,
    place: (u32, Direction),
    own: u32,
) -> io::Result<Option<Chain>> {
    let filters = filters(netlink, place)?;
    let Some(place) = filters
        .iter()
        .position(|filter| filter.program == Some(own))
    else {
        return Ok(None);
    };
    let names = |filters: &[Filter]| filters.iter().map(|it| it.name.clone().into()).collect();
    Ok(Some(Chain {
        ahead: names(&filters[..place]),
        behind: names(&filters[place + 1..]),
    }))
}

/// The names of the filters of both hooks, in run order.
pub(crate) fn names(netlink: &mut Netlink, ifindex: u32) -> io::Result<[Vec<String>; 2]> {
    let mut names = |direction| {
        let filters = filters(netlink, (ifindex, direction))?;
        io::Result::Ok(filters.into_iter().map(|filter| filter.name).collect())
    };
    Ok([names(Direction::Ingress)?, names(Direction::Egress)?])
}

/// Whether there is a filter already.
pub(crate) fn occupied(netlink: &mut Netlink, place: (u32, Direction)) -> io::Result<bool> {
    Ok(!filters(netlink, place)?.is_empty())
}

/// Removes the filters of netviz instances that were killed: those with netviz's handle and name, and no
/// living instance of that number. Only for a door where this instance has no filter: one with its own
/// number is left by a dead one.
pub(crate) fn sweep(netlink: &mut Netlink, ifindex: u32, instance: &Instance) -> io::Result<usize> {
    let mut swept = 0;
    for direction in Direction::BOTH {
        let place = (ifindex, direction);
        let mut candidates = filters(netlink, place)?;
        candidates.retain(is_of_netviz);
        if candidates.is_empty() {
            continue;
        }
        // Read after the filters: an instance has its number before it attaches.
        let living = instance.others()?;
        for filter in candidates {
            if !living.contains(&filter.handle.minor) {
                detach(netlink, place, filter.handle)?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

fn is_of_netviz(filter: &Filter) -> bool {
    filter.maker().is_some()
}

/// The filters of one hook, in run order; all of tcx runs before them.
pub(crate) fn filters(netlink: &mut Netlink, place: (u32, Direction)) -> io::Result<Vec<Filter>> {
    let answers = match netlink.dump(RouteNetlinkMessage::GetTrafficFilter(message(place))) {
        Ok(answers) => answers,
        // No qdisc, no filters.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(listed(answers))
}

/// The filters in an answer.
pub fn listed(answers: Vec<RouteNetlinkMessage>) -> Vec<Filter> {
    answers.into_iter().filter_map(filter).collect()
}

fn filter(answer: RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(message) = answer else {
        return None;
    };
    // Each priority is announced by an entry without a handle, which is no filter.
    if message.header.handle == TcHandle::UNSPEC {
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
        handle: message.header.handle,
        name: name.or(kind)?,
        program,
        direct_action,
    })
}

/// A request about a hook.
fn message((ifindex, direction): (u32, Direction)) -> TcMessage {
    let minor = match direction {
        Direction::Ingress => 0xfff2,
        Direction::Egress => 0xfff3,
    };
    let mut message = TcMessage::default();
    message.header.index = ifindex.cast_signed();
    message.header.parent = TcHandle {
        major: TcHandle::CLSACT.major,
        minor,
    };
    message
}

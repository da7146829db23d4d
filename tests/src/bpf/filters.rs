//! Qdiscs and BPF filters of a namespace, as listed by the kernel.

use std::{io, os::fd::RawFd};

use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption},
};
use netviz::{model::Direction, sys::netlink::Netlink};

/// One filter on a clsact hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its priority; the lowest runs first.
    pub priority: u16,
    /// Its handle within the priority.
    pub handle: u32,
    /// The program's name.
    pub name: String,
    /// ID of the program; a replaced program has another ID.
    pub program: Option<u32>,
}

/// One qdisc of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Qdisc {
    /// Its kind.
    pub kind: String,
    /// Its handle; a new qdisc gets a new handle if the kernel chooses it.
    pub handle: u32,
    /// Its parent: a class of another qdisc, or the device.
    pub parent: u32,
}

/// Returns the filters of one hook in run order.
pub fn filters(
    netlink: &mut Netlink,
    ifindex: u32,
    direction: Direction,
) -> io::Result<Vec<Filter>> {
    let request = RouteNetlinkMessage::GetTrafficFilter(at(ifindex, direction));
    let answers = match netlink.dump(request) {
        // No clsact qdisc.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(Vec::new()),
        answers => answers?,
    };
    Ok(answers.into_iter().filter_map(filter).collect())
}

/// Deletes the filter with this priority and handle; with handle 0, all filters of the priority;
/// with priority 0, all filters of the hook.
pub fn delete(
    netlink: &mut Netlink,
    ifindex: u32,
    direction: Direction,
    (priority, handle): (u16, u32),
) -> io::Result<()> {
    let mut message = at(ifindex, direction);
    message.header.info = u32::from(priority) << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    if priority == 0 {
        message.header.info = 0;
    }
    message.header.handle = TcHandle::from(handle);
    netlink.change(RouteNetlinkMessage::DelTrafficFilter(message))
}

/// Replaces the program of the filter with this priority and handle.
pub fn replace(
    netlink: &mut Netlink,
    (ifindex, direction): (u32, Direction),
    (priority, handle): (u16, u32),
    (program, name): (RawFd, &str),
) -> io::Result<()> {
    let mut message = at(ifindex, direction);
    message.header.info = u32::from(priority) << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    message.header.handle = TcHandle::from(handle);
    message.attributes = vec![
        TcAttribute::Kind("bpf".into()),
        TcAttribute::Options(vec![
            TcOption::Bpf(TcFilterBpfOption::ProgFd(program.cast_unsigned())),
            TcOption::Bpf(TcFilterBpfOption::ProgName(name.into())),
            TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
        ]),
    ];
    // Without NLM_F_CREATE and NLM_F_EXCL, this changes the existing filter.
    netlink.change(RouteNetlinkMessage::NewTrafficFilter(message))
}

/// Deletes the clsact qdisc of a device, with all filters of both hooks.
pub fn delete_clsact(netlink: &mut Netlink, ifindex: u32) -> io::Result<()> {
    let mut message = TcMessage::default();
    message.header = TcHeader {
        index: ifindex.cast_signed(),
        handle: TcHandle {
            major: 0xffff,
            minor: 0,
        },
        parent: TcHandle::CLSACT,
        ..TcHeader::default()
    };
    netlink.change(RouteNetlinkMessage::DelQueueDiscipline(message))
}

fn at(ifindex: u32, direction: Direction) -> TcMessage {
    let mut message = TcMessage::default();
    message.header = TcHeader {
        index: ifindex.cast_signed(),
        parent: TcHandle {
            major: 0xffff,
            minor: match direction {
                Direction::Ingress => 0xfff2,
                Direction::Egress => 0xfff3,
            },
        },
        ..TcHeader::default()
    };
    message
}

/// Returns the qdiscs of one device.
pub fn qdiscs(netlink: &mut Netlink, ifindex: u32) -> io::Result<Vec<Qdisc>> {
    let answers = netlink.dump(RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default()))?;
    let of_device = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewQueueDiscipline(message)
            if message.header.index == ifindex.cast_signed() =>
        {
            qdisc(&message)
        }
        _ => None,
    });
    let mut qdiscs: Vec<_> = of_device.collect();
    qdiscs.sort();
    Ok(qdiscs)
}

fn qdisc(message: &TcMessage) -> Option<Qdisc> {
    let kind = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind.clone()),
            _ => None,
        })?;
    Some(Qdisc {
        kind,
        handle: number(message.header.handle),
        parent: number(message.header.parent),
    })
}

fn number(handle: TcHandle) -> u32 {
    u32::from(handle.major) << 16 | u32::from(handle.minor)
}

fn filter(answer: RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(message) = answer else {
        return None;
    };
    let options = || {
        let options = message
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                TcAttribute::Options(options) => Some(options),
                _ => None,
            });
        options.flatten()
    };
    let name = options().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
        _ => None,
    })?;
    let program = options().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
        _ => None,
    });
    Some(Filter {
        priority: (message.header.info >> 16) as u16,
        handle: number(message.header.handle),
        name,
        program,
    })
}

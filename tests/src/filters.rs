//! Qdiscs and BPF filters of a namespace, as the kernel lists them.

use std::io;

use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption},
};
use netviz::{model::Direction, sys::netlink::Netlink};

/// One filter on a clsact hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its priority: the lowest runs first.
    pub priority: u16,
    /// Its handle within the priority.
    pub handle: u32,
    /// The program's name.
    pub name: String,
}

/// The filters of one hook, in the order in which they run.
pub fn filters(
    netlink: &mut Netlink,
    ifindex: u32,
    direction: Direction,
) -> io::Result<Vec<Filter>> {
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
    let answers = match netlink.dump(RouteNetlinkMessage::GetTrafficFilter(message)) {
        // There is no clsact.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(Vec::new()),
        answers => answers?,
    };
    Ok(answers.into_iter().filter_map(filter).collect())
}

/// Kinds of the qdiscs of one device.
pub fn qdiscs(netlink: &mut Netlink, ifindex: u32) -> io::Result<Vec<String>> {
    let answers = netlink.dump(RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default()))?;
    let kinds = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc)
            if qdisc.header.index == ifindex.cast_signed() =>
        {
            qdisc
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    TcAttribute::Kind(kind) => Some(kind.clone()),
                    _ => None,
                })
        }
        _ => None,
    });
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort();
    Ok(kinds)
}

fn filter(answer: RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(message) = answer else {
        return None;
    };
    let mut options = message
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        });
    let name = options.find_map(|options| {
        options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
            _ => None,
        })
    })?;
    Some(Filter {
        priority: (message.header.info >> 16) as u16,
        handle: u32::from(message.header.handle.major) << 16
            | u32::from(message.header.handle.minor),
        name,
    })
}

//! The kernel's own statistics (`IFLA_STATS64`), which `ip -s link` prints.

use std::{collections::BTreeMap, io};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netviz::sys::netlink::Netlink;

/// Statistics of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Received: the packets at its ingress hook.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Sent: the packets that passed its egress hook.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Dropped by the driver after the egress hook.
    pub tx_dropped: u64,
}

impl std::ops::Sub for LinkStats {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            rx_packets: self.rx_packets - earlier.rx_packets,
            rx_bytes: self.rx_bytes - earlier.rx_bytes,
            tx_packets: self.tx_packets - earlier.tx_packets,
            tx_bytes: self.tx_bytes - earlier.tx_bytes,
            tx_dropped: self.tx_dropped - earlier.tx_dropped,
        }
    }
}

/// Returns the statistics of all links in the namespace of `netlink`, by index.
pub fn links(netlink: &mut Netlink) -> io::Result<BTreeMap<u32, LinkStats>> {
    let answers = netlink.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => {
            let stats = link.attributes.iter().find_map(stats)?;
            Some((link.header.index, stats))
        }
        _ => None,
    });
    Ok(links.collect())
}

fn stats(attribute: &LinkAttribute) -> Option<LinkStats> {
    let LinkAttribute::Stats64(stats) = attribute else {
        return None;
    };
    Some(LinkStats {
        rx_packets: stats.rx_packets,
        rx_bytes: stats.rx_bytes,
        tx_packets: stats.tx_packets,
        tx_bytes: stats.tx_bytes,
        tx_dropped: stats.tx_dropped,
    })
}

/// Returns the packets that one link has received, in the namespace of process `pid`. Unlike
/// netlink, this does not wait for other processes that attach programs or create interfaces.
pub fn received(pid: &str, link: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    let figures = lines.find_map(|(name, figures)| (name == link).then_some(figures));
    let packets = figures.and_then(|it| it.split_whitespace().nth(1)?.parse().ok());
    packets.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, link.to_owned()))
}

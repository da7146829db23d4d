//! Links that CNI plugins other than Cilium make: macvlan, bridges with ports, VXLAN with a fixed
//! table, and tun devices.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

pub use netlink_packet_route::link::MacVlanMode;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoMacVlan, InfoPortData, InfoPortKind,
        InfoVxlan, LinkAttribute, LinkInfo, LinkMessage,
    },
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
};
use netviz::sys::netlink::{Mac, Netlink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::TestNetns;

/// A link to be made.
fn message(name: &str, index: u32, kind: InfoKind, data: Option<InfoData>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let info = [LinkInfo::Kind(kind)].into_iter();
    let info = info.chain(data.map(LinkInfo::Data)).collect();
    message.attributes = vec![
        LinkAttribute::IfName(name.into()),
        LinkAttribute::LinkInfo(info),
    ];
    message
}

/// Creates a macvlan interface of a link of `node` in the namespace of `pod`, as the CNI plugin does, and
/// sets it up with an address.
pub fn add_macvlan(
    node: &TestNetns,
    (lower, mode): (u32, MacVlanMode),
    pod: &TestNetns,
    (name, index): (&str, u32),
    (address, prefix): (Ipv4Addr, u8),
) -> io::Result<()> {
    let mode = InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)]);
    let mut message = message(name, index, InfoKind::MacVlan, Some(mode));
    let namespace = LinkAttribute::NetNsFd(pod.netns().as_fd().as_raw_fd());
    message
        .attributes
        .extend([LinkAttribute::Link(lower), namespace]);
    node.netlink()?
        .create(RouteNetlinkMessage::NewLink(message))?;
    let mut netlink = pod.netlink()?;
    netlink.add_address(index, address.into(), prefix)?;
    netlink.set_up(index)
}

/// Creates a bridge, up, with an address. It sends nothing of its own: with snooping, it reports its
/// multicast groups.
pub fn add_bridge(
    netlink: &mut Netlink,
    (name, index): (&str, u32),
    (address, prefix): (Ipv4Addr, u8),
) -> io::Result<()> {
    let data = InfoData::Bridge(vec![InfoBridge::MulticastSnooping(false)]);
    let bridge = message(name, index, InfoKind::Bridge, Some(data));
    netlink.create(RouteNetlinkMessage::NewLink(bridge))?;
    netlink.add_address(index, address.into(), prefix)?;
    netlink.set_up(index)
}

/// Makes a link a port of a bridge.
pub fn set_port(netlink: &mut Netlink, index: u32, bridge: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Controller(bridge));
    netlink.change(RouteNetlinkMessage::SetLink(message))
}

/// Makes a port of a bridge send frames back to where they came from.
pub fn set_hairpin(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let hairpin = InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)]);
    let kind = LinkInfo::PortKind(InfoPortKind::Bridge);
    let info = LinkAttribute::LinkInfo(vec![kind, LinkInfo::PortData(hairpin)]);
    message.attributes.push(info);
    netlink.change(RouteNetlinkMessage::NewLink(message))
}

/// One end of a tunnel between two nodes.
#[derive(Clone, Copy, Debug)]
pub struct Vtep {
    /// The address of the VXLAN device.
    pub inner: Ipv4Addr,
    /// Its hardware address.
    pub mac: Mac,
    /// The address of the node.
    pub outer: Ipv4Addr,
}

/// Creates a VXLAN device to one other node, as flannel does: without learning, with a permanent neighbour
/// and a permanent entry in the forwarding table.
pub fn add_vxlan(
    netlink: &mut Netlink,
    (name, index): (&str, u32),
    own: Vtep,
    other: Vtep,
) -> io::Result<()> {
    let data = vec![
        InfoVxlan::Id(1),
        InfoVxlan::Local(own.outer),
        InfoVxlan::Port(8472),
        InfoVxlan::Learning(false),
    ];
    let data = InfoData::Vxlan(data);
    let mut vxlan = message(name, index, InfoKind::Vxlan, Some(data));
    vxlan
        .attributes
        .push(LinkAttribute::Address(own.mac.to_vec()));
    netlink.create(RouteNetlinkMessage::NewLink(vxlan))?;
    netlink.add_address(index, own.inner.into(), 32)?;
    netlink.set_up(index)?;
    netlink.add_neighbour(index, other.inner.into(), other.mac)?;
    let mut forward = NeighbourMessage::default();
    forward.header.family = AddressFamily::Bridge;
    forward.header.ifindex = index;
    forward.header.state = NeighbourState::Permanent;
    forward.header.flags = NeighbourFlags::Own;
    forward.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(other.outer)),
        NeighbourAttribute::LinkLayerAddress(other.mac.to_vec()),
    ];
    netlink.create(RouteNetlinkMessage::NewNeighbour(forward))
}

/// Lets a namespace forward packets, as a node does.
pub fn forward(namespace: &TestNetns) -> io::Result<()> {
    namespace.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
}

/// Two tun devices, joined as by a VPN in user space; both end on drop.
#[derive(Debug)]
pub struct TunPair {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TunPair {
    /// Creates `name` in both namespaces, up, with these addresses in one /24.
    pub fn new(name: &str, ends: [(&TestNetns, Ipv4Addr); 2]) -> io::Result<Self> {
        let open = |(namespace, address): (&TestNetns, Ipv4Addr)| {
            let file = namespace.run(|| open(name))?;
            let index = namespace.run(|| nix::net::if_::if_nametoindex(name))?;
            let mut netlink = namespace.netlink()?;
            netlink.add_address(index, IpAddr::V4(address), 24)?;
            netlink.set_up(index)?;
            io::Result::Ok(file)
        };
        let files = [open(ends[0])?, open(ends[1])?];
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = Some(thread::spawn(move || relay(files, &stopped)));
        Ok(Self { stop, thread })
    }
}

impl Drop for TunPair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Creates a tun device in the namespace of the calling thread; it ends with the file.
fn open(name: &str) -> io::Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let file = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: integers and a name, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the kernel reads and writes one request.
    let failed = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// Passes packets between the two files until `stop`.
fn relay(mut files: [File; 2], stop: &AtomicBool) {
    const PATIENCE_MS: u16 = 50;
    let mut packet = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let ready = {
            let mut polled =
                [0, 1].map(|it: usize| PollFd::new(files[it].as_fd(), PollFlags::POLLIN));
            let _ = poll(&mut polled, PollTimeout::from(PATIENCE_MS));
            polled.map(|it| it.any().unwrap_or_default())
        };
        for (from, to) in [(0, 1), (1, 0)] {
            if ready[from]
                && let Ok(length) = files[from].read(&mut packet)
            {
                // A device that is down refuses it.
                let _ = files[to].write(&packet[..length]);
            }
        }
    }
}

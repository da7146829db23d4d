//! Network namespaces of a test, veth pairs between them, and traffic and faults in them.

pub mod cgroup;
pub mod lab_leftovers;
pub mod links;
pub mod net_faults;
pub mod plain_cluster;
pub mod reordering_link;
pub mod send;
pub mod stats;
pub mod steady_traffic;
pub mod tcpdump;
pub mod traffic_fixture;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, State},
};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use netviz::sys::{
    netlink::{Mac, Netlink, NewLink},
    netns::NetNs,
};
use nix::sched::{CloneFlags, unshare};

use crate::cli::wait::wait_for;

/// A network namespace, held by a process that reads a pipe from the test. It ends on drop, and
/// also when the test is killed.
#[derive(Debug)]
pub struct TestNetns {
    holder: Child,
    netns: NetNs,
}

impl TestNetns {
    /// Creates an empty namespace without IPv6, so that it has only the test's own packets.
    pub fn new() -> io::Result<Self> {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // SAFETY: one system call, without allocation or lock.
        unsafe { command.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWNET)?)) };
        let holder = command.spawn()?;
        let netns = NetNs::of_process(holder.id().cast_signed())?;
        netns.run(|| {
            for scope in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
                match fs::write(path, "1") {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    // A kernel without IPv6 sends none.
                    _ => {}
                }
            }
            Ok(())
        })??;
        Ok(Self { holder, netns })
    }

    /// Returns its namespace.
    #[must_use]
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }

    /// Returns its name for `--netns`.
    #[must_use]
    pub fn name(&self) -> String {
        self.holder.id().to_string()
    }

    /// Runs `work` in it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.netns.run(work).expect("entering a test's namespace")
    }

    /// Opens a netlink socket in it.
    pub fn netlink(&self) -> io::Result<Netlink> {
        Netlink::open_in(&self.netns)
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // The process ends when its input ends, which has happened.
        let _ = self.holder.wait();
    }
}

/// Returns a namespace without a process or a path: only the holder of the handle can find it.
pub fn hidden() -> io::Result<NetNs> {
    let namespace = TestNetns::new()?;
    NetNs::open(format!("/proc/{}/ns/net", namespace.name()).as_ref())
}

/// Returns a namespace with `number` veth pairs, both ends in it, from index 10 on.
pub fn pairs(number: u32) -> io::Result<TestNetns> {
    let namespace = TestNetns::new()?;
    let mut netlink = namespace.netlink()?;
    (0..number).try_for_each(|pair| add_pair(&mut netlink, 10 + 2 * pair))?;
    Ok(namespace)
}

/// Adds a veth pair with the indexes `near` and `near + 1`, named after them.
pub fn add_pair(netlink: &mut Netlink, near: u32) -> io::Result<()> {
    create_pair(netlink, near, None)
}

/// As [`add_pair`], with the end `near + 1` in another namespace.
pub fn add_pair_to(netlink: &mut Netlink, near: u32, far: &NetNs) -> io::Result<()> {
    create_pair(netlink, near, Some(far))
}

fn create_pair(netlink: &mut Netlink, near: u32, far: Option<&NetNs>) -> io::Result<()> {
    let names = [near, near + 1].map(|index| format!("veth{index}"));
    let link = |end: usize, index: u32| {
        let [_, _, high, low] = index.to_be_bytes();
        NewLink {
            name: &names[end],
            index,
            mac: [2, 0x74, 0, 0, high, low],
            arp: false,
        }
    };
    netlink.create_veth(&link(0, near), &link(1, near + 1), far)
}

/// Puts a link into a group, so that many can be deleted at once.
pub fn set_group(netlink: &mut Netlink, index: u32, group: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Group(group));
    netlink.change(RouteNetlinkMessage::SetLink(message))
}

/// Deletes all links of a group with their peers at once; separately, each would wait for a grace
/// period.
pub fn delete_group(netlink: &mut Netlink, group: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    netlink.change(RouteNetlinkMessage::DelLink(message))
}

/// One end of a veth pair, up, with an address.
#[derive(Clone, Debug)]
pub struct End {
    /// Its name.
    pub name: String,
    /// Its index: the same at both ends, in two namespaces.
    pub index: u32,
    /// Its MAC address.
    pub mac: Mac,
    /// Its address, in a /24 that both ends share.
    pub address: Ipv4Addr,
}

/// Joins two namespaces by a veth pair; `number` distinguishes pairs. Neighbours are permanent: no
/// ARP.
pub fn join(near: &TestNetns, far: &TestNetns, number: u8) -> io::Result<[End; 2]> {
    let end = |host: u8| End {
        name: format!("veth{number}"),
        index: 10 + u32::from(number),
        mac: [0x02, 0x74, 0, 0, number, host],
        address: Ipv4Addr::new(10, 99, number, host),
    };
    let ends = [end(1), end(2)];
    let link = |end: usize| NewLink {
        name: &ends[end].name,
        index: ends[end].index,
        mac: ends[end].mac,
        arp: true,
    };
    let mut netlinks = [near.netlink()?, far.netlink()?];
    netlinks[0].create_veth(&link(0), &link(1), Some(far.netns()))?;
    for (netlink, end) in netlinks.iter_mut().zip(&ends) {
        netlink.set_up(end.index)?;
    }
    wait_for(|| is_up(&mut netlinks[0], ends[0].index))?;
    for (netlink, (own, other)) in netlinks
        .iter_mut()
        .zip([(&ends[0], &ends[1]), (&ends[1], &ends[0])])
    {
        netlink.add_address(own.index, IpAddr::V4(own.address), 24)?;
        netlink.add_neighbour(own.index, IpAddr::V4(other.address), other.mac)?;
    }
    Ok(ends)
}

/// Checks that an interface sends packets. If it is set up before its peer, it does so as soon as
/// the kernel has processed its carrier (`linkwatch_do_dev`). Until then its queue is `noop`, which
/// drops all packets; on a busy machine, packets can come first.
fn is_up(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let up = LinkAttribute::OperState(State::Up);
    let links = netlink.links()?;
    let mut own = links.iter().filter(|link| link.header.index == index);
    match own.any(|link| link.attributes.contains(&up)) {
        true => Ok(()),
        false => Err(io::Error::other(format!("link {index} is not up"))),
    }
}

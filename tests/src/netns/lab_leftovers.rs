//! The parts of a lab by the kernel's own IDs, to find what remains of it.

use std::{collections::BTreeSet, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::Result;
use aya::programs::{SchedClassifier, TcAttachType, loaded_programs};
use netlink_packet_route::{RouteNetlinkMessage, link::LinkAttribute};
use netviz::{
    lab::{Lab, Place as _},
    sys::{netlink::Netlink, netns::NetNs},
};

use crate::cli::wait::wait_for;

/// Processes, namespaces and programs of one lab.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LabLeftovers {
    /// Process ids.
    pub processes: BTreeSet<u64>,
    /// Inodes of network namespaces.
    pub namespaces: BTreeSet<u64>,
    /// Ids of the programs in tcx chains.
    pub programs: BTreeSet<u64>,
}

impl LabLeftovers {
    /// Collects all parts of a running lab.
    pub fn of(lab: &Lab) -> Result<Self> {
        let mut all = Self::default();
        for node in lab.nodes() {
            let pods = lab.pods().iter().chain(lab.health());
            let mut devices = vec!["cilium_net", "cilium_host", "eth0"];
            if lab.options().mode.tunnels() {
                devices.push("cilium_vxlan");
            }
            let own: Vec<_> = pods.filter(|pod| pod.node == node.name).collect();
            devices.extend(own.iter().map(|pod| pod.interface.name.as_str()));
            for pid in own.iter().map(|pod| pod.pid()).chain([node.pid()]) {
                all.processes.insert(u64::from(pid.unsigned_abs()));
                all.namespaces.insert(NetNs::of_process(pid)?.id().0);
            }
            let programs = lab.netns(node)?.run(|| {
                let hooks = [TcAttachType::Ingress, TcAttachType::Egress];
                let chains = devices
                    .iter()
                    .flat_map(|device| hooks.map(|hook| SchedClassifier::query_tcx(device, hook)));
                let programs = chains
                    .filter_map(Result::ok)
                    .flat_map(|(_, programs)| programs);
                programs
                    .map(|program| u64::from(program.id()))
                    .collect::<Vec<_>>()
            })?;
            all.programs.extend(programs);
        }
        Ok(all)
    }

    /// Returns the parts that still exist.
    pub fn left(&self) -> Result<Vec<String>> {
        let loaded: BTreeSet<_> = loaded_programs()
            .filter_map(Result::ok)
            .map(|it| u64::from(it.id()))
            .collect();
        let alive = |pid: &&u64| Path::new(&format!("/proc/{pid}")).exists();
        let mut left = Vec::new();
        left.extend(
            self.processes
                .iter()
                .filter(alive)
                .map(|it| format!("process {it}")),
        );
        left.extend(
            self.programs
                .intersection(&loaded)
                .map(|it| format!("program {it}")),
        );
        // The kernel reuses inodes at once. A namespace only counts if one of our processes would
        // have to hold it, and none is left.
        if !left.is_empty() {
            let held = namespaces()?;
            left.extend(
                self.namespaces
                    .intersection(&held)
                    .map(|it| format!("namespace {it}")),
            );
        }
        Ok(left)
    }

    /// Returns the parts of a lab that are visible on the machine; should be empty.
    pub fn seen_on_the_machine(&self) -> Result<Vec<String>> {
        let links = Netlink::open()?.links()?;
        let names = links
            .iter()
            .flat_map(|link| &link.attributes)
            .filter_map(|it| match it {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            });
        let mut seen: Vec<_> = names.filter(|name| is_ours(name)).collect();
        for entry in fs::read_dir("/run/netns").into_iter().flatten() {
            let inode = entry?.metadata()?.ino();
            seen.extend(
                self.namespaces
                    .contains(&inode)
                    .then(|| format!("/run/netns: {inode}")),
            );
        }
        Ok(seen)
    }

    /// Formats them for another process.
    #[must_use]
    pub fn to_line(&self) -> String {
        let join =
            |ids: &BTreeSet<u64>| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let Self {
            processes,
            namespaces,
            programs,
        } = self;
        format!(
            "leftovers {} {} {}",
            join(processes),
            join(namespaces),
            join(programs)
        )
    }

    /// Parses them from another process.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("leftovers ")?.split(' ').map(|ids| {
            ids.split(',')
                .filter_map(|id| id.parse().ok())
                .collect::<BTreeSet<u64>>()
        });
        Some(Self {
            processes: parts.next()?,
            namespaces: parts.next()?,
            programs: parts.next()?,
        })
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("lxc") || name.starts_with("cilium_") || name.starts_with("veth-worker")
}

/// Returns the inodes of the network namespaces of all processes, and of those mounted here.
pub fn namespaces() -> io::Result<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path().join("ns/net");
        inodes.extend(fs::metadata(path).map(|it| it.ino()));
    }
    for entry in fs::read_dir("/run/netns").into_iter().flatten() {
        inodes.extend(entry?.metadata().map(|it| it.ino()));
    }
    Ok(inodes)
}

/// Returns the IDs of this process's children. The kernel lists them per thread. When a thread ends
/// meanwhile, its children move to another thread, which may have been read before; then all are
/// read again.
pub fn children() -> io::Result<Vec<u64>> {
    wait_for(|| {
        let mut children = Vec::new();
        for task in fs::read_dir("/proc/self/task")? {
            let listed = fs::read_to_string(task?.path().join("children"))?;
            let listed = listed.split_whitespace();
            children.extend(listed.filter_map(|pid| pid.parse::<u64>().ok()));
        }
        Ok(children)
    })
}

/// Returns the bytes that all links of a namespace have received so far.
pub fn received(netlink: &mut Netlink) -> u64 {
    let dump = netlink.dump(RouteNetlinkMessage::GetLink(Default::default()));
    let links = dump.unwrap_or_default();
    let attributes = links.into_iter().flat_map(|link| match link {
        RouteNetlinkMessage::NewLink(link) => link.attributes,
        _ => Vec::new(),
    });
    attributes
        .filter_map(|attribute| match attribute {
            LinkAttribute::Stats64(stats) => Some(stats.rx_bytes),
            _ => None,
        })
        .sum()
}

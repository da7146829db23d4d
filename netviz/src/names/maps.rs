//! The BPF maps that Cilium has pinned: endpoints and identities as its datapath has them, even while
//! the agent is down, hangs, or disagrees.
//!
//! They are only read, and only if their sizes are those of a known layout.

pub mod drop_counters;
pub mod layout;
pub mod pinned;

use std::{io, net::IpAddr, os::fd::OwnedFd, path::Path, time::Duration};

use aya::maps::MapType;
use ipnet::IpNet;
use nix::fcntl::OFlag;

use super::{
    report::{Lookup, PodFact, Report},
    source::{Context, NameSource, nodes},
};
use crate::{
    discover::Discovered,
    model::{Role, Side, Source, Status},
    sys::{netns::NetNsId, rooted_fs::Root},
};
use pinned::Pinned;

/// Where Cilium pins them.
const DIRECTORY: &str = "sys/fs/bpf/tc/globals";
const ENDPOINTS: &str = "cilium_lxc";
/// The newer name first: after an update, the older map remains for a while.
const ADDRESSES: [&str; 2] = ["cilium_ipcache_v2", "cilium_ipcache"];
/// The capacity of `cilium_lxc`.
const ENTRIES: usize = 65_536;
/// 10 000 entries take a tenth of it.
const LIMIT: Duration = Duration::from_millis(200);

/// The maps of all nodes.
pub(super) struct Maps;

impl NameSource for Maps {
    fn read(&mut self, _: &Context, found: &Discovered) -> Vec<Report> {
        let addresses = addresses(found);
        nodes(found)
            .map(|node| report(node.netns, &node.roots, &addresses))
            .collect()
    }
}

/// The addresses of all discovered pods and nodes.
fn addresses(found: &Discovered) -> Vec<IpAddr> {
    let cluster = &found.cluster;
    let inside = cluster
        .doors
        .iter()
        .filter(|door| door.side == Side::Pod && matches!(door.role, Role::Pod | Role::Health));
    let pods = inside.flat_map(|door| door.addresses.iter());
    let nodes = cluster.nodes.iter().flat_map(|node| &node.addresses);
    let mut all: Vec<IpAddr> = pods.chain(nodes).map(IpNet::addr).collect();
    all.sort();
    all.dedup();
    all
}

/// The entries of a map, with a remark; an error if it cannot be read.
type Read<T> = Result<(Vec<T>, Option<String>), String>;

/// Reads the maps that are pinned on the node with these roots: all endpoints, and the ipcache entries
/// of `addresses`.
#[must_use]
pub fn report(node: NetNsId, roots: &[std::path::PathBuf], addresses: &[IpAddr]) -> Report {
    let mut report = Report::new(Source::CiliumMaps, Some(node), Status::Absent);
    let root = match Root::open(roots) {
        Ok(root) => root,
        Err(status) => {
            report.status = status;
            return report;
        }
    };
    let mut remarks = Vec::new();
    let endpoints = find(&root, ENDPOINTS).map(endpoints);
    let lookups = ADDRESSES.iter().find_map(|name| {
        let file = find(&root, name)?;
        Some(lookups(name, file, addresses))
    });
    let mut readable = false;
    if let Some(read) = endpoints {
        report.pods = settle(read, &mut remarks, &mut readable);
    }
    if let Some(read) = lookups {
        report.lookups = settle(read, &mut remarks, &mut readable);
    }
    let remarks = (!remarks.is_empty()).then(|| remarks.join("; "));
    report.status = match (readable, remarks) {
        (true, remarks) => Status::Ok { detail: remarks },
        (false, Some(why)) => Status::failed(why),
        (false, None) => Status::Absent,
    };
    report
}

fn settle<T>(read: Read<T>, remarks: &mut Vec<String>, readable: &mut bool) -> Vec<T> {
    match read {
        Ok((all, remark)) => {
            *readable = true;
            remarks.extend(remark);
            all
        }
        Err(why) => {
            remarks.push(why);
            Vec::new()
        }
    }
}

/// `None` if nothing is pinned under this name.
fn find(root: &Root, name: &str) -> Option<io::Result<OwnedFd>> {
    match root.at(&Path::new(DIRECTORY).join(name), OFlag::O_PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        found => Some(found),
    }
}

fn open(name: &str, file: io::Result<OwnedFd>) -> Result<Pinned, String> {
    file.and_then(|file| Pinned::open(&file))
        .map_err(|error| format!("cannot open /{DIRECTORY}/{name}: {error}"))
}

fn unknown(name: &str, map: &Pinned) -> String {
    let (key, value) = map.sizes;
    format!("{name} was not read: unknown layout (keys of {key} bytes, values of {value} bytes)")
}

fn failed(name: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot read {name}: {error}")
}

fn endpoints(file: io::Result<OwnedFd>) -> Read<PodFact> {
    const SIZES: (usize, usize) = layout::ENDPOINT;
    let map = open(ENDPOINTS, file)?;
    if !map.is(MapType::Hash, SIZES) {
        return Err(unknown(ENDPOINTS, &map));
    }
    let entries = map.entries::<{ SIZES.0 }, { SIZES.1 }>(ENTRIES, LIMIT);
    let (entries, all) = entries.map_err(failed(ENDPOINTS))?;
    let remark = (!all).then(|| format!("{ENDPOINTS}: its first {} entries", entries.len()));
    Ok((layout::endpoints(&entries), remark))
}

fn lookups(name: &str, file: io::Result<OwnedFd>, addresses: &[IpAddr]) -> Read<Lookup> {
    const SIZES: (usize, [usize; 2]) = layout::ADDRESS;
    let map = open(name, file)?;
    if map.is(MapType::LpmTrie, (SIZES.0, SIZES.1[0])) {
        matches::<{ SIZES.1[0] }>(name, map, addresses)
    } else if map.is(MapType::LpmTrie, (SIZES.0, SIZES.1[1])) {
        matches::<{ SIZES.1[1] }>(name, map, addresses)
    } else {
        Err(unknown(name, &map))
    }
}

fn matches<const V: usize>(name: &str, map: Pinned, addresses: &[IpAddr]) -> Read<Lookup> {
    let keys = addresses.iter().map(|address| layout::key(*address));
    let values = map.matches::<20, V>(keys).map_err(failed(name))?;
    let found = addresses.iter().zip(&values);
    let lookups = found.filter_map(|(address, value)| {
        let value = value.as_ref()?;
        Some(layout::lookup(*address, value))
    });
    Ok((lookups.collect(), None))
}

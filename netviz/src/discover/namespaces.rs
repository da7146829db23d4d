//! Which network namespaces there are, and how to get into each.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{FsType, statfs};

use crate::model::NetNsId;

/// `NSFS_MAGIC`: what statfs says of a file that is a namespace.
pub(super) const NSFS: FsType = FsType(0x6e73_6673);

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The lowest process id in it: the one that was there first, as a rule.
    pub(crate) process: Option<i32>,
    /// Its file in a `/run/netns`, seen from here.
    pub(crate) file: Option<PathBuf>,
}

impl Place {
    /// Ways in, the surest first: a mounted file outlives the processes.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let process = self
            .process
            .map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
        self.file.iter().cloned().chain(process).collect()
    }

    /// The name under which it is mounted, such as `cni-4172177b-…`.
    pub(crate) fn file_name(&self) -> Option<String> {
        Some(
            self.file
                .as_ref()?
                .file_name()?
                .to_string_lossy()
                .into_owned(),
        )
    }
}

/// All namespaces that processes are in or that are mounted in a `/run/netns`, that of every
/// mount namespace included: containers such as Kind's nodes have one of their own.
pub(crate) fn index() -> BTreeMap<NetNsId, Place> {
    let mut places: BTreeMap<NetNsId, Place> = BTreeMap::new();
    let mut mounts = HashSet::new();
    add_directory(&mut places, Path::new("/run/netns"));
    for pid in processes() {
        let Ok(id) = namespace(&format!("/proc/{pid}/ns/net")) else {
            continue;
        };
        let place = places.entry(NetNsId(id)).or_default();
        place.process = Some(place.process.map_or(pid, |other| other.min(pid)));
        if let Ok(mount) = namespace(&format!("/proc/{pid}/ns/mnt"))
            && mounts.insert(mount)
        {
            add_directory(
                &mut places,
                Path::new(&format!("/proc/{pid}/root/run/netns")),
            );
        }
    }
    places
}

/// Inode of the namespace behind a link under `/proc/PID/ns`.
pub(crate) fn namespace(path: &str) -> io::Result<u64> {
    Ok(fs::metadata(path)?.ino())
}

/// Process ids, in ascending order.
fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

fn add_directory(places: &mut BTreeMap<NetNsId, Place>, directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        // A namespace that is being made is an ordinary empty file at first.
        if !statfs(&path).is_ok_and(|stat| stat.filesystem_type() == NSFS) {
            continue;
        }
        if let Ok(metadata) = fs::metadata(&path) {
            places
                .entry(NetNsId(metadata.ino()))
                .or_default()
                .file
                .get_or_insert(path);
        }
    }
}

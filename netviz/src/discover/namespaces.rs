//! Which network namespaces there are, and how to get into each.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
    /// A process that shows its files and its hostname: the one that was there first.
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
    let mut starts = HashMap::new();
    add_directory(&mut places, Path::new("/run/netns"));
    for pid in processes() {
        let Ok(id) = namespace(&format!("/proc/{pid}/ns/net")) else {
            continue;
        };
        let place = places.entry(NetNsId(id)).or_default();
        let mount = namespace(&format!("/proc/{pid}/ns/mnt")).ok();
        // All are compared, those of one mount namespace too: a young one of the node's would otherwise
        // stand for it, and lose to whoever came to its network with other files.
        let is_first = place.process.is_none_or(|other| {
            let first = starts.entry(id).or_insert_with(|| start(other));
            let own = start(pid);
            let before = is_before(own, *first);
            if before {
                *first = own;
            }
            before
        });
        if is_first {
            place.process = Some(pid);
        }
        if let Some(mount) = mount
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

/// Whether one process is older than another, which a lower id does not tell: they begin anew when
/// they are used up, and a pod in the node's network may well have a lower one than the node.
fn is_before(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one < other)
}

fn start(pid: i32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// When a process was started, in ticks since the machine was: field 22 of `/proc/PID/stat`. The
/// second one, in brackets, is what the process calls itself.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Process ids, in ascending order.
pub(crate) fn processes() -> Vec<i32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_start_is_found_behind_any_name() {
        let rest = "S 1 7 7 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 4711 2363392 200 18446744";
        for name in ["sleep", "a) 9 (b", "", ") ) ) S 1 2 3"] {
            assert_eq!(started(&format!("7 ({name}) {rest}")), Some(4711), "{name}");
        }
        for broken in ["", "7", "7 (sleep", "7 (sleep) S 1"] {
            assert_eq!(started(broken), None, "{broken}");
        }
    }

    #[test]
    fn nobody_was_before_the_first_process() {
        let own = std::process::id().cast_signed();
        let was_before = |one, other| is_before(start(one), start(other));
        assert!(was_before(1, own));
        assert!(!was_before(own, 1));
        assert!(!was_before(own, own));
        assert!(!was_before(-1, own));
    }
}

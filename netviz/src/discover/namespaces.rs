//! Which network namespaces there are, and how to get into each.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, sys::stat::Mode};

use crate::sys::{
    descriptors::there,
    netns::{self, NetNs, NetNsId},
    rooted_fs::Root,
};

/// Where namespaces are mounted, from a root.
const DIRECTORY: &str = "run/netns";
/// More than the pods of the largest node: whoever is in a container may make as many files as he
/// likes.
const ENTRIES: usize = 4_096;
/// Of all directories together, and of netviz's own: a container may make mount namespaces as well.
const ALL_ENTRIES: usize = 65_536;

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

/// Which namespaces there are.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) places: BTreeMap<NetNsId, Place>,
    /// What was not looked at, in one line.
    pub(crate) left_out: Option<String>,
}

/// All namespaces that processes are in or that are mounted in a `/run/netns`, that of every
/// mount namespace included: containers such as Kind's nodes have one of their own.
///
/// # Errors
/// When no file can be opened: that nothing was found would be no news of what there is.
pub(crate) fn index() -> io::Result<Index> {
    let mut places: BTreeMap<NetNsId, Place> = BTreeMap::new();
    let mut directories = Directories::new();
    let mut mounts = HashSet::new();
    let mut starts = HashMap::new();
    directories.add_own(&mut places)?;
    for pid in processes()? {
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
            directories.add(&mut places, pid)?;
        }
    }
    let left_out = directories.left_out();
    Ok(Index { places, left_out })
}

/// Opens the namespace at a path. What lies below another process's root is that process's, links
/// too: they are followed within that root, never to the files of the machine that netviz runs on.
///
/// # Errors
/// As [`NetNs::open`].
pub(crate) fn open(path: &Path) -> io::Result<NetNs> {
    let Some((root, rest)) = below_a_root(path) else {
        return NetNs::open(path);
    };
    let file = Root::open_one(&root)?.at(&rest, OFlag::O_PATH)?;
    NetNs::of_file(&file, path)
}

/// The root of a process, and the way from there, where a path leads through one.
fn below_a_root(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut parts = path.strip_prefix("/proc").ok()?.components();
    let pid: i32 = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    parts.next().filter(|part| part.as_os_str() == "root")?;
    let rest = parts.as_path();
    let is_below = !rest.as_os_str().is_empty();
    is_below.then(|| (PathBuf::from(format!("/proc/{pid}/root")), rest.to_owned()))
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
///
/// # Errors
/// When no file can be opened.
pub(crate) fn processes() -> io::Result<Vec<i32>> {
    let entries = there(fs::read_dir("/proc"))?.into_iter().flatten();
    let mut pids: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// The directories in which namespaces are mounted, with a limit to all of them together.
struct Directories {
    /// So many entries may still be looked at.
    left: usize,
    /// Directories with more than that, and the process by which the first of them is seen.
    cut: (usize, Option<i32>),
}

impl Directories {
    fn new() -> Self {
        Self {
            left: ALL_ENTRIES,
            cut: (0, None),
        }
    }

    /// netviz's own. Root alone writes there, and links to a process's namespace are usual.
    fn add_own(&mut self, places: &mut BTreeMap<NetNsId, Place>) -> io::Result<()> {
        let directory = there(fs::read_dir(Path::new("/").join(DIRECTORY)))?;
        for entry in directory.into_iter().flatten().flatten() {
            if self.left == 0 {
                self.cut.0 += 1;
                break;
            }
            self.left -= 1;
            let path = entry.path();
            if let Some(id) = mounted(&path)? {
                places.entry(id).or_default().file.get_or_insert(path);
            }
        }
        Ok(())
    }

    /// That of a process, who may be anybody: it is read within the process's root.
    fn add(&mut self, places: &mut BTreeMap<NetNsId, Place>, pid: i32) -> io::Result<()> {
        let root_path = PathBuf::from(format!("/proc/{pid}/root"));
        let Some(root) = there(Root::open_one(&root_path))? else {
            return Ok(());
        };
        let most = self.left.min(ENTRIES);
        let Some((paths, whole)) = there(root.entries(Path::new(DIRECTORY), most))? else {
            return Ok(());
        };
        self.left -= paths.len();
        if !whole {
            self.cut.0 += 1;
            self.cut.1.get_or_insert(pid);
        }
        for path in paths {
            if let Some(id) = root.namespace(&path) {
                let file = &mut places.entry(id).or_default().file;
                file.get_or_insert_with(|| root_path.join(&path));
            }
        }
        Ok(())
    }

    fn left_out(&self) -> Option<String> {
        let (directories, process) = self.cut;
        let first = match process {
            Some(pid) => format!("first that of process {pid}"),
            None => "netviz's own".into(),
        };
        (directories > 0).then(|| {
            format!(
                "more files than are looked at in {directories} of the directories /{DIRECTORY} ({first}): a network namespace that is mounted there and has no process may be missing; remove what is no namespace"
            )
        })
    }
}

/// The namespace that is mounted at a path, or that a link there leads to.
fn mounted(path: &Path) -> io::Result<Option<NetNsId>> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let file = there(nix::fcntl::open(path, flags, Mode::empty()))?;
    Ok(file.and_then(|file| netns::namespace(&file).ok()?))
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

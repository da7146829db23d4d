//! Finds all network namespaces, and the ways into each.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, sys::stat::Mode};

use crate::sys::{
    descriptors::there,
    entrance::Entrance,
    mountinfo,
    netns::{self, NetNsId},
    processes::{namespace, processes},
    rooted_fs::Root,
};

/// Where namespaces are mounted, relative to a root.
const DIRECTORY: &str = "run/netns";
/// Most entries read of one directory: more than the pods of the largest node. A container may
/// create any number of files.
const ENTRIES: usize = 4_096;
/// Most entries read of all directories: a container may create mount namespaces as well.
const ALL_ENTRIES: usize = 65_536;

/// How one namespace was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The oldest process in it, which shows its files and its hostname.
    pub(crate) process: Option<i32>,
    /// The file on which it is mounted, as seen from here: one in a `/run/netns` if there is one.
    pub(crate) file: Option<PathBuf>,
}

impl Found {
    /// Ways in, the most durable first: a mounted file outlives the processes.
    pub(crate) fn entrances(&self) -> Vec<Entrance> {
        let file = self.file.clone().map(Entrance::Path);
        file.into_iter()
            .chain(self.process.map(Entrance::Process))
            .collect()
    }

    /// The name under which it is mounted, such as `cni-4172177b-…`.
    pub(crate) fn file_name(&self) -> Option<String> {
        let name = self.file.as_ref()?.file_name()?;
        Some(name.to_string_lossy().into_owned())
    }
}

/// All network namespaces.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) namespaces: Namespaces,
    /// What was not read, in one line.
    pub(crate) left_out: Option<String>,
}

pub(crate) type Namespaces = BTreeMap<NetNsId, Found>;

/// Finds the namespaces of all processes, those mounted in the `/run/netns` of any mount namespace
/// (containers such as Kind's nodes have one of their own), and those mounted anywhere in netviz's own.
///
/// # Errors
/// When no file can be opened: an empty result would mean that everything had gone.
pub(crate) fn index() -> io::Result<Index> {
    let mut namespaces = Namespaces::new();
    let mut directories = Directories::new();
    let mut mounts = HashSet::new();
    let mut starts = HashMap::new();
    directories.add_own(&mut namespaces)?;
    for pid in processes()? {
        let Ok(id) = namespace(&format!("/proc/{pid}/ns/net")) else {
            continue;
        };
        let found = namespaces.entry(NetNsId(id)).or_default();
        let mount = namespace(&format!("/proc/{pid}/ns/mnt")).ok();
        // The oldest process represents the namespace: a younger one may have joined it with the
        // files of another mount namespace.
        let is_first = found.process.is_none_or(|other| {
            let first = starts.entry(id).or_insert_with(|| start(other));
            let own = start(pid);
            let before = is_before(own, *first);
            if before {
                *first = own;
            }
            before
        });
        if is_first {
            found.process = Some(pid);
        }
        if let Some(mount) = mount
            && mounts.insert(mount)
        {
            directories.add(&mut namespaces, pid)?;
        }
    }
    for (id, path) in there(mountinfo::network_namespaces())?.unwrap_or_default() {
        namespaces.entry(id).or_default().file.get_or_insert(path);
    }
    let left_out = directories.left_out();
    Ok(Index {
        namespaces,
        left_out,
    })
}

/// Whether one process is older than another. Ids do not decide: they wrap, and a pod in the node's
/// network may have a lower one than the node.
fn is_before(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one < other)
}

fn start(pid: i32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`. The second field, in
/// brackets, is a name that the process chooses.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The directories in which namespaces are mounted, with a limit on the entries of all together.
struct Directories {
    /// Entries that may still be read.
    left: usize,
    /// Number of directories with more than that, and the process through which the first was read.
    cut: (usize, Option<i32>),
}

impl Directories {
    fn new() -> Self {
        Self {
            left: ALL_ENTRIES,
            cut: (0, None),
        }
    }

    /// netviz's own directory. Only root writes there; links to a process's namespace are usual.
    fn add_own(&mut self, namespaces: &mut Namespaces) -> io::Result<()> {
        let directory = there(fs::read_dir(Path::new("/").join(DIRECTORY)))?;
        for entry in directory.into_iter().flatten().flatten() {
            if self.left == 0 {
                self.cut.0 += 1;
                break;
            }
            self.left -= 1;
            let path = entry.path();
            if let Some(id) = mounted(&path)? {
                namespaces.entry(id).or_default().file.get_or_insert(path);
            }
        }
        Ok(())
    }

    /// The directory of a process, which may be anyone's: read within the process's root.
    fn add(&mut self, namespaces: &mut Namespaces, pid: i32) -> io::Result<()> {
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
                let file = &mut namespaces.entry(id).or_default().file;
                file.get_or_insert_with(|| root_path.join(&path));
            }
        }
        Ok(())
    }

    fn left_out(&self) -> Option<String> {
        let (directories, process) = self.cut;
        let first = match process {
            Some(pid) => format!("the first is that of process {pid}"),
            None => "netviz's own".into(),
        };
        (directories > 0).then(|| {
            format!(
                "too many files in {directories} directories /{DIRECTORY} ({first}); a network namespace mounted there that has no process may be missing; remove the files that are not namespaces"
            )
        })
    }
}

/// The namespace mounted at a path, or behind a link there.
fn mounted(path: &Path) -> io::Result<Option<NetNsId>> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let file = there(nix::fcntl::open(path, flags, Mode::empty()))?;
    Ok(file.and_then(|file| netns::namespace(&file).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_parsed_after_any_process_name() {
        let rest = "S 1 7 7 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 4711 2363392 200 18446744";
        for name in ["sleep", "a) 9 (b", "", ") ) ) S 1 2 3"] {
            assert_eq!(started(&format!("7 ({name}) {rest}")), Some(4711), "{name}");
        }
        for broken in ["", "7", "7 (sleep", "7 (sleep) S 1"] {
            assert_eq!(started(broken), None, "{broken}");
        }
    }

    #[test]
    fn no_process_is_older_than_the_first() {
        let own = std::process::id().cast_signed();
        let older = |one, other| is_before(start(one), start(other));
        assert!(older(1, own));
        assert!(!older(own, 1));
        assert!(!older(own, own));
        assert!(!older(-1, own));
    }
}

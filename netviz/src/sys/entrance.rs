//! Ways into network namespaces.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use super::{
    descriptors::there,
    netns::{NetNs, NetNsId},
    rooted_fs::Root,
};

/// netviz's own namespace.
const OWN: &str = "/proc/self/ns/net";

/// A way into a network namespace. A path and not a handle: a handle would keep a pod's namespace
/// alive after the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// netviz's own namespace.
    Own,
    /// A process that is in it.
    Process(i32),
    /// A file on which it is mounted, as seen from here.
    Path(PathBuf),
}

impl Entrance {
    /// Opens the namespace. A path below another process's root is resolved within that root:
    /// links there never lead to the files of the machine that netviz runs on.
    ///
    /// # Errors
    /// As [`NetNs::open`].
    pub fn open(&self) -> io::Result<NetNs> {
        match self {
            // That of the process: the calling thread may be elsewhere.
            Self::Own => NetNs::open(Path::new(OWN)),
            Self::Process(pid) => NetNs::of_process(*pid),
            Self::Path(path) => match below_a_root(path) {
                Some((root, rest)) => {
                    let file = Root::open_one(&root)?.at(&rest, OFlag::O_PATH)?;
                    NetNs::of_file(&file, path)
                }
                None => NetNs::open(path),
            },
        }
    }
}

/// The file by which it is opened.
impl fmt::Display for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str(OWN),
            Self::Process(pid) => write!(f, "/proc/{pid}/ns/net"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Opens the namespace `id` by the first of its entrances that still leads to it; `None` where none
/// does: the namespace is gone, or another one took its place.
///
/// # Errors
/// When no file can be opened at all.
pub fn enter(entrances: &[Entrance], id: NetNsId) -> io::Result<Option<NetNs>> {
    for entrance in entrances {
        let opened = there(entrance.open())?;
        if let Some(namespace) = opened.filter(|namespace| namespace.id() == id) {
            return Ok(Some(namespace));
        }
    }
    Ok(None)
}

/// Splits a path that leads through the root of a process into that root and the rest.
fn below_a_root(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut parts = path.strip_prefix("/proc").ok()?.components();
    let pid: i32 = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    parts.next().filter(|part| part.as_os_str() == "root")?;
    let rest = parts.as_path();
    let is_below = !rest.as_os_str().is_empty();
    is_below.then(|| (PathBuf::from(format!("/proc/{pid}/root")), rest.to_owned()))
}

//! Programs and links that are pinned in a bpf file system.

use std::{
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    sys::statfs::{BPF_FS_MAGIC, fstatfs},
};

use crate::sys::{bpf, rooted_fs::Root};

/// What a descriptor or a pin refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) program: Option<u32>,
    pub(super) link: Option<u32>,
    /// A link of an XDP program, whose ID rtnetlink does not report.
    pub(super) is_xdp_link: bool,
}

impl Object {
    /// Parses `/proc/PID/fdinfo`; that of a link names its program as well.
    pub(super) fn of(fdinfo: &str) -> Self {
        let mut object = Self::default();
        for line in fdinfo.lines() {
            match line.split_once(':') {
                Some(("prog_id", id)) => object.program = id.trim().parse().ok(),
                Some(("link_id", id)) => object.link = id.trim().parse().ok(),
                Some(("link_type", kind)) => object.is_xdp_link = kind.trim() == "xdp",
                _ => {}
            }
        }
        object
    }
}

/// Where bpf file systems are mounted; the second is Cilium's own, on nodes without the first.
const MOUNTS: [&str; 2] = ["/sys/fs/bpf", "/run/cilium/bpffs"];
/// A node with hundreds of pods has a few thousand maps pinned.
const MOST: usize = 50_000;

/// Pinned programs and links below the root of a node, with their paths.
pub(super) fn below(root: &Path) -> Vec<(Object, String)> {
    let Ok(root) = Root::open_one(root) else {
        return Vec::new();
    };
    let mounts = MOUNTS.into_iter().filter_map(|mount| {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let directory = root.at(Path::new(mount), flags).ok()?;
        let is_bpf = fstatfs(&directory).ok()?.filesystem_type() == BPF_FS_MAGIC;
        is_bpf.then_some((mount, directory))
    });
    mounts.flat_map(|(mount, it)| within(mount, &it)).collect()
}

fn within(mount: &str, directory: &OwnedFd) -> Vec<(Object, String)> {
    let top = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let mut found = Vec::new();
    let mut left = MOST;
    let mut directories = vec![top.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            let path = entry.path();
            match entry.file_type() {
                _ if left == 0 => return found,
                Ok(kind) if kind.is_dir() => directories.push(path),
                // Symlinks lead to files that are found elsewhere, or outside.
                Ok(kind) if kind.is_file() => {
                    let Some(object) = object(&path) else {
                        continue;
                    };
                    let inner = path.strip_prefix(&top).unwrap_or(&path);
                    found.push((object, format!("{mount}/{}", inner.display())));
                }
                _ => {}
            }
        }
    }
    found
}

fn object(path: &Path) -> Option<Object> {
    let opened = bpf::pinned(path).ok()?;
    let info = format!("/proc/self/fdinfo/{}", opened.as_raw_fd());
    let object = Object::of(&fs::read_to_string(info).ok()?);
    (object != Object::default()).then_some(object)
}

//! Processes, and the namespaces that they are in.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use super::{descriptors::there, netns::NetNsId};

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

/// Inode of the namespace behind a link under `/proc/PID/ns`.
pub(crate) fn namespace(path: &str) -> io::Result<u64> {
    Ok(fs::metadata(path)?.ino())
}

/// The process with the lowest id in a network namespace.
pub(crate) fn in_netns(netns: NetNsId) -> io::Result<Option<i32>> {
    let inode = |pid: i32| namespace(&format!("/proc/{pid}/ns/net"));
    let mut all = processes()?.into_iter();
    Ok(all.find(|pid| inode(*pid).is_ok_and(|inode| inode == netns.0)))
}

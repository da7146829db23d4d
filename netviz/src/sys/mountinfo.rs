//! Mounted network namespaces, from `/proc/self/mountinfo`: runtimes mount them at any path.

use std::{ffi::OsString, fs, io, os::unix::ffi::OsStringExt as _, path::PathBuf};

use super::netns::NetNsId;

/// The network namespaces that are mounted in netviz's own mount namespace, each with its path.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn network_namespaces() -> io::Result<Vec<(NetNsId, PathBuf)>> {
    let mounts = fs::read("/proc/self/mountinfo")?;
    Ok(mounts
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// Where the whole tree of cgroups (version 2) is mounted.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn cgroups() -> io::Result<Option<PathBuf>> {
    let mounts = fs::read("/proc/self/mountinfo")?;
    let mut lines = mounts.split(|byte| *byte == b'\n');
    Ok(lines.find_map(|line| match fields(line)? {
        (b"/", path, b"cgroup2") => Some(path),
        _ => None,
    }))
}

/// Root, mount point and file system type of a line.
fn fields(line: &[u8]) -> Option<(&[u8], PathBuf, &[u8])> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let path = fields.next()?;
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?;
    Some((root, OsString::from_vec(unescape(path)).into(), kind))
}

/// `ID PARENT MAJOR:MINOR net:[INODE] PATH OPTIONS … - nsfs nsfs rw`.
fn parse(line: &[u8]) -> Option<(NetNsId, PathBuf)> {
    let (root, path, b"nsfs") = fields(line)? else {
        return None;
    };
    let inode = root.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    let inode = str::from_utf8(inode).ok()?.parse().ok()?;
    Some((NetNsId(inode), path))
}

/// The kernel writes separators in a path as octal numbers: `\040` is a space.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, left @ ..] = rest {
        let number = match (first, left) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(number.unwrap_or(*first));
        rest = number.map_or(left, |_| &left[3..]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_network_namespaces_and_other_mounts() {
        let parsed = |line: &str| parse(line.as_bytes());
        let found = |inode, path: &str| Some((NetNsId(inode), PathBuf::from(path)));
        assert_eq!(
            parsed("412 25 0:4 net:[4026532281] /run/docker/netns/1-x rw shared:9 - nsfs nsfs rw"),
            found(4_026_532_281, "/run/docker/netns/1-x")
        );
        assert_eq!(
            parsed(r"412 25 0:4 net:[7] /run/a\040b\134\011\0 rw - nsfs nsfs rw"),
            found(7, "/run/a b\\\t\\0")
        );
        for other in [
            "",
            "412 25 0:4 mnt:[4026532281] /run/x rw - nsfs nsfs rw",
            "412 25 0:4 net:[4026532281] /run/x rw - tmpfs nsfs rw",
            "412 25 0:4 net:[] /run/x rw - nsfs nsfs rw",
            "412 25 0:4 net:[1] /run/x rw",
            "25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
        ] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}

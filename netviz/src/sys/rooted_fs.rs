//! Files of a node, seen from outside of it.
//!
//! A node's root belongs to another process: a file there may be a link, a FIFO or very large, by
//! accident or on purpose. Paths are resolved within that root (`openat2`, Linux 5.6), so that no link
//! reaches the files of the machine that netviz runs on.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::{FileStat, Mode, fstat},
};

use super::netns::{self, NetNsId};
use crate::model::Status;

/// The root directory of a node.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

impl Root {
    /// The first of `paths` that can be opened.
    ///
    /// # Errors
    /// The status of a source that cannot open any of them. A path through a process that has ended is not a
    /// failure.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, Status> {
        let mut why = Status::Absent;
        for path in paths {
            match Self::open_one(path) {
                Ok(root) => return Ok(root),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    why = Status::failed(format!(
                        "permission denied at {}: needs CAP_SYS_PTRACE",
                        path.display()
                    ));
                }
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// The directory at `path`.
    pub(crate) fn open_one(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens what is at `path`, from this root.
    pub(crate) fn at(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        Ok(openat2(self.0.as_fd(), path, how)?)
    }

    /// The namespace that is mounted at `path`, if there is one now.
    pub(crate) fn namespace(&self, path: &Path) -> Option<NetNsId> {
        let file = self.at(path, OFlag::O_PATH).ok()?;
        netns::namespace(&file).ok()?
    }

    /// Up to `most` entries of a directory, sorted and without hidden ones, and whether these are all.
    pub(crate) fn list(&self, path: &Path, most: usize) -> io::Result<(Vec<PathBuf>, bool)> {
        let (mut paths, whole) = self.entries(path, most)?;
        let is_hidden = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.as_bytes().starts_with(b".")
        };
        paths.retain(|path| !is_hidden(path));
        Ok((paths, whole))
    }

    /// As [`Self::list`], with hidden ones.
    pub(crate) fn entries(&self, path: &Path, most: usize) -> io::Result<(Vec<PathBuf>, bool)> {
        let directory = self.at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut paths = Vec::new();
        let mut whole = true;
        for entry in Dir::from_fd(directory)?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if paths.len() == most {
                whole = false;
                break;
            }
            paths.push(path.join(OsStr::from_bytes(name)));
        }
        paths.sort();
        Ok((paths, whole))
    }

    /// A file's inode, size and time: enough to know whether it has changed.
    pub(crate) fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let file = self.at(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        Ok(Stamp::of(&fstat(&file)?))
    }

    /// Reads a regular file of at most `most` bytes.
    pub(crate) fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        // Do not wait for the writer of a FIFO.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        contents(self.at(path, flags)?.into(), most)
    }
}

/// Reads a regular file of at most `most` bytes.
pub(crate) fn contents(file: File, most: u64) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not an ordinary file"));
    }
    let mut data = Vec::new();
    file.take(most + 1).read_to_end(&mut data)?;
    if data.len() as u64 > most {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, format!("larger than {most} bytes")));
    }
    Ok(data)
}

/// Inode, size and time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: i64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(stat: &FileStat) -> Self {
        Self {
            inode: stat.st_ino,
            size: stat.st_size,
            changed: (stat.st_mtime, stat.st_mtime_nsec),
        }
    }
}

//! A node's own files, read as the node sees them.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Larger than any kubeconfig, token or certificate.
const LARGEST: u64 = 1 << 20;

/// Where paths begin: `/`, or a node's `/proc/PID/root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root(pub(super) PathBuf);

impl Root {
    /// This process' own.
    pub(super) fn own() -> Self {
        Self("/".into())
    }

    /// Reads a regular file of at most 1 MiB.
    ///
    /// Symbolic links are followed within the root: `kubelet-client-current.pem` is one with an
    /// absolute target, which would otherwise be looked for in netviz' own root.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let file = if self.0 == Path::new("/") {
            // Kernels before 5.6 have no openat2, and here it is not needed.
            open_plain(&self.0.join(relative))?
        } else {
            let root = File::open(&self.0)?;
            let how = OpenHow::new()
                .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
                .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
            File::from(openat2(root.as_fd(), relative, how)?)
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no regular file",
            ));
        }
        let mut content = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LARGEST {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "more than 1 MiB",
            ));
        }
        Ok(content)
    }
}

/// Without waiting for the other end of a pipe.
fn open_plain(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_stay_within_the_root() -> io::Result<()> {
        let directory = std::env::temp_dir().join(format!("netviz-root-{}", std::process::id()));
        fs::create_dir_all(directory.join("pki"))?;
        fs::write(directory.join("pki/today.pem"), "the node's")?;
        symlink("/pki/today.pem", directory.join("pki/current.pem"))?;
        symlink("../../../../../../etc/hostname", directory.join("pki/out"))?;
        let root = Root(directory.clone());
        let current = root.read(Path::new("/pki/current.pem"));
        let out = root
            .read(Path::new("/pki/out"))
            .map_err(|error| error.kind());
        let no_file = root.read(Path::new("/pki")).map_err(|error| error.kind());
        fs::remove_dir_all(&directory)?;
        assert_eq!(current?, b"the node's");
        assert_eq!(out, Err(io::ErrorKind::NotFound));
        assert_eq!(no_file, Err(io::ErrorKind::InvalidInput));
        Ok(())
    }
}

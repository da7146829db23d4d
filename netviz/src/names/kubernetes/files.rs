//! A node's own files, read as the node sees them.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use crate::sys::rooted_fs;

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
        // Without waiting for the other end of a pipe.
        let patient = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let file = if self.0 == Path::new("/") {
            // As it was given: one that is relative begins where netviz was started.
            File::options()
                .read(true)
                .custom_flags(patient.bits())
                .open(path)?
        } else {
            rooted_fs::Root::open_one(&self.0)?
                .at(path, patient)?
                .into()
        };
        rooted_fs::contents(file, LARGEST)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_relative_path_begins_where_netviz_was_started() -> io::Result<()> {
        // Tests run in their package's directory.
        let read = Root::own().read(Path::new("Cargo.toml"))?;
        assert_eq!(read, fs::read("Cargo.toml")?);
        Ok(())
    }

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

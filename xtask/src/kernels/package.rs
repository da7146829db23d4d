//! A kernel from Debian's packages: downloaded once, unpacked, with an index of its modules.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result};

use super::{Release, archive::Archive, directory};
use crate::process::{self, log, seconds};

const MIB: f64 = 1024.0 * 1024.0;

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) release: Release,
    /// Its version, such as 6.1.0-56-cloud-amd64.
    pub(super) version: String,
    /// The unpacked packages.
    pub(super) root: PathBuf,
    /// The boot image.
    pub(super) image: PathBuf,
    /// Directory of its initramfs and console log.
    pub(super) directory: PathBuf,
}

/// Returns whether the kernel of a release is cached.
pub(super) fn is_cached(release: Release) -> bool {
    root(&directory().join(release.name())).is_dir()
}

/// Returns the directory of the unpacked packages, which exists only if complete.
fn root(directory: &Path) -> PathBuf {
    directory.join("root")
}

/// Returns the kernel of a release, from the cache or downloaded.
pub(super) fn kernel(release: Release) -> Result<Kernel> {
    let start = Instant::now();
    let directory = directory().join(release.name());
    let root = root(&directory);
    let cached = is_cached(release);
    if !cached {
        fetch(release, &directory, &root)?;
    }
    let kernel = open(release, directory, root)?;
    let debs = bytes(&kernel.directory.join("debs"))?;
    let source = if cached {
        "from target/kernels"
    } else {
        "downloaded"
    };
    log(format_args!(
        "Linux {release}: {}, {:.1} MiB of packages, {source}, in {}",
        kernel.version,
        debs as f64 / MIB,
        seconds(start.elapsed())
    ));
    Ok(kernel)
}

fn fetch(release: Release, directory: &Path, root: &Path) -> Result<()> {
    let debs = directory.join("debs");
    let unpacked = directory.join("unpacked");
    for path in [&debs, &unpacked] {
        // Left by an interrupted run.
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::create_dir_all(path)?;
    }
    let (suite, package) = release.package();
    let archive = Archive::open(suite, &directory.join("apt"))?;
    archive.download(&archive.parts(package)?, &debs)?;
    for entry in fs::read_dir(&debs)? {
        let mut unpack = Command::new("dpkg");
        process::read(unpack.arg("-x").arg(entry?.path()).arg(&unpacked))?;
    }
    // Newer packages install below /usr.
    if !unpacked.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", unpacked.join("lib"))?;
    }
    let version = version(&unpacked)?;
    process::read(
        Command::new("depmod")
            .arg("-b")
            .arg(&unpacked)
            .arg(&version),
    )?;
    fs::rename(&unpacked, root).context("cannot move the unpacked kernel into place")
}

fn open(release: Release, directory: PathBuf, root: PathBuf) -> Result<Kernel> {
    let version = version(&root)?;
    let images = [
        root.join("boot").join(format!("vmlinuz-{version}")),
        root.join("lib/modules").join(&version).join("vmlinuz"),
    ];
    let image = images.into_iter().find(|path| path.is_file());
    let image = image.with_context(|| format!("the packages of {version} have no vmlinuz"))?;
    Ok(Kernel {
        release,
        version,
        root,
        image,
        directory,
    })
}

fn version(root: &Path) -> Result<String> {
    let modules = root.join("lib/modules");
    let mut entries =
        fs::read_dir(&modules).with_context(|| format!("cannot read {}", modules.display()))?;
    let entry = entries.next().context("the packages have no modules")??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

fn bytes(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}

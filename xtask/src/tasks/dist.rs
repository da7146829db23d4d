//! `cargo xtask dist`: the static, stripped binary that is copied to a node, and the archive for a release.

use std::{
    env, fs, io,
    os::unix::{fs::chroot, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{build, elf};
use crate::{
    machine,
    process::{self, log, step},
    setup,
};

const MIB: u64 = 1024 * 1024;
/// 12.9 MiB are used: 0.4 of them are the types of kubeconfigs, which kube reads through a YAML library.
const SIZE_LIMIT: u64 = 14 * MIB;

/// Whether to show cargo's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Shown, for a user who asked for the binary.
    Shown,
    /// Hidden, to not interleave with the output of tests.
    Hidden,
}

/// Shells with a completion script, and where packages put it.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "netviz.bash"),
    ("zsh", "_netviz"),
    ("fish", "netviz.fish"),
    ("elvish", "netviz.elv"),
    ("powershell", "netviz.ps1"),
];

/// Builds `target/dist/netviz`, checks it, and packs it.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    let netviz = build(Progress::Shown)?;
    check(&netviz)?;
    pack(&netviz)
}

/// Packs the binary with its man pages, completion scripts and licences into
/// `netviz-VERSION-TARGET.tar.gz`: the same bytes for the same binary.
fn pack(netviz: &Path) -> Result<()> {
    let dist = netviz.parent().context("the binary has no directory")?;
    let version = process::read(Command::new(netviz).arg("--version"))?;
    let version = version.trim().replace(' ', "-");
    let name = format!("{version}-{}", machine::host_triple()?);
    let root = dist.join(&name);
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    for directory in ["man", "completions"] {
        let directory = root.join(directory);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::copy(netviz, root.join("netviz")).context("cannot copy netviz")?;
    process::read(Command::new(netviz).arg("man").arg(root.join("man")))?;
    for (shell, file) in COMPLETIONS {
        let script = process::read(Command::new(netviz).args(["completions", shell]))?;
        let file = root.join("completions").join(file);
        fs::write(&file, script).with_context(|| format!("cannot write {}", file.display()))?;
    }
    for file in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-GPL-2.0",
        "LICENSE-MIT",
    ] {
        fs::copy(process::root().join(file), root.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    let archive = dist.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
    ])
    .args(["--use-compress-program", "gzip -9n", "-cf"])
    .arg(&archive)
    .arg("-C")
    .arg(dist)
    .arg(&name);
    process::read(&mut tar)?;
    log(format_args!("{}", archive.display()));
    Ok(())
}

/// The same as a part of the tests, after setup.
pub(super) fn in_tests() -> Result<()> {
    check(&build(Progress::Hidden)?)
}

/// Builds `target/dist/netviz`, after setup.
pub(crate) fn build(progress: Progress) -> Result<PathBuf> {
    let netviz = step("building netviz, static", || build_static(progress))?;
    let target = netviz
        .ancestors()
        .nth(3)
        .context("cargo's target directory has no parent")?;
    let dist = target.join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    let copy = dist.join("netviz");
    fs::copy(&netviz, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

fn build_static(progress: Progress) -> Result<PathBuf> {
    let mut flags = env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    // A static PIE has 17 000 relocations of 24 bytes; packed, they take a few thousand bytes. glibc
    // 2.36 unpacks them; the check below proves it for this one.
    flags.push_str(" -C link-arg=-Wl,-z,pack-relative-relocs");
    // Folds equal functions of all crates; rustc folds only those of one. Rust does not promise distinct
    // addresses of functions, and nothing compares them.
    flags.push_str(" -C link-arg=-Wl,--icf=all");
    let mut command = build::small();
    // With an explicit target, the flags do not apply to build scripts and procedural macros.
    command.args(["--target", &machine::host_triple()?]);
    if progress == Progress::Hidden {
        command.arg("--quiet");
    }
    command
        .env("RUSTFLAGS", flags.trim())
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    build::binary(&mut command)
}

fn check(netviz: &Path) -> Result<()> {
    let name = netviz.display();
    let data = fs::read(netviz).with_context(|| format!("cannot read {name}"))?;
    let size = u64::try_from(data.len())?;
    fits(size).with_context(|| format!("{name} is too large"))?;
    let elf::Facts {
        interpreter,
        symbols,
    } = elf::read(&data).with_context(|| format!("cannot read {name}"))?;
    if interpreter {
        bail!("{name} is not static: it requests a dynamic loader (PT_INTERP)");
    }
    if symbols {
        bail!("{name} is not stripped: it has a symbol table");
    }
    log(format_args!(
        "{name}: {}, static, stripped",
        mebibytes(size)
    ));
    if !machine::is_root() {
        log("not root: start in an empty root directory not checked");
        return Ok(());
    }
    let version = step("starting it in an empty root directory", || {
        start_alone(netviz)
    })?;
    let version = version.trim();
    if !version.starts_with("netviz ") {
        bail!("{name} starts in an empty root, but `netviz --version` prints {version:?}");
    }
    log(format_args!("{name}: {version}"));
    Ok(())
}

fn fits(size: u64) -> Result<()> {
    if size > SIZE_LIMIT {
        bail!("{} of {} allowed", mebibytes(size), mebibytes(SIZE_LIMIT));
    }
    Ok(())
}

fn mebibytes(size: u64) -> String {
    let tenths = (size * 10).div_ceil(MIB);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Starts the binary in a root directory without other files.
fn start_alone(netviz: &Path) -> Result<String> {
    let dir = env::temp_dir().join(format!("netviz-dist-{}", std::process::id()));
    fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let result = fs::copy(netviz, dir.join("netviz"))
        .context("cannot copy netviz into an empty root")
        .and_then(|_| process::read(&mut in_root(&dir)));
    fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    result
}

fn in_root(dir: &Path) -> Command {
    let dir = dir.to_owned();
    let mut command = Command::new("/netviz");
    command.arg("--version").env_clear();
    let enter = move || -> io::Result<()> {
        chroot(&dir)?;
        env::set_current_dir("/")
    };
    // SAFETY: between fork and exec, `enter` makes two system calls; the paths are short enough
    // for the standard library to terminate them on the stack, without allocating.
    unsafe { command.pre_exec(enter) };
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_limited() {
        assert!(fits(SIZE_LIMIT).is_ok());
        let error = fits(SIZE_LIMIT + 1).unwrap_err().to_string();
        assert_eq!(error, "14.1 MiB of 14.0 MiB allowed");
    }
}

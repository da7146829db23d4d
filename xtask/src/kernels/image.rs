//! The guests' initramfs: the test programs, netviz, the C library that they are linked with,
//! busybox, and the modules of each kernel.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{
    directory, modules,
    package::Kernel,
    scenario::{self, LIMIT, NETVIZ, Scenario},
};
use crate::{
    machine,
    process::{self, root},
    programs::Programs,
};

const INIT: &str = include_str!("init.sh");

/// The part of the initramfs that all guests share, as an archive.
pub(super) struct Base(PathBuf);

/// Builds the shared part; `netviz` is the one of the demo.
pub(super) fn base(programs: &Programs, netviz: &Path, scenarios: &[Scenario]) -> Result<Base> {
    let stage = fresh(&directory().join("base"))?;
    for name in ["proc", "sys", "dev", "run", "tmp", "bin", "etc"] {
        fs::create_dir_all(stage.join(name))?;
    }
    let busybox = machine::find("busybox").context("no busybox")?;
    fs::copy(busybox, stage.join("bin/busybox"))?;
    let init = stage.join("init");
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    // Only what runs: all test programs together fill half of a guest's memory.
    let tests = scenarios.iter().filter_map(Scenario::program);
    let programs: BTreeSet<_> = tests.chain(programs.netviz.as_deref()).collect();
    for program in &programs {
        copy_program(program, &scenario::in_guest(program), &stage)?;
    }
    if programs.contains(netviz) {
        symlink(scenario::in_guest(netviz), stage.join(&NETVIZ[1..]))?;
    } else {
        copy_program(netviz, Path::new(NETVIZ), &stage)?;
    }
    // init.sh passes this directory to the tests.
    fs::create_dir_all(stage.join("tests"))?;
    process::read(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("tests/fixtures"))
            .arg(stage.join("tests")),
    )?;
    fs::write(stage.join("scenarios"), list(scenarios))?;
    let archive = directory().join("base.cpio");
    pack(&stage, &archive)?;
    Ok(Base(archive))
}

/// Builds the initramfs of one kernel; the kernel unpacks concatenated archives in order.
pub(super) fn build(kernel: &Kernel, base: &Base) -> Result<PathBuf> {
    let stage = fresh(&kernel.directory.join("stage"))?;
    let names = modules::copy(kernel, &stage.join("modules"))?;
    fs::write(stage.join("modules/order"), names.join("\n") + "\n")?;
    let own = kernel.directory.join("modules.cpio");
    pack(&stage, &own)?;
    let initrd = kernel.directory.join("initrd");
    let mut file = fs::File::create(&initrd)?;
    for archive in [&base.0, &own] {
        std::io::copy(&mut fs::File::open(archive)?, &mut file)?;
    }
    Ok(initrd)
}

/// Returns the list that init.sh reads: name, limit in seconds and command in each line.
fn list(scenarios: &[Scenario]) -> String {
    let line = |it: &Scenario| format!("{} {} {}\n", it.name, LIMIT.as_secs(), it.command());
    scenarios.iter().map(line).collect()
}

/// Copies a program to its path in the guest, without debug sections, and its libraries.
fn copy_program(program: &Path, in_guest: &Path, stage: &Path) -> Result<()> {
    let copy = inside(stage, in_guest)?;
    process::read(
        Command::new("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(&copy)
            .arg(program),
    )?;
    let text = process::read(Command::new("ldd").arg(program))?;
    for library in text.lines().filter_map(library) {
        let copy = inside(stage, library)?;
        if !copy.exists() {
            fs::copy(library, copy)
                .with_context(|| format!("cannot copy {}", library.display()))?;
        }
    }
    Ok(())
}

/// Returns the file in a line of `ldd`.
fn library(line: &str) -> Option<&Path> {
    let mut words = line.split_whitespace();
    words.find(|word| word.starts_with('/')).map(Path::new)
}

/// Returns where a path of the guest is in the stage, and creates its directory.
fn inside(stage: &Path, path: &Path) -> Result<PathBuf> {
    let copy = stage.join(path.strip_prefix("/").context("not an absolute path")?);
    fs::create_dir_all(copy.parent().unwrap_or(stage))?;
    Ok(copy)
}

fn fresh(directory: &Path) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    Ok(directory.to_owned())
}

/// Packs without compression: QEMU reads faster than an emulated processor unpacks.
fn pack(stage: &Path, archive: &Path) -> Result<()> {
    let mut find = Command::new("find");
    let mut find = find
        .arg(".")
        .current_dir(stage)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start `find`")?;
    let names = find.stdout.take().context("find has no stdout")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--quiet", "-o", "-H", "newc", "-R", "0:0"])
        .current_dir(stage);
    let status = cpio
        .stdin(names)
        .stdout(fs::File::create(archive)?)
        .status()
        .context("cannot start `cpio`")?;
    if !find.wait()?.success() || !status.success() {
        bail!("cannot pack {}", stage.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found() {
        assert_eq!(
            library("\tlibc.so.6 => /lib/libc.so.6 (0x7f)"),
            Some(Path::new("/lib/libc.so.6"))
        );
        assert_eq!(
            library("\t/lib64/ld.so (0x7f)"),
            Some(Path::new("/lib64/ld.so"))
        );
        assert_eq!(library("\tlinux-vdso.so.1 (0x7f)"), None);
        assert_eq!(library("\tstatically linked"), None);
    }
}

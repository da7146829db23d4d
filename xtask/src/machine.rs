//! Programs, toolchains and rights of this machine.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::{self, rustup_run};

/// Name under which Debian's compiler is linked into rustup; `ebpf-build` looks for it.
pub(crate) const LINKED: &str = "netviz-bpf";
/// The toolchain of rustup that builds `core` from source.
pub(crate) const NIGHTLY: &str = "nightly";
/// The target that Debian ships `core` for.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";
/// Sysroot of Debian's compiler, for `rustup toolchain link`.
pub(crate) const SYSTEM_ROOT: &str = "/usr";

/// Facts that decide how the eBPF half is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// rustup, through which build scripts find their compiler.
    pub(crate) rustup: bool,
    /// Version of the bpf-linker in PATH.
    pub(crate) linker: Option<String>,
    /// A toolchain linked as [`LINKED`] that has `core` for BPF.
    pub(crate) linked: bool,
    /// Debian's compiler with `core` for BPF, whether linked or not.
    pub(crate) system_core: bool,
    /// A nightly toolchain of rustup.
    pub(crate) nightly: bool,
    /// The nightly toolchain has the source of `core`.
    pub(crate) nightly_source: bool,
    /// apt-get, to install Debian's packages.
    pub(crate) apt: bool,
}

impl Facts {
    /// Inspects this machine. Changes nothing and needs no network.
    pub(crate) fn gather() -> Self {
        let rustup = find("rustup").is_some();
        let linked = rustup.then(|| sysroot(LINKED)).flatten();
        let nightly = rustup.then(|| sysroot(NIGHTLY)).flatten();
        Self {
            rustup,
            linker: linker_version(),
            linked: linked.is_some_and(|root| has_bpf_core(&root)),
            system_core: has_bpf_core(Path::new(SYSTEM_ROOT)),
            nightly_source: nightly.as_deref().is_some_and(has_source),
            nightly: nightly.is_some(),
            apt: find("apt-get").is_some(),
        }
    }
}

/// Returns the versions of a toolchain's compiler and its LLVM, such as "rustc 1.96.0, LLVM 22.1.8".
pub(crate) fn compiler(toolchain: &str) -> Option<String> {
    let text = process::read(rustup_run(toolchain, "rustc").arg("-vV")).ok()?;
    let release = field(&text, "release: ")?;
    let llvm = field(&text, "LLVM version: ")?;
    Some(format!("rustc {release}, LLVM {llvm}"))
}

/// Returns the target triple of this machine.
pub(crate) fn host_triple() -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = process::read(Command::new(rustc).arg("-vV"))?;
    let host = field(&text, "host: ");
    host.map(str::to_owned)
        .ok_or_else(|| anyhow::anyhow!("`rustc -vV` names no host"))
}

/// Returns whether this process is root: /proc/self belongs to the effective user.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Lowers this thread, and all processes that it starts, to `SCHED_IDLE` (sched(7)): they run only when
/// the processor is idle.
pub(crate) fn give_way() -> io::Result<()> {
    const THIS_THREAD: libc::pid_t = 0;
    let lowest = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure outlives the call, which only reads it.
    let done =
        unsafe { libc::sched_setscheduler(THIS_THREAD, libc::SCHED_IDLE, &raw const lowest) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Finds a program in PATH, or in the directories of root's programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut files = env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(program));
    files.find(|file| file.is_file())
}

/// Returns the directory of `cargo install`, which rustup adds to the PATH of its children.
pub(crate) fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    Some(home.join("bin"))
}

fn linker_version() -> Option<String> {
    let version = process::read(Command::new("bpf-linker").arg("--version")).ok()?;
    Some(version.trim().to_owned())
}

fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let path = process::read(rustup_run(toolchain, "rustc").args(["--print", "sysroot"])).ok()?;
    Some(PathBuf::from(path.trim()))
}

fn has_bpf_core(root: &Path) -> bool {
    root.join("lib/rustlib").join(BPF_TARGET).is_dir()
}

fn has_source(root: &Path) -> bool {
    root.join("lib/rustlib/src/rust/library/core").is_dir()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn fields_of_the_compilers_version() {
        let text = "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n";
        assert_eq!(field(text, "host: "), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(field(text, "LLVM version: "), Some("22.1.8"));
        assert_eq!(field(text, "release: "), None);
    }

    #[test]
    fn children_of_an_idle_thread_are_idle() {
        let policy = thread::spawn(|| {
            give_way()?;
            Command::new("cat").arg("/proc/self/stat").output()
        });
        let stat = policy.join().unwrap().unwrap().stdout;
        // Field 41 of proc_pid_stat(5); no field contains a space.
        let stat = String::from_utf8(stat).unwrap();
        let policy = stat.split_whitespace().nth(40);
        assert_eq!(
            policy,
            Some(libc::SCHED_IDLE.to_string().as_str()),
            "{stat}"
        );
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}

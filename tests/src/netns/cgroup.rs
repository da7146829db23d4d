//! Cgroups in which something is scarce.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::cli::wait::{second, wait_until};

const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup of a test's own, removed with this value.
#[derive(Debug)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// One that may have so many bytes of memory; `None` where cgroups do not limit that.
    #[must_use]
    pub fn of_memory(bytes: u64) -> Option<Self> {
        Self::new("memory", &["memory.limit_in_bytes", "memory.max"], bytes)
    }

    /// One that may have so many processes, threads among them; `None` where cgroups do not limit that.
    #[must_use]
    pub fn of_processes(number: u64) -> Option<Self> {
        Self::new("pids", &["pids.max"], number)
    }

    /// `limits` is how the two versions of cgroups call it.
    fn new(controller: &str, limits: &[&str], most: u64) -> Option<Self> {
        let name = format!("netviz-test-{controller}-{}", std::process::id());
        // The first version has a hierarchy for each controller, the second has one for everything.
        let first = Path::new(ROOT).join(controller);
        let group = if first.exists() {
            first.join(name)
        } else {
            let control = Path::new(ROOT).join("cgroup.subtree_control");
            fs::write(control, format!("+{controller}")).ok()?;
            Path::new(ROOT).join(name)
        };
        fs::create_dir(&group).ok()?;
        let group = Self(group);
        let limits = limits.iter().map(|it| group.0.join(it));
        let limit = limits.into_iter().find(|path| path.exists())?;
        fs::write(limit, most.to_string()).ok()?;
        Some(group)
    }

    /// Where ids of processes are written that are to be in it; 0 is whoever writes.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Takes a process in.
    pub fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.processes(), pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only when the last process is gone.
        wait_until(second() * 10, || fs::remove_dir(&self.0).is_ok());
    }
}

//! Cgroups with limits.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::cli::wait::{notify_limit, wait_until};

const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup of one test, removed on drop.
#[derive(Debug)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a cgroup with a memory limit; `None` if cgroups cannot limit memory.
    #[must_use]
    pub fn of_memory(bytes: u64) -> Option<Self> {
        Self::new("memory", &["memory.limit_in_bytes", "memory.max"], bytes)
    }

    /// Creates a cgroup with a limit of processes, including threads; `None` if cgroups cannot
    /// limit them.
    #[must_use]
    pub fn of_processes(number: u64) -> Option<Self> {
        Self::new("pids", &["pids.max"], number)
    }

    /// `limits` are the file names in the two versions of cgroups.
    fn new(controller: &str, limits: &[&str], most: u64) -> Option<Self> {
        let name = format!("netviz-test-{controller}-{}", std::process::id());
        // Version 1 has a hierarchy for each controller, version 2 has one for all.
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

    /// Returns the file to which IDs of processes are written to move them; 0 is the writer.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Moves a process into the cgroup.
    pub fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.processes(), pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only possible when the last process is gone.
        wait_until(notify_limit() * 10, || fs::remove_dir(&self.0).is_ok());
    }
}

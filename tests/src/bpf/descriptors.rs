//! The BPF objects that a process holds, by the IDs in its descriptors.

use std::{collections::BTreeSet, fs};

use crate::cli::wait::{notify_limit, settle};

/// IDs, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldObjects {
    /// Programs, including those of links.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl HeldObjects {
    /// Returns the objects that process `pid` holds now.
    #[must_use]
    pub fn by(pid: u32) -> Self {
        let mut held = Self::default();
        let directory = fs::read_dir(format!("/proc/{pid}/fdinfo"));
        for entry in directory.into_iter().flatten().flatten() {
            // It may have been closed in the meantime.
            for line in fs::read_to_string(entry.path()).unwrap_or_default().lines() {
                held.take(line);
            }
        }
        held
    }

    /// Returns the objects that a child of this process holds now, without those of this process:
    /// between fork and execve, the child has a copy of these.
    #[must_use]
    pub fn by_child(pid: u32) -> Self {
        let own = || Self::by(std::process::id());
        let before = own();
        let mut held = Self::by(pid);
        held.remove(&before);
        held.remove(&own());
        held
    }

    /// Adds the objects of another moment.
    pub fn add(&mut self, other: Self) {
        self.programs.extend(other.programs);
        self.maps.extend(other.maps);
        self.links.extend(other.links);
    }

    /// Removes the objects that another process also holds.
    pub fn remove(&mut self, other: &Self) {
        self.programs.retain(|id| !other.programs.contains(id));
        self.maps.retain(|id| !other.maps.contains(id));
        self.links.retain(|id| !other.links.contains(id));
    }

    /// Returns the objects that still exist in the kernel.
    #[must_use]
    pub fn alive(&self) -> Self {
        let programs = aya::programs::loaded_programs().filter_map(Result::ok);
        let maps = aya::maps::loaded_maps().filter_map(Result::ok);
        let links = aya::programs::loaded_links().filter_map(Result::ok);
        let among = |ids: &BTreeSet<u32>, id: u32| ids.contains(&id).then_some(id);
        Self {
            programs: programs
                .filter_map(|it| among(&self.programs, it.id()))
                .collect(),
            maps: maps.filter_map(|it| among(&self.maps, it.id())).collect(),
            links: links.filter_map(|it| among(&self.links, it.id())).collect(),
        }
    }

    /// Checks that no object remains one second after its holder has ended.
    ///
    /// # Panics
    /// If an object remains.
    pub fn assert_gone(&self, ended_by: &str) {
        let left = settle(notify_limit(), &Self::default(), || self.left());
        assert_eq!(left, Self::default(), "left behind by {ended_by}");
    }

    /// Returns the objects that still exist and that no process holds: another netviz may open a
    /// map for a moment.
    fn left(&self) -> Self {
        let mut left = self.alive();
        if left != Self::default() {
            let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = processes.filter_map(|it| it.file_name().to_str()?.parse().ok());
            pids.for_each(|pid| left.remove(&Self::by(pid)));
        }
        left
    }

    fn take(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(':') else {
            return;
        };
        let ids = match key {
            "prog_id" => &mut self.programs,
            "map_id" => &mut self.maps,
            "link_id" => &mut self.links,
            _ => return,
        };
        ids.extend(value.trim().parse::<u32>());
    }
}

//! What a process holds of the kernel's BPF objects, by the ids that its descriptors say.

use std::{collections::BTreeSet, fs};

use crate::cli::wait::{second, settle};

/// Ids, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldObjects {
    /// Programs, those behind links included.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl HeldObjects {
    /// By process `pid`, at this moment.
    #[must_use]
    pub fn by(pid: u32) -> Self {
        let mut held = Self::default();
        let directory = fs::read_dir(format!("/proc/{pid}/fdinfo"));
        for entry in directory.into_iter().flatten().flatten() {
            // It may be closed meanwhile.
            for line in fs::read_to_string(entry.path()).unwrap_or_default().lines() {
                held.take(line);
            }
        }
        held
    }

    /// By a child of this process, at this moment: between fork and execve it has what this process has
    /// as well, and that is not counted.
    #[must_use]
    pub fn by_child(pid: u32) -> Self {
        let own = || Self::by(std::process::id());
        let before = own();
        let mut held = Self::by(pid);
        held.remove(&before);
        held.remove(&own());
        held
    }

    /// Adds what was seen at another moment.
    pub fn add(&mut self, other: Self) {
        self.programs.extend(other.programs);
        self.maps.extend(other.maps);
        self.links.extend(other.links);
    }

    /// Takes off what somebody else has as well.
    pub fn remove(&mut self, other: &Self) {
        self.programs.retain(|id| !other.programs.contains(id));
        self.maps.retain(|id| !other.maps.contains(id));
        self.links.retain(|id| !other.links.contains(id));
    }

    /// Those of them that the kernel still has.
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

    /// Nothing of it is left a second after whoever held it has ended.
    ///
    /// # Panics
    /// When something is.
    pub fn assert_gone(&self, ended_by: &str) {
        let left = settle(second(), &Self::default(), || self.left());
        assert_eq!(left, Self::default(), "left behind after {ended_by}");
    }

    /// Those of them that the kernel still has, and that no process holds: whoever looks for another netviz has
    /// its map open for a moment.
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

//! What keeps a program attached: processes that hold it or its link, and pins.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::pins::{self, Object};
use crate::{
    attach::clsact,
    audit::model::{Attached, Chains, Owner, Process, Way},
    model::Untrusted,
    sys::processes::processes,
};

/// Holders and pins of all programs and links of this machine, as far as they can be seen from here.
#[derive(Clone, Debug, Default)]
pub struct Keepers {
    programs: Kept,
    links: Kept,
    /// Numbers of all netviz that live, in whichever pid namespace; `None` where the kernel does not
    /// list, and then nothing counts as left over.
    netviz: Option<HashSet<u16>>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    processes: BTreeMap<u32, BTreeSet<Process>>,
    pins: BTreeMap<u32, BTreeSet<String>>,
}

impl Keepers {
    /// Reads `/proc` and the bpf file systems below `roots`, which are those of nodes.
    #[must_use]
    pub fn read(roots: &[PathBuf]) -> Self {
        let mut keepers = Self {
            netviz: clsact::all_living().ok(),
            ..Self::default()
        };
        for pid in processes().unwrap_or_default() {
            // This process holds them only to inspect them.
            if pid.cast_unsigned() != std::process::id() {
                keepers.process(pid.cast_unsigned());
            }
        }
        for root in roots {
            for (object, path) in pins::below(root) {
                keepers.pin(object, path);
            }
        }
        keepers
    }

    fn process(&mut self, pid: u32) {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let Ok(command) = fs::read_to_string(directory.join("comm")) else {
            return;
        };
        let command = Untrusted::from(command.trim_end_matches('\n'));
        // They may be closed, and the process may end, at any moment.
        let descriptors = fs::read_dir(directory.join("fd")).into_iter().flatten();
        for descriptor in descriptors.flatten() {
            if !is_program_or_link(&descriptor.path()) {
                continue;
            }
            let info = directory.join("fdinfo").join(descriptor.file_name());
            let object = Object::of(&fs::read_to_string(info).unwrap_or_default());
            let process = Process {
                pid,
                command: command.clone(),
            };
            for (kept, id) in [
                (&mut self.programs, object.program),
                (&mut self.links, object.link),
            ] {
                if let Some(id) = id {
                    kept.processes
                        .entry(id)
                        .or_default()
                        .insert(process.clone());
                }
            }
        }
    }

    fn pin(&mut self, object: Object, path: String) {
        // A pinned link names its program as well; the pin is the link's.
        let (kept, id) = match object.link {
            Some(link) if !object.is_xdp_link => (&mut self.links, Some(link)),
            _ => (&mut self.programs, object.program),
        };
        if let Some(id) = id {
            kept.pins.entry(id).or_default().insert(path);
        }
    }

    /// Adds to each program what keeps it, and marks filters without an owner.
    pub fn complete(&self, chains: &mut Chains) {
        for hook in chains.hooks_mut() {
            for attached in &mut hook.programs {
                self.complete_one(attached);
            }
        }
    }

    fn complete_one(&self, attached: &mut Attached) {
        let found = [
            (&self.links, attached.link_id),
            (&self.programs, attached.program_id),
        ];
        let (mut processes, mut pins) = (BTreeSet::new(), BTreeSet::new());
        for (kept, id) in found {
            let Some(id) = id else { continue };
            processes.extend(kept.processes.get(&id).into_iter().flatten().cloned());
            pins.extend(kept.pins.get(&id).into_iter().flatten().cloned());
        }
        attached.held_by = processes.into_iter().collect();
        attached.pinned_at = pins.into_iter().map(Into::into).collect();
        if attached.owner == Owner::Other && is_cilium(attached) {
            attached.owner = Owner::Cilium;
        }
        let maker = attached.filter.as_ref().and_then(|filter| filter.maker);
        attached.left_over = attached.way == Way::Clsact
            && attached.held_by.is_empty()
            && maker
                .zip(self.netviz.as_ref())
                .is_some_and(|(maker, living)| !living.contains(&maker));
    }
}

/// Whether Cilium's agent holds a program, or it is pinned among Cilium's: Cilium attaches programs of
/// other names, too, such as the dispatcher of its datapath plugins.
fn is_cilium(attached: &Attached) -> bool {
    let is_pin = |pin: &Untrusted| Path::new(pin.raw()).iter().any(|part| part == "cilium");
    let is_agent = |process: &Process| process.command == *"cilium-agent";
    attached.pinned_at.iter().any(is_pin) || attached.held_by.iter().any(is_agent)
}

/// Maps are skipped: there may be thousands.
fn is_program_or_link(descriptor: &Path) -> bool {
    let target = fs::read_link(descriptor).unwrap_or_default();
    let target = target.to_string_lossy();
    [
        "anon_inode:bpf-prog",
        "anon_inode:bpf_link",
        "anon_inode:bpf-link",
    ]
    .iter()
    .any(|kind| target.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_names_program_and_link() {
        let link = "pos:\t0\nflags:\t02000000\nlink_type:\ttcx\nlink_id:\t52\nprog_tag:\tab\nprog_id:\t812\nifindex:\t3\n";
        let object = Object {
            program: Some(812),
            link: Some(52),
            is_xdp_link: false,
        };
        assert_eq!(Object::of(link), object);
        assert_eq!(Object::of("prog_id:\tx\nmap_id:\t4"), Object::default());
    }
}

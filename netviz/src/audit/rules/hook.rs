//! Findings that concern a single hook.

use super::table::{
    CHANGED_WHILE_LOOKING, CILIUM_IN_BOTH, DEAD_FILTER, DEAD_PROGRAM, DUPLICATE_PROGRAM,
    FOREIGN_BEFORE_CILIUM, NETVIZ_LEFT_OVER, NOT_SEEN,
};
use crate::{
    audit::{
        findings::{Finding, Severity},
        model::{Attached, AuditedDoor, Hook, Owner, Way},
    },
    model::{Direction, list},
};

pub(super) fn judge(door: &AuditedDoor) -> Vec<Finding> {
    let Some(chains) = &door.chains else {
        return vec![not_seen(door)];
    };
    let hooks = Direction::BOTH.map(|direction| At {
        door,
        direction,
        hook: chains.hook(direction),
    });
    hooks.iter().flat_map(At::judge).collect()
}

fn not_seen(door: &AuditedDoor) -> Finding {
    let why = door.problem.as_ref().map(ToString::to_string);
    let why = why.as_deref().unwrap_or("not inspected");
    NOT_SEEN.at(
        door,
        None,
        format!("the programs here could not be read: {why}"),
        "run netviz as root on the node or on its host",
    )
}

/// One hook.
struct At<'a> {
    door: &'a AuditedDoor,
    direction: Direction,
    hook: &'a Hook,
}

impl At<'_> {
    fn judge(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(place) = self.cilium() {
            findings.extend(self.before(place));
            findings.extend(self.behind(place));
        }
        findings.extend(self.twice());
        findings.extend(self.left_over());
        findings.extend(self.hook.changed.then(|| self.changed()));
        findings
    }

    fn cilium(&self) -> Option<usize> {
        // What passes Cilium's XDP program goes on to the chain behind it.
        let in_chain = |it: &Attached| it.owner == Owner::Cilium && it.way != Way::Xdp;
        self.hook.programs.iter().position(in_chain)
    }

    /// Programs that could keep packets from Cilium; netviz never does.
    fn before(&self, place: usize) -> Vec<Finding> {
        let cilium = &self.hook.programs[place];
        let ahead = &self.hook.programs[..place];
        let foreign = ahead.iter().filter(|it| it.owner == Owner::Other);
        let finding = |it: &Attached| {
            let message = format!(
                "{} ({}) runs before Cilium's {}: packets that it consumes bypass Cilium's policy and routing. Whether it consumes any is unknown.",
                it.name, it.way, cilium.name,
            );
            let keep_on = match it.way {
                Way::Clsact => "TC_ACT_UNSPEC or TC_ACT_PIPE",
                Way::Tcx | Way::Netkit => "TCX_NEXT",
                Way::Xdp => "XDP_PASS",
            };
            let remedy = match it.program_id {
                Some(id) => format!(
                    "inspect it: bpftool prog dump xlated id {id}; it must return {keep_on} on every path{}",
                    holders(it)
                ),
                None => format!(
                    "inspect it: tc -s filter show dev {} {}",
                    self.door.label(),
                    self.direction
                ),
            };
            self.finding(FOREIGN_BEFORE_CILIUM, message, remedy)
                .about([it])
        };
        foreign.map(finding).collect()
    }

    /// Programs that never run: on every Cilium measured, each of its programs ends the chain on every
    /// path.
    fn behind(&self, place: usize) -> Vec<Finding> {
        let cilium = &self.hook.programs[place];
        let behind = self.hook.programs[place + 1..].iter();
        let findings = behind.filter_map(|it| match it.owner {
            _ if it.left_over => None,
            // A netkit device's own programs are not part of the chain: neither ends the other.
            _ if (it.way == Way::Netkit) != (cilium.way == Way::Netkit) => None,
            // Twice through the same hook type is another finding.
            Owner::Cilium => (it.way != cilium.way).then(|| self.in_both(cilium, it)),
            Owner::Netviz | Owner::Other => Some(self.dead(cilium, it)),
        });
        findings.collect()
    }

    fn dead(&self, cilium: &Attached, dead: &Attached) -> Finding {
        let rule = if dead.way == cilium.way {
            DEAD_PROGRAM
        } else {
            DEAD_FILTER
        };
        let message = format!(
            "{} ({}) is attached behind Cilium's {} ({}), which ends the chain: it silently never runs.",
            dead.name, dead.way, cilium.name, cilium.way,
        );
        let remedy = match (dead.owner, cilium.way) {
            (Owner::Netviz, _) => "a running netviz moves to the front within 4 seconds; if it stays behind, restart that netviz".to_owned(),
            (_, Way::Clsact) => format!(
                "its owner should attach it in front: at Cilium's priority, after Cilium, with a handle other than 1{}",
                holders(dead)
            ),
            (_, Way::Tcx | Way::Netkit | Way::Xdp) => format!(
                "its owner should attach it at the head of the tcx chain (BPF_F_BEFORE) and return TCX_NEXT on every path{}",
                holders(dead)
            ),
        };
        self.finding(rule, message, remedy).about([dead])
    }

    fn in_both(&self, cilium: &Attached, dead: &Attached) -> Finding {
        let message = format!(
            "Cilium is attached twice: {} ({}) runs, {} ({}) behind it does not. One is left over from a migration between the two.",
            cilium.name, cilium.way, dead.name, dead.way,
        );
        let remedy = "check which one the agent uses (cilium-dbg status --verbose, Attach Mode); restarting the agent on this node removes the other";
        self.finding(CILIUM_IN_BOTH, message, remedy)
            .about([cilium, dead])
    }

    /// Reports each duplicate once, at the later program.
    fn twice(&self) -> Vec<Finding> {
        let programs = &self.hook.programs;
        let again = programs.iter().enumerate().filter_map(|(place, it)| {
            let first = programs[..place].iter().find(|first| same(first, it))?;
            Some(self.duplicate(first, it))
        });
        again.collect()
    }

    fn duplicate(&self, first: &Attached, again: &Attached) -> Finding {
        let message = format!(
            "{} is attached twice ({} and {}): it runs twice, so it also counts twice.",
            first.name, first.way, again.way,
        );
        if first.owner == Owner::Netviz {
            let remedy = "none needed if two netviz are intended: each counts for itself";
            let message = format!("two netviz are attached to this hook{}.", holders(first));
            return self
                .finding(DUPLICATE_PROGRAM, message, remedy)
                .about([first, again])
                .with(Severity::Info);
        }
        let remedy = format!(
            "its owner should attach it once{}; a tool that is started twice leaves this behind",
            holders(again)
        );
        self.finding(DUPLICATE_PROGRAM, message, remedy)
            .about([first, again])
    }

    fn left_over(&self) -> Vec<Finding> {
        let left = self.hook.programs.iter().filter(|it| it.left_over);
        let finding = |it: &Attached| {
            let handle = it.filter.as_ref().map_or(0, |filter| filter.handle);
            let message = format!(
                "{} (clsact, handle {handle:#x}) belongs to a netviz that no longer runs, as far as is visible from here. It passes every packet on.",
                it.name,
            );
            let remedy = format!(
                "without tcx, the next start of netviz removes it; by hand: tc filter del dev {} {} protocol all prio 1 handle {handle:#x} bpf",
                self.door.label(),
                self.direction,
            );
            self.finding(NETVIZ_LEFT_OVER, message, remedy).about([it])
        };
        left.map(finding).collect()
    }

    fn changed(&self) -> Finding {
        self.finding(
            CHANGED_WHILE_LOOKING,
            "the programs here changed during the audit; the findings describe the later state.".into(),
            "run the audit again; Cilium replaces its programs when it creates or regenerates an endpoint",
        )
    }

    fn finding(&self, rule: super::Rule, message: String, remedy: impl Into<String>) -> Finding {
        rule.at(self.door, Some(self.direction), message, remedy)
    }
}

/// Cilium compiles a program for each endpoint: its name is the same, its instructions are not.
fn same(first: &Attached, again: &Attached) -> bool {
    let id = first.program_id.is_some() && first.program_id == again.program_id;
    let alike = first.name == again.name && first.tag.is_some() && first.tag == again.tag;
    match (first.owner, again.owner) {
        (Owner::Cilium, Owner::Cilium) => first.way == again.way && first.name == again.name,
        (one, other) => one == other && !again.left_over && !first.left_over && (id || alike),
    }
}

/// `; held by fieldagent (pid 4711)`, where that is known.
pub(super) fn holders(attached: &Attached) -> String {
    let holders = attached.held_by.iter();
    let names = holders.map(|it| format!("{} (pid {})", it.command, it.pid));
    match attached.held_by.is_empty() {
        true => String::new(),
        false => format!("; held by {}", list(names, ", ")),
    }
}

//! For people: findings door by door, and the other doors in few lines.

use std::cmp::Reverse;

use super::grouping::{self, brief};
pub use crate::views::text::Style;
use crate::{
    audit::{Attached, Audit, AuditedDoor, Finding, Owner, Severity},
    model::{Direction, Untrusted},
    views::text::{ascii, cut_end, grid, list, safe, widest, wrap},
};

/// Draws an audit, without a line break at the end. [`Style::full`] shows every door and all that is
/// known of each program. Without a width, sentences are not broken, so that they can be searched.
#[must_use]
pub fn draw(audit: &Audit, style: Style) -> String {
    let mut page = Page {
        audit,
        style,
        lines: Vec::new(),
    };
    for node in nodes(audit) {
        page.node(node);
    }
    page.end();
    let text = page.lines.join("\n");
    match style.ascii {
        true => ascii(&text),
        false => text,
    }
}

/// Names of the nodes, in the order of the doors.
fn nodes(audit: &Audit) -> Vec<&Untrusted> {
    let mut nodes = Vec::new();
    for door in &audit.doors {
        if !nodes.contains(&&door.node) {
            nodes.push(&door.node);
        }
    }
    nodes
}

struct Page<'a> {
    audit: &'a Audit,
    style: Style,
    lines: Vec<String>,
}

impl<'a> Page<'a> {
    fn node(&mut self, node: &Untrusted) {
        let audit = self.audit;
        let doors = audit.doors.iter().filter(|door| door.node == *node);
        let full = self.style.full;
        let (mut detailed, rest): (Vec<_>, Vec<_>) =
            doors.partition(|door| full || worst(audit, door).is_some());
        if !full {
            // Doors of equal severity keep their order.
            detailed.sort_by_key(|door| Reverse(worst(audit, door)));
        }
        self.line(&node.to_string());
        for door in detailed {
            self.door(door);
        }
        self.rest(&rest);
        self.lines.push(String::new());
    }

    fn door(&mut self, door: &AuditedDoor) {
        self.line(&format!("  {}", safe(&grouping::one(door))));
        for finding in self.about(door, None) {
            self.finding(finding);
        }
        let Some(chains) = &door.chains else {
            return;
        };
        for direction in Direction::BOTH {
            let hook = chains.hook(direction);
            let findings = self.about(door, Some(direction));
            let sign = direction.sign();
            if findings.is_empty() && !self.style.full || hook.programs.is_empty() {
                self.line(&format!("    {sign} {}", safe(&brief(hook))));
            } else {
                self.programs(sign, &hook.programs);
            }
            for finding in findings {
                self.finding(finding);
            }
        }
    }

    fn about(&self, door: &AuditedDoor, direction: Option<Direction>) -> Vec<&'a Finding> {
        let findings = self.audit.findings.iter();
        let about = |it: &&Finding| it.door == door.id && it.direction == direction;
        findings.filter(about).collect()
    }

    fn programs(&mut self, sign: &str, programs: &[Attached]) {
        let numbered = programs.iter().zip(1..);
        let names = numbered.map(|(it, number)| vec![format!("{number:>2}"), it.name.to_string()]);
        let names = grid(names, |_| false);
        let indent = 6 + widest(&names);
        let signs = [sign].into_iter().chain(std::iter::repeat(" "));
        for ((it, name), sign) in programs.iter().zip(names).zip(signs) {
            let words = self.words(it);
            self.wrapped(&format!("    {sign} {name}{words}"), indent);
        }
    }

    /// `tcx, Cilium's, pinned`
    fn words(&self, it: &Attached) -> String {
        let mut words = vec![it.way.to_string(), whose(it, self.style.full)];
        if let (Some(filter), true) = (&it.filter, self.style.full || it.owner == Owner::Other) {
            let action = if filter.direct_action {
                ""
            } else {
                ", not direct action"
            };
            words.push(format!(
                "priority {} handle {:#x}{action}",
                filter.priority, filter.handle
            ));
        }
        words.extend(it.left_over.then(|| "left over".to_owned()));
        match (self.style.full, it.pinned_at.is_empty()) {
            (true, false) => words.push(format!("pinned at {}", list(&it.pinned_at, " "))),
            (false, false) => words.push("pinned".into()),
            (_, true) => {}
        }
        if self.style.full || it.owner == Owner::Other {
            words.extend(it.program_id.map(|id| format!("id {id}")));
            words.extend(it.loaded_at.as_ref().map(|at| format!("loaded {at}")));
        }
        if self.style.full {
            words.extend(it.link_id.map(|id| format!("link {id}")));
            words.extend(it.tag.as_ref().map(|tag| format!("tag {tag}")));
            words.extend(it.uid.map(|uid| format!("uid {uid}")));
        }
        safe(&words.join(", "))
    }

    fn finding(&mut self, finding: &Finding) {
        let word = finding.severity.to_string().to_uppercase();
        let word = match (self.style.colour, finding.severity) {
            (false, _) | (_, Severity::Info) => word,
            (true, Severity::Warning) => format!("\u{1b}[33m{word}\u{1b}[0m"),
            (true, Severity::Error) => format!("\u{1b}[31m{word}\u{1b}[0m"),
        };
        self.sentence(&format!("{word} {}", finding.rule), &finding.message);
        self.sentence("  remedy", &finding.remedy);
        if !finding.explained_by.is_empty() {
            self.sentence("  see", &finding.explained_by.join(", "));
        }
    }

    fn sentence(&mut self, word: &str, text: &str) {
        self.wrapped(&format!("      {word}: {}", safe(text)), 10);
    }

    fn wrapped(&mut self, text: &str, indent: usize) {
        match self.style.width {
            Some(width) => self.lines.extend(wrap(text, width, indent)),
            None => self.lines.push(text.into()),
        }
    }

    fn rest(&mut self, doors: &[&AuditedDoor]) {
        let groups = grouping::group(doors);
        if groups.is_empty() {
            return;
        }
        self.line("  as expected");
        let rows = groups.iter().map(|group| {
            let [doors, ingress, egress] = group.each_ref().map(|it| safe(it));
            vec![doors, format!("▼ {ingress}"), format!("▲ {egress}")]
        });
        for line in grid(rows, |_| false) {
            self.line(&format!("    {line}"));
        }
    }

    fn end(&mut self) {
        let summary = self.audit.summary;
        let not_seen = match summary.not_seen {
            0 => String::new(),
            number => format!(", {number} not readable"),
        };
        let (doors, infos) = (number(summary.doors, "door"), number(summary.infos, "note"));
        let errors = number(summary.errors, "error");
        let warnings = number(summary.warnings, "warning");
        self.line(&format!(
            "{doors} inspected{not_seen}: {errors}, {warnings}, {infos}."
        ));
        for note in &self.audit.notes {
            self.line(&safe(note));
        }
    }

    fn line(&mut self, text: &str) {
        let text = text.trim_end();
        self.lines.push(match self.style.width {
            Some(width) => cut_end(text, width),
            None => text.into(),
        });
    }
}

fn worst(audit: &Audit, door: &AuditedDoor) -> Option<Severity> {
    let about = audit.findings.iter().filter(|it| it.door == door.id);
    about.map(|it| it.severity).max()
}

fn number(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// `Cilium's`, `netviz's (pid 812)`, `of fieldagent (pid 4711)`
fn whose(it: &Attached, full: bool) -> String {
    let processes = it.held_by.iter();
    let pids = list(processes.clone().map(|process| process.pid), ", ");
    let named = processes.map(|it| format!("{} (pid {})", it.command, it.pid));
    let named = list(named, ", ");
    match (it.owner, named.is_empty()) {
        (Owner::Cilium, false) if full => format!("Cilium's, held by {named}"),
        (Owner::Cilium, _) => "Cilium's".into(),
        (Owner::Netviz, true) => "netviz's, held by no process".into(),
        (Owner::Netviz, false) => format!("netviz's (pid {pids})"),
        (Owner::Other, true) => "held by no process".into(),
        (Owner::Other, false) => format!("of {named}"),
    }
}

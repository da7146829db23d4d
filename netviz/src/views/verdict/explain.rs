//! Explains a path, interface by interface.

use std::collections::HashSet;

use super::{
    path::{fine, is_skipped, numbers},
    places::{owner, preposition},
};
use crate::{
    model::Role,
    verify::{CrossingRow, Verdict, Way},
    views::{
        explain::{self, Explanation},
        text::{Style, ascii, list, safe, wrap},
    },
};

/// Columns before an explanation.
const INDENT: usize = 8;
const WIDEST: usize = 100;

/// Explains the request of a verdict, and its reply where that takes other interfaces.
#[must_use]
pub fn draw(verdict: &Verdict, style: Style) -> String {
    let width = style.width.unwrap_or(WIDEST).clamp(40, WIDEST);
    let mut explained = Explained {
        width,
        lines: Vec::new(),
        sources: Vec::new(),
        said: HashSet::new(),
    };
    explained.way(verdict, Way::Request);
    match fine(verdict) {
        Some("mirrored") => explained.paragraph(2, "The reply takes the same way back."),
        _ => explained.way(verdict, Way::Reply),
    }
    explained.absent(verdict);
    let sources = list(&explained.sources, "; ");
    explained.paragraph(0, &format!("Read more: {sources}."));
    let text = explained.lines.join("\n");
    if style.ascii { ascii(&text) } else { text }
}

/// An explanation under construction.
struct Explained {
    width: usize,
    lines: Vec<String>,
    sources: Vec<&'static str>,
    /// What was said: it is said once.
    said: HashSet<&'static str>,
}

impl Explained {
    fn paragraph(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        self.lines.extend(wrap(&line, self.width, indent));
    }

    fn explain(&mut self, before: &str, explanation: Explanation) {
        self.explain_at(INDENT, before, explanation);
    }

    fn explain_at(&mut self, indent: usize, before: &str, explanation: Explanation) {
        if !self.said.insert(explanation.text) {
            return;
        }
        self.paragraph(indent, &format!("{before}{}", explanation.text));
        if !self.sources.contains(&explanation.source) {
            self.sources.push(explanation.source);
        }
    }

    fn way(&mut self, verdict: &Verdict, way: Way) {
        let rows = verdict.rows(way);
        if rows.is_empty() {
            return;
        }
        self.paragraph(2, &format!("{way}, explained"));
        let crossed: Vec<_> = rows.iter().filter(|row| !is_skipped(row)).collect();
        for (row, number) in rows.iter().zip(numbers(rows)) {
            let number = number.map_or_else(|| "·".into(), |it| it.to_string());
            let (sign, interface) = (row.direction.sign(), &row.interface);
            let place = owner(&row.node, row.pod.as_ref(), row.side);
            let preposition = preposition(row.side);
            let title = format!("{number:>4}  {sign} {interface}  {preposition} {place}");
            self.paragraph(0, &safe(&title));
            self.explain(
                "",
                explain::interface(row.role, row.side, row.interface.raw()),
            );
            if is_skipped(row) {
                self.explain("", explain::SKIPPED);
                continue;
            }
            self.programs(row);
            let next = crossed
                .iter()
                .skip_while(|it| !std::ptr::eq(**it, row))
                .nth(1);
            if let Some(step) = next.and_then(|next| explain::step(row, next)) {
                self.explain("Next: ", step);
            }
        }
    }

    fn programs(&mut self, row: &CrossingRow) {
        for name in row.programs.iter().flatten() {
            match explain::program(name.raw()) {
                Some((name, it)) => self.explain(&format!("{name} "), it),
                None => self.paragraph(
                    INDENT,
                    &safe(&format!("{name} is a program of another tool.")),
                ),
            }
        }
    }

    /// Says what is not on a path between pods of a Cilium node, as many drawings have it there.
    fn absent(&mut self, verdict: &Verdict) {
        let rows = || verdict.request.iter().chain(&verdict.reply);
        let cilium = rows().flat_map(|row| row.programs.iter().flatten());
        let mut cilium = cilium.filter(|name| explain::program(name.raw()).is_some());
        let ends = [&verdict.from, &verdict.to];
        let between_pods = ends.iter().all(|end| end.pod.is_some());
        let crosses = rows().any(|row| row.role == Role::CiliumHost);
        if between_pods && !crosses && cilium.next().is_some() {
            self.explain_at(2, "", explain::PAST_CILIUM_HOST);
        }
    }
}

//! The table of results: a row per scenario, a column per kernel.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{
    console::{Report, Verdict},
    package::Kernel,
    scenario::Scenario,
};
use crate::process::seconds;

const CELL: usize = 10;

/// The table and its totals.
#[derive(Debug, Default)]
pub(crate) struct Table {
    text: String,
    /// Scenarios that passed, on any kernel.
    pub(crate) passed: u64,
    /// Kernel and scenario; only the kernel if it did not complete, or complained.
    pub(crate) failures: Vec<String>,
    /// Kernel, scenario and reason.
    pub(crate) skipped: Vec<String>,
}

impl Table {
    fn add(&mut self, column: &str, report: &Report) {
        for (name, verdict) in &report.verdicts {
            let place = format!("{name} on Linux {column}");
            match verdict {
                Verdict::Passed(_) => self.passed += 1,
                Verdict::Skipped(reason) => self.skipped.push(format!("{place}: {reason}")),
                Verdict::Failed(_) => self.failures.push(place),
            }
        }
        if !report.is_whole() {
            self.failures.push(format!("Linux {column}"));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Draws the rows, and below them the reasons of skips and the output of failures.
pub(super) fn draw(kernels: &[Kernel], scenarios: &[Scenario], reports: &[Report]) -> Table {
    let columns: Vec<_> = kernels.iter().map(|it| it.release.to_string()).collect();
    let versions = kernels.iter().map(|it| it.version.as_str());
    let mut text = rows(&columns, scenarios, reports);
    for ((column, version), report) in columns.iter().zip(versions).zip(reports) {
        text += &notes(column, version, report);
    }
    let mut table = Table {
        text,
        ..Table::default()
    };
    for (column, report) in columns.iter().zip(reports) {
        table.add(column, report);
    }
    table
}

fn rows(columns: &[String], scenarios: &[Scenario], reports: &[Report]) -> String {
    let width = scenarios.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}", "scenario");
    let row = |text: &mut String, cells: Vec<String>| {
        for cell in cells {
            // Writing to a string does not fail.
            let _ = write!(text, " {cell:>CELL$}");
        }
        text.push('\n');
    };
    row(&mut text, columns.to_vec());
    for Scenario { name, .. } in scenarios {
        let _ = write!(text, "{name:width$}");
        row(
            &mut text,
            reports
                .iter()
                .map(|it| cell(it.verdicts.get(name)))
                .collect(),
        );
    }
    text
}

fn cell(verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(Verdict::Passed(time)) => format!("ok {}", seconds(*time)),
        Some(Verdict::Skipped(_)) => "skipped".into(),
        Some(Verdict::Failed(_)) => "FAILED".into(),
        None => "NOT RUN".into(),
    }
}

fn notes(column: &str, version: &str, report: &Report) -> String {
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut passed, mut failed) = (0, 0);
    let mut failures = String::new();
    for (name, verdict) in &report.verdicts {
        match verdict {
            Verdict::Passed(_) => passed += 1,
            Verdict::Skipped(reason) => *skipped.entry(reason).or_default() += 1,
            Verdict::Failed(output) => {
                failed += 1;
                let _ = writeln!(failures, "\nLinux {column}, {name} failed:");
                output
                    .iter()
                    .for_each(|line| failures += &format!("  {line}\n"));
            }
        }
    }
    let mut text = format!(
        "Linux {column} ({version}): {passed} passed, {failed} failed, {} skipped; up after {}\n",
        skipped.values().sum::<usize>(),
        seconds(report.boot)
    );
    for (reason, count) in skipped {
        let _ = writeln!(text, "  {count} skipped: {reason}");
    }
    for complaint in &report.log {
        let _ = writeln!(text, "  kernel: {complaint}");
    }
    if let Some(trouble) = &report.trouble {
        let _ = writeln!(text, "  {trouble}");
    }
    text + &failures
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernels::scenario::Kind;

    #[test]
    fn each_scenario_has_a_row() {
        let scenarios: Vec<_> = ["a::f", "b::long", "c"]
            .map(|name| Scenario {
                name: name.into(),
                kind: Kind::Demo { mode: "vxlan" },
            })
            .into();
        let mut report = Report::default();
        report
            .verdicts
            .insert("a::f".into(), Verdict::Passed(Duration::from_millis(1_240)));
        report
            .verdicts
            .insert("b::long".into(), Verdict::Skipped("no tcx".into()));
        assert_eq!(
            rows(&["6.1".into()], &scenarios, &[report.clone()]),
            "scenario        6.1\na::f      ok 1.2 s\nb::long    skipped\nc          NOT RUN\n"
        );
        let notes = notes("6.1", "6.1.0-1", &report);
        assert!(notes.contains("1 passed, 0 failed, 1 skipped"), "{notes}");
        assert!(notes.contains("1 skipped: no tcx"), "{notes}");
    }
}

//! Many verdicts: one sign per pair, and a line for each pair that failed.
//!
//! ```text
//! from \ to     1 2 3
//! 1 a/client    . V L
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::words::{end, family, summary, test_name};
pub use crate::views::text::Style;
use crate::{
    verify::{Kind, Verdict},
    views::text::{ascii, count, cut_apart, cut_end, grid},
};

/// The most names in a matrix.
const MOST: usize = 40;
/// The least width of a name in a matrix.
const NAME: usize = 16;
/// The most failed pairs to list.
const LISTED: usize = 50;
/// The width without a terminal, and the least width.
const USUAL: usize = 120;
const NARROWEST: usize = 40;

/// Draws many verdicts, without a line break at the end.
#[must_use]
pub fn draw(verdicts: &[Verdict], style: Style) -> String {
    let width = style.width.unwrap_or(USUAL).max(NARROWEST);
    let (mut lines, numbers) = matrix(&worst(verdicts), width).unwrap_or_default();
    if !lines.is_empty() {
        lines.push("V verified  D detour  L lost  ? unclear; the worst of several results".into());
        lines.push(String::new());
    }
    let mut lines: Vec<_> = lines.into_iter().map(|line| (None, line)).collect();
    let failed = |verdict: &&Verdict| verdict.verdict != Kind::Verified;
    let failed: Vec<_> = verdicts.iter().filter(failed).collect();
    for verdict in failed.iter().take(LISTED) {
        // Numbers, if the matrix explains them, leave more room for the result.
        let name = |name: String| numbers.get(&name).map_or(name, ToString::to_string);
        let [from, to] = [&verdict.from, &verdict.to].map(|hop| name(end(hop)));
        let (sign, summary) = (sign(verdict.verdict), summary(verdict));
        let test = match test_name(verdict) {
            Some(name) => format!("  ({name})"),
            None => String::new(),
        };
        let family = family(verdict);
        let line = format!("{sign}  {from} -> {to}{family}  {summary}{test}");
        lines.push((Some(verdict.verdict), line));
    }
    if failed.len() > LISTED {
        let more = failed.len() - LISTED;
        lines.push((None, format!("… and {more} more: see -o jsonl")));
    }
    lines.push((None, totals(verdicts)));
    let lines = lines.into_iter().map(|(kind, line)| {
        let line = cut_end(line.trim_end(), width);
        let line = if style.ascii { ascii(&line) } else { line };
        if style.colour {
            coloured(kind, line)
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `12 pairs: 10 verified, 2 lost`
fn totals(verdicts: &[Verdict]) -> String {
    let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
    for verdict in verdicts {
        *kinds.entry(verdict.verdict).or_default() += 1;
    }
    let kinds = kinds.into_iter();
    let kinds = kinds.map(|(kind, number)| format!("{} {}", count(Some(number)), kind.word()));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    let pairs = count(Some(verdicts.len() as u64));
    match verdicts.len() {
        0 => "0 pairs".into(),
        1 => format!("1 pair: {kinds}"),
        _ => format!("{pairs} pairs: {kinds}"),
    }
}

fn sign(kind: Kind) -> &'static str {
    match kind {
        Kind::Verified => "V",
        Kind::Detour => "D",
        Kind::Lost => "L",
        Kind::Unclear => "?",
    }
}

/// The worst verdict of each pair of names.
fn worst(verdicts: &[Verdict]) -> BTreeMap<(String, String), Kind> {
    let mut worst = BTreeMap::new();
    let order = [Kind::Verified, Kind::Detour, Kind::Unclear, Kind::Lost];
    let rank = |kind: Kind| order.iter().position(|it| *it == kind);
    for verdict in verdicts {
        let pair = (end(&verdict.from), end(&verdict.to));
        let kind = worst.entry(pair).or_insert(verdict.verdict);
        if rank(*kind) < rank(verdict.verdict) {
            *kind = verdict.verdict;
        }
    }
    worst
}

/// The matrix and the numbers of its names; nothing if it would be too large, or no more than a
/// line.
fn matrix(
    worst: &BTreeMap<(String, String), Kind>,
    width: usize,
) -> Option<(Vec<String>, BTreeMap<String, usize>)> {
    let to: BTreeSet<&String> = worst.keys().map(|(_, to)| to).collect();
    let names: BTreeSet<&String> = worst.keys().flat_map(|(from, to)| [from, to]).collect();
    let digits = names.len().to_string().len();
    let column = digits + 1;
    let label = width.checked_sub(digits + 2 + 2 + to.len() * column)?;
    if names.len() > MOST || worst.len() < 2 || label < NAME {
        return None;
    }
    let numbered = names.iter().zip(1..);
    let numbers: BTreeMap<String, usize> = numbered
        .map(|(name, number)| ((*name).clone(), number))
        .collect();
    let cut = cut_apart(names.iter().map(|name| (*name).clone()), label);
    let header: String = to
        .iter()
        .map(|to| format!("{:>column$}", numbers[*to]))
        .collect();
    // Names without a row of results also have a line, which explains their numbers.
    let row = |name: &&String| {
        let cell = |to: &&String| {
            let kind = worst.get(&((*name).clone(), (*to).clone()));
            format!("{:>column$}", kind.map_or(".", |kind| sign(*kind)))
        };
        let cells = to.iter().map(cell).collect();
        vec![numbers[*name].to_string(), cut[*name].clone(), cells]
    };
    let header = vec![String::new(), "from, to".into(), header];
    let rows = [header].into_iter().chain(names.iter().map(row));
    Some((grid(rows, |column| column == 0), numbers))
}

fn coloured(kind: Option<Kind>, line: String) -> String {
    use crossterm::style::Stylize as _;
    match kind {
        Some(Kind::Lost) => line.red().to_string(),
        Some(Kind::Detour | Kind::Unclear) => line.yellow().to_string(),
        Some(Kind::Verified) | None => line,
    }
}

//! Many verdicts at once: one sign per pair, and a line for each that failed.
//!
//! ```text
//! from \ to     1 2 3
//! 1 a/client    . V L
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ladder::ascii,
    words::{end, summary},
};
use crate::{
    verify::{Kind, Verdict},
    views::text::{count, cut_apart, cut_end, visible_width},
};

/// Names that are worth a matrix; more are only counted and listed.
const MOST: usize = 40;
/// Failing pairs that are listed before the rest is left to the other forms.
const LISTED: usize = 50;

/// How a matrix is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns; 0 for as many as help.
    pub width: usize,
    /// No sign that ASCII has not; foreign names stay as they are.
    pub ascii: bool,
    /// Whether colours may be used. They never carry a meaning of their own.
    pub colour: bool,
}

/// Draws many verdicts, without a line break at the end.
#[must_use]
pub fn draw(verdicts: &[Verdict], style: Style) -> String {
    let width = if style.width == 0 {
        120
    } else {
        style.width.max(40)
    };
    let cells = Cells::new(verdicts);
    let (mut lines, numbers) = cells.matrix(width).unwrap_or_default();
    let bad: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.verdict != Kind::Verified)
        .collect();
    if !lines.is_empty() {
        lines.push("V verified  D detour  L lost  ? unclear; the worst, where a pair was tried in several ways".into());
        lines.push(String::new());
    }
    for verdict in bad.iter().take(LISTED) {
        let [from, to] = [&verdict.from, &verdict.to].map(end);
        // Numbers where the matrix explains them: more room for what happened.
        let number = |name: &String| numbers.get(name).map(usize::to_string);
        let (from, to) = (number(&from).unwrap_or(from), number(&to).unwrap_or(to));
        let sign = sign(verdict.verdict);
        lines.push(format!("{sign}  {from} -> {to}  {}", summary(verdict)));
    }
    if let Some(more) = bad.len().checked_sub(LISTED).filter(|more| *more > 0) {
        lines.push(format!("… and {more} more: -o jsonl says all of them"));
    }
    lines.push(totals(verdicts));
    let lines: Vec<_> = lines
        .iter()
        .map(|line| cut_end(line.trim_end(), width))
        .map(|line| if style.ascii { ascii(&line) } else { line })
        .map(|line| if style.colour { coloured(&line) } else { line })
        .collect();
    lines.join("\n")
}

/// `12 pairs: 10 verified, 2 lost`
#[must_use]
pub fn totals(verdicts: &[Verdict]) -> String {
    let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
    for verdict in verdicts {
        *kinds.entry(verdict.verdict).or_default() += 1;
    }
    let kinds: Vec<_> = kinds
        .into_iter()
        .map(|(kind, number)| format!("{} {}", count(Some(number)), kind.word()))
        .collect();
    let pairs = verdicts.len();
    let plural = if pairs == 1 { "" } else { "s" };
    let rest = if kinds.is_empty() {
        String::new()
    } else {
        format!(": {}", kinds.join(", "))
    };
    format!("{} pair{plural}{rest}", count(Some(pairs as u64)))
}

fn sign(kind: Kind) -> &'static str {
    match kind {
        Kind::Verified => "V",
        Kind::Detour => "D",
        Kind::Lost => "L",
        Kind::Unclear => "?",
    }
}

/// From where to where, by name, the worst of each pair.
struct Cells {
    from: Vec<String>,
    to: Vec<String>,
    worst: BTreeMap<(String, String), Kind>,
}

impl Cells {
    fn new(verdicts: &[Verdict]) -> Self {
        let mut worst = BTreeMap::new();
        let rank = |kind| match kind {
            Kind::Verified => 0,
            Kind::Detour => 1,
            Kind::Unclear => 2,
            Kind::Lost => 3,
        };
        for verdict in verdicts {
            let pair = (end(&verdict.from), end(&verdict.to));
            let kind = worst.entry(pair).or_insert(verdict.verdict);
            if rank(*kind) < rank(verdict.verdict) {
                *kind = verdict.verdict;
            }
        }
        let names = |of: fn(&(String, String)) -> &String| {
            let names: BTreeSet<_> = worst.keys().map(of).cloned().collect();
            names.into_iter().collect()
        };
        Self {
            from: names(|pair| &pair.0),
            to: names(|pair| &pair.1),
            worst,
        }
    }

    /// The matrix, or nothing where it would be too large to be read, or says no more than a line.
    fn matrix(&self, width: usize) -> Option<(Vec<String>, BTreeMap<String, usize>)> {
        let names: BTreeSet<String> = self.from.iter().chain(&self.to).cloned().collect();
        let names: Vec<String> = names.into_iter().collect();
        let digits = names.len().to_string().len();
        let column = digits + 1;
        // Number, name, and all cells.
        let label = width.checked_sub(digits + 2 + 2 + self.to.len() * column)?;
        if names.len() > MOST || self.worst.len() < 2 || label < 16 {
            return None;
        }
        let cut = cut_apart(&names, label);
        let numbers: BTreeMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.clone(), place + 1))
            .collect();
        let shown = |name: &String| cut.get(name.as_str()).cloned().unwrap_or_default();
        let label = names
            .iter()
            .map(|name| visible_width(&shown(name)))
            .max()
            .unwrap_or(0);
        let label = label.max("from, to".len());
        let mut lines = Vec::new();
        let mut header = format!("{:digits$}  {:label$}  ", "", "from, to");
        for to in &self.to {
            header.push_str(&format!(
                "{:>column$}",
                numbers.get(to).copied().unwrap_or(0)
            ));
        }
        lines.push(header);
        // Names that are only gone to have a line as well: their number has to be explained.
        for name in &names {
            let text = shown(name);
            let pad = label.saturating_sub(visible_width(&text));
            let number = numbers.get(name).copied().unwrap_or(0);
            let mut line = format!("{number:>digits$}  {text}{:pad$}  ", "");
            for to in &self.to {
                let kind = self.worst.get(&(name.clone(), to.clone()));
                line.push_str(&format!(
                    "{:>column$}",
                    kind.map_or(".", |kind| sign(*kind))
                ));
            }
            lines.push(line);
        }
        Some((lines, numbers))
    }
}

/// Lines of failing pairs.
fn coloured(line: &str) -> String {
    use crossterm::style::Stylize as _;
    match line.as_bytes() {
        [b'L', b' ', ..] => line.red().to_string(),
        [b'D' | b'?', b' ', ..] => line.yellow().to_string(),
        _ => line.to_owned(),
    }
}

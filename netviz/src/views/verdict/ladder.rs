//! The ladder: one line per crossing, in path order.
//!
//! ```text
//! a/client -> a/server     10 x ICMP echo, 84 bytes
//! routing: vxlan, legacy host routing (from the Cilium agents)
//!
//! VERIFIED  delivered 10 of 10, answered 10 of 10, by the expected doors
//!
//!   request                                        seen     median /     worst
//!    1  ▲ eth0            pod client              10/10
//!    2  ▼ lxc174c023046f  worker                  10/10     1.1 us /    2.0 us
//! ```

use super::{
    causes::{causes, remedies},
    path::{Path, Rung, Tone, fine, numbers, of, shorten},
    sentences::{detours, doubts, notes},
    words::{end, expected, lost, sent, summary, test_label, tone},
};
pub use crate::views::text::Style;
use crate::{
    verify::{Kind, Verdict, Way},
    views::text::{
        ascii, cut_apart, cut_end, cut_middle, cut_name, grid, safe, visible_width, widest, wrap,
    },
};

/// The least width of a ladder.
pub const NARROWEST: usize = 80;
/// In wider ladders, numbers are too far from their names.
pub(super) const WIDEST: usize = 120;
/// An interface's name has 15 bytes.
const INTERFACE: usize = 15;
/// The least width of a pod's or a node's name.
const PLACE: usize = 8;

/// A line, and how it is emphasised.
pub(super) type Line = (Tone, String);

/// Draws one verdict, without a line break at the end. [`Style::full`] shows a correct reply door by
/// door.
#[must_use]
pub fn draw(verdict: &Verdict, style: Style) -> String {
    let width = style.width.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST);
    let mut lines = opening(verdict, width);
    let mut paths = Vec::from([Way::Request, Way::Reply].map(|way| Path::new(verdict, way)));
    shorten(&mut paths);
    let fold = unanswerable(verdict).or_else(|| folded(verdict).filter(|_| !style.full));
    if fold.is_some() {
        paths.truncate(1);
    }
    paths.retain(|path| !path.rungs.is_empty());
    lines.extend(doors(&paths, width));
    lines.extend(fold.map(|line| (Tone::Plain, line)));
    lines.push((Tone::Plain, String::new()));
    let legend = "▼ into, ▲ out of the device. Times since the door before include netviz's own.";
    let legend = wrap(legend, width, 0).into_iter();
    lines.extend(legend.map(|line| (Tone::Faint, line)));
    print(lines, width, style)
}

/// The pair, the result and its causes, with a blank line behind each.
pub(super) fn opening(verdict: &Verdict, width: usize) -> Vec<Line> {
    let blank = || (Tone::Plain, String::new());
    let mut lines = head(verdict, width);
    lines.push(blank());
    lines.extend(conclusion(verdict, width));
    lines.push(blank());
    lines
}

/// Lines as a text without a line break at the end.
pub(super) fn print(lines: Vec<Line>, width: usize, style: Style) -> String {
    let lines = lines.into_iter().map(|(tone, line)| {
        let line = cut_end(line.trim_end(), width);
        let line = if style.ascii { ascii(&line) } else { line };
        if style.colour {
            coloured(tone, line)
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The reply if no packet arrived and none came back.
fn unanswerable(verdict: &Verdict) -> Option<String> {
    let silent = verdict.reply.iter().all(|row| row.seen.unwrap_or(0) == 0);
    let none = of(verdict, Way::Reply) == 0 && verdict.replied == 0 && silent;
    (none && !verdict.reply.is_empty()).then(|| "  reply    no request arrived".into())
}

/// A correct reply in one line.
fn folded(verdict: &Verdict) -> Option<String> {
    let how = fine(verdict)?;
    let doors = numbers(&verdict.reply).into_iter().flatten().count();
    let of = of(verdict, Way::Reply);
    let line = format!("  reply    {doors} doors, {how}, {of}/{of} at each");
    Some(line)
}

fn coloured(tone: Tone, line: String) -> String {
    use crossterm::style::Stylize as _;
    match tone {
        _ if line.is_empty() => line,
        Tone::Plain => line,
        Tone::Faint => line.dark_grey().to_string(),
        Tone::Odd => line.yellow().to_string(),
        Tone::Bad => line.red().to_string(),
        Tone::Good => line.green().to_string(),
    }
}

fn head(verdict: &Verdict, width: usize) -> Vec<Line> {
    let (from, to, sent) = (end(&verdict.from), end(&verdict.to), sent(verdict));
    let pair = format!("{from} -> {to}");
    let mut lines = if visible_width(&pair) + 5 + visible_width(&sent) <= width {
        vec![format!("{pair}     {sent}")]
    } else if visible_width(&pair) <= width {
        vec![pair, sent]
    } else {
        let to = format!("-> {}", cut_name(&to, width - 3));
        vec![cut_name(&from, width), to, sent]
    };
    lines.extend(wrap(&format!("routing: {}", expected(verdict)), width, 2));
    lines.extend(test(verdict).iter().flat_map(|line| wrap(line, width, 2)));
    lines.into_iter().map(|line| (Tone::Plain, line)).collect()
}

/// The test and its result.
fn test(verdict: &Verdict) -> Option<String> {
    let test = verdict.test.as_ref()?;
    let name = test_label(verdict);
    let result = match &test.why {
        None => "passed".into(),
        Some(why) => format!("failed: {}", safe(why)),
    };
    Some(format!("test: {name}{result}"))
}

/// The doors of all paths in columns, with their remarks.
fn doors(paths: &[Path], width: usize) -> Vec<Line> {
    let rungs = || paths.iter().flat_map(|path| &path.rungs);
    let places = rungs().map(|rung| visible_width(&rung.place()));
    let place = places.max().unwrap_or(0).max(PLACE);
    let mut about = rungs().any(|rung| !rung.about.is_empty());
    let mut lines = columns(paths, place, about);
    // A grid ends with two blanks.
    let excess = |lines: &[String]| widest(lines).saturating_sub(width + 2);
    if about && excess(&lines) > 0 {
        about = false;
        lines = columns(paths, place, about);
    }
    if excess(&lines) > 0 {
        let place = place.saturating_sub(excess(&lines)).max(PLACE);
        lines = columns(paths, place, about);
    }
    let mut lines = lines.into_iter();
    let mut drawn = Vec::new();
    for path in paths {
        let mut header = lines.next().unwrap_or_default();
        let name = path.way.to_string();
        header.replace_range(2..2 + name.len(), &name);
        drawn.push((Tone::Plain, header));
        for (rung, line) in path.rungs.iter().zip(&mut lines) {
            drawn.extend(with_remarks(rung, line.trim_end(), about, width));
        }
    }
    drawn
}

/// The header and the doors of each path; `place` is the width of a pod's or node's name.
fn columns(paths: &[Path], place: usize, about: bool) -> Vec<String> {
    let rungs = || paths.iter().flat_map(|path| &path.rungs);
    let names = rungs().map(|rung| rung.pod.as_ref().unwrap_or(&rung.node).clone());
    // Behind `pod `.
    let names = cut_apart(names, place.saturating_sub(4));
    let row = |rung: &Rung| {
        let mark = if rung.wrong { "!" } else { " " };
        let number = rung.number.map_or_else(|| "·".into(), |it| it.to_string());
        let interface = cut_middle(&rung.interface, INTERFACE);
        let place = match &rung.pod {
            Some(pod) => format!("pod {}", names[pod]),
            None if visible_width(&rung.node) <= place => rung.node.clone(),
            None => names[&rung.node].clone(),
        };
        let times = rung.times.as_ref();
        let mut row = vec![
            format!("{mark} {number:>2}"),
            format!("{} {interface}", rung.direction.sign()),
            place,
        ];
        row.extend(about.then(|| rung.about.join(" ")));
        row.push(rung.seen.clone());
        row.extend(times.map(|(median, worst)| format!("{median} / {worst}")));
        row
    };
    let header = || {
        let mut header = vec![String::new(); if about { 4 } else { 3 }];
        header[2] = " ".repeat(PLACE);
        header.push("seen".into());
        header.push(format!("{:>9} / {:>9}", "median", "worst"));
        header
    };
    let rows = paths.iter().flat_map(|path| {
        let rungs = path.rungs.iter().map(row);
        [header()].into_iter().chain(rungs)
    });
    let seen = if about { 4 } else { 3 };
    grid(rows, |column| column == seen)
}

/// The line of a door with its remarks beside it, or below if they do not fit.
fn with_remarks(rung: &Rung, line: &str, about: bool, width: usize) -> Vec<Line> {
    let mut line = line.to_owned();
    let mut beside = vec![rung.marks.join(", ")];
    if !about {
        beside.push(rung.about.join(" "));
    }
    let mut below = Vec::new();
    for remark in beside.into_iter().filter(|remark| !remark.is_empty()) {
        let fits = visible_width(&line) + 2 + visible_width(&remark) <= width;
        if fits && below.is_empty() {
            line.push_str(&format!("  {remark}"));
        } else {
            below.push(remark);
        }
    }
    below.extend(rung.note.clone());
    let below = below
        .iter()
        .flat_map(|it| wrap(&format!("        {it}"), width, 8));
    let lines = [line].into_iter().chain(below);
    lines.map(|line| (rung.tone(), line)).collect()
}

/// The width of the words in front of the conclusion.
const WORD: usize = 10;

/// The verdict in capitals, the cause of each loss with what comes next, and remarks.
fn conclusion(verdict: &Verdict, width: usize) -> Vec<Line> {
    let tone = tone(verdict.verdict);
    let mut lines = Vec::new();
    let mut add = |tone, word: &str, text: &str| {
        let wrapped = wrap(&format!("{word:WORD$}{text}"), width, WORD);
        lines.extend(wrapped.into_iter().map(|line| (tone, line)));
    };
    let word = verdict.verdict.word().to_uppercase();
    add(tone, &word, &summary(verdict));
    let single = verdict.losses.len() == 1 && verdict.verdict == Kind::Lost;
    for loss in &verdict.losses {
        if !single {
            add(tone, "lost", &lost(verdict, loss));
        }
        let remedies = remedies(verdict, loss);
        for (cause, remedy) in causes(verdict, loss).iter().zip(remedies) {
            add(Tone::Plain, "cause", cause);
            if let Some(remedy) = remedy {
                add(Tone::Plain, "next", &remedy);
            }
        }
    }
    let remarks = [
        ("detour", detours(verdict)),
        ("unclear", doubts(verdict)),
        ("note", notes(verdict)),
    ];
    for (word, texts) in remarks {
        texts.iter().for_each(|text| add(Tone::Plain, word, text));
    }
    lines
}

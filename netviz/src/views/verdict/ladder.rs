//! The ladder: one line per crossing, in the order in which packets come to the doors.
//!
//! ```text
//! a/client -> a/server     10 x ICMP echo, 84 bytes
//! expected: vxlan, legacy host routing; said by the Cilium agents
//!
//!   request                                        seen     median /     worst
//!    1  ▲ eth0            pod client              10/10
//!    2  ▼ lxc174c023046f  worker                  10/10     1.1 us /    2.0 us
//! ```

use std::collections::HashMap;

use super::{
    path::{Path, Rung, State, fine, numbers, of, shorten},
    sentences::{causes, remarks},
    words::{end, expected, lost, sent, summary},
};
use crate::{
    verify::{Kind, Verdict, Way},
    views::text::{cut_apart, cut_end, cut_middle, visible_width, wrap},
};

/// The narrowest ladder that says enough.
pub const NARROWEST: usize = 80;
/// Wider, the eye does not find the number that belongs to a name.
const WIDEST: usize = 120;
/// An interface's name has 15 bytes.
const INTERFACE: usize = 15;
/// What a pod's or a node's name gets at the least.
const PLACE: usize = 8;
/// `  999.9 us /  999.9 us`
const TIMES: usize = 21;

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns; less than [`NARROWEST`] is taken for that, 0 for as many as help.
    pub width: usize,
    /// Whether colours may be used. They never carry a meaning of their own.
    pub colour: bool,
    /// No sign that ASCII has not; foreign names stay as they are.
    pub ascii: bool,
    /// The reply door by door, even where it mirrors the request.
    pub full: bool,
}

/// What a line is, for its colour.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Faint,
    Odd,
    Bad,
    Good,
}

/// Draws one verdict, without a line break at the end.
#[must_use]
pub fn draw(verdict: &Verdict, style: Style) -> String {
    let width = match style.width {
        0 => WIDEST,
        width => width.clamp(NARROWEST, WIDEST),
    };
    let mut lines = head(verdict, width);
    lines.push((Tone::Plain, String::new()));
    let mut paths = vec![
        Path::new(verdict, Way::Request),
        Path::new(verdict, Way::Reply),
    ];
    shorten(&mut paths);
    let fold = unanswerable(verdict).or_else(|| folded(verdict).filter(|_| !style.full));
    if fold.is_some() {
        paths.truncate(1);
    }
    paths.retain(|path| !path.rungs.is_empty());
    let columns = Columns::new(&paths, width);
    for path in &paths {
        columns.draw(path, &mut lines);
    }
    lines.extend(fold.map(|line| (Tone::Plain, line)));
    lines.push((Tone::Plain, String::new()));
    lines.extend(conclusion(verdict, width));
    lines.push((Tone::Faint, String::new()));
    let legend = "▼ into, ▲ out of the device. Times since the door before include netviz's own.";
    lines.extend(
        wrap(legend, width, 0)
            .into_iter()
            .map(|line| (Tone::Faint, line)),
    );
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(tone, line)| finish(tone, &cut_end(line.trim_end(), width), style))
        .collect();
    lines.join("\n")
}

/// The reply where nothing was there to be answered, and nothing came back.
fn unanswerable(verdict: &Verdict) -> Option<String> {
    let silent = verdict.reply.iter().all(|row| row.seen.unwrap_or(0) == 0);
    let none = of(verdict, Way::Reply) == 0 && verdict.replied == 0 && silent;
    (none && !verdict.reply.is_empty())
        .then(|| "  reply    nothing arrived that could be answered".into())
}

/// The reply in one line, where nothing is wrong with it.
fn folded(verdict: &Verdict) -> Option<String> {
    let how = fine(verdict)?;
    let doors = numbers(&verdict.reply).into_iter().flatten().count();
    let of = of(verdict, Way::Reply);
    Some(format!(
        "  reply    {doors} doors, {how}, {of}/{of} at each"
    ))
}

fn finish(tone: Tone, line: &str, style: Style) -> String {
    use crossterm::style::Stylize as _;
    let line = if style.ascii {
        ascii(line)
    } else {
        line.to_owned()
    };
    if !style.colour || line.is_empty() {
        return line;
    }
    match tone {
        Tone::Plain => line,
        Tone::Faint => line.dark_grey().to_string(),
        Tone::Odd => line.yellow().to_string(),
        Tone::Bad => line.red().to_string(),
        Tone::Good => line.green().to_string(),
    }
}

/// The drawing's own signs in ASCII.
pub(super) fn ascii(text: &str) -> String {
    let sign = |c| match c {
        '▼' => 'v',
        '▲' => '^',
        '…' => '~',
        '–' => '-',
        other => other,
    };
    text.chars().map(sign).collect()
}

fn head(verdict: &Verdict, width: usize) -> Vec<(Tone, String)> {
    let (from, to, sent) = (end(&verdict.from), end(&verdict.to), sent(verdict));
    let pair = format!("{from} -> {to}");
    let mut lines = if visible_width(&pair) + 5 + visible_width(&sent) <= width {
        vec![format!("{pair}     {sent}")]
    } else if visible_width(&pair) <= width {
        vec![pair, sent]
    } else {
        let to = format!("-> {}", cut_middle(&to, width - 3));
        vec![cut_middle(&from, width), to, sent]
    };
    lines.extend(wrap(&format!("expected: {}", expected(verdict)), width, 2));
    let plain = |line: String| (Tone::Plain, cut_end(&line, width));
    lines.into_iter().map(plain).collect()
}

/// Widths that all lines of a ladder have in common.
struct Columns {
    width: usize,
    number: usize,
    interface: usize,
    place: usize,
    /// 0: what there is to say stands under the line.
    about: usize,
    seen: usize,
    places: HashMap<String, String>,
}

impl Columns {
    fn new(paths: &[Path], width: usize) -> Self {
        let rungs = || paths.iter().flat_map(|path| &path.rungs);
        let widest = |of: fn(&Rung) -> usize| rungs().map(of).max().unwrap_or(0);
        let number = widest(|rung| rung.number.map_or(0, |number| number.to_string().len())).max(2);
        let interface = widest(|rung| visible_width(&rung.interface)).min(INTERFACE);
        let seen = widest(|rung| visible_width(&rung.seen)).max("seen".len());
        let about = widest(|rung| visible_width(&rung.about.join(" ")));
        let wanted = widest(|rung| visible_width(&whole_place(rung))).max(PLACE);
        // The gutter, the number, the sign, and what is between the columns.
        let fixed = 2 + number + 2 + 2 + interface + 2 + 2 + seen + 2 + TIMES;
        let beside = if about > 0 { about + 2 } else { 0 };
        let about = if fixed + wanted + beside <= width {
            about
        } else {
            0
        };
        let beside = if about > 0 { about + 2 } else { 0 };
        let place = wanted.min(width.saturating_sub(fixed + beside)).max(PLACE);
        // Behind `pod `.
        let names: Vec<String> = paths
            .iter()
            .flat_map(Path::names)
            .map(String::from)
            .collect();
        let places = cut_apart(&names, place.saturating_sub(4));
        let places = places
            .into_iter()
            .map(|(name, cut)| (name.to_owned(), cut))
            .collect();
        Self {
            width,
            number,
            interface,
            place,
            about,
            seen,
            places,
        }
    }

    fn draw(&self, path: &Path, lines: &mut Vec<(Tone, String)>) {
        let way = match path.way {
            Way::Request => "request",
            Way::Reply => "reply",
        };
        let before = self.left() - 2;
        lines.push((
            Tone::Plain,
            format!(
                "  {way:before$}  {:>seen$}  {:>9} / {:>9}",
                "seen",
                "median",
                "worst",
                seen = self.seen,
            ),
        ));
        for rung in &path.rungs {
            self.rung(rung, lines);
        }
    }

    /// Columns in front of what was seen.
    fn left(&self) -> usize {
        let beside = if self.about > 0 { self.about + 2 } else { 0 };
        2 + self.number + 2 + 2 + self.interface + 2 + self.place + beside
    }

    fn rung(&self, rung: &Rung, lines: &mut Vec<(Tone, String)>) {
        let tone = match rung.state {
            _ if rung.lost => Tone::Bad,
            _ if rung.wrong => Tone::Odd,
            State::Hidden => Tone::Odd,
            State::Skipped | State::Unreached | State::Idle => Tone::Faint,
            _ => Tone::Plain,
        };
        let about = rung.about.join(" ");
        let number = rung
            .number
            .map_or_else(|| "·".into(), |number| number.to_string());
        let mut line = format!(
            "{} {}  {} {}  {}",
            if rung.wrong { "!" } else { " " },
            padded_left(&number, self.number),
            rung.direction.sign(),
            padded(&cut_middle(&rung.interface, self.interface), self.interface),
            padded(&self.place(rung), self.place),
        );
        if self.about > 0 {
            line.push_str(&format!("  {}", padded(&about, self.about)));
        }
        line.push_str(&format!("  {}", padded_left(&rung.seen, self.seen)));
        if let Some((median, worst)) = &rung.times {
            line.push_str(&format!("  {median} / {worst}"));
        }
        let mut under = Vec::new();
        let mut beside = vec![rung.marks.join(", ")];
        if self.about == 0 {
            beside.push(about);
        }
        for text in beside.into_iter().filter(|text| !text.is_empty()) {
            let fits = visible_width(&line) + 2 + visible_width(&text) <= self.width;
            if fits && under.is_empty() {
                line.push_str(&format!("  {text}"));
            } else {
                under.push(text);
            }
        }
        lines.push((tone, line));
        under.extend(rung.note.clone());
        let indent = 2 + self.number + 2 + 2;
        for text in &under {
            let text = wrap(&format!("{:indent$}{text}", ""), self.width, indent);
            lines.extend(text.into_iter().map(|line| (tone, line)));
        }
    }

    fn place(&self, rung: &Rung) -> String {
        let cut = |name: &str| {
            self.places
                .get(name)
                .cloned()
                .unwrap_or_else(|| name.to_owned())
        };
        match &rung.pod {
            Some(pod) => format!("pod {}", cut(pod)),
            None if visible_width(&rung.node) <= self.place => rung.node.clone(),
            None => cut(&rung.node),
        }
    }
}

fn whole_place(rung: &Rung) -> String {
    match &rung.pod {
        Some(pod) => format!("pod {pod}"),
        None => rung.node.clone(),
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{:1$}", "", width.saturating_sub(visible_width(text)))
}

fn padded_left(text: &str, width: usize) -> String {
    format!("{:1$}{text}", "", width.saturating_sub(visible_width(text)))
}

/// The verdict in capitals, why, and what else there is to say.
fn conclusion(verdict: &Verdict, width: usize) -> Vec<(Tone, String)> {
    let word = verdict.verdict.word().to_uppercase();
    let indent = word.len() + 2;
    let tone = match verdict.verdict {
        Kind::Verified => Tone::Good,
        Kind::Detour | Kind::Unclear => Tone::Odd,
        Kind::Lost => Tone::Bad,
    };
    let mut lines = Vec::new();
    let mut say = |tone, indent: usize, more: usize, text: &str| {
        let text = format!("{:indent$}{text}", "");
        let wrapped = wrap(&text, width, indent + more);
        lines.extend(wrapped.into_iter().map(|line| (tone, line)));
    };
    say(tone, 0, indent, &format!("{word}  {}", summary(verdict)));
    let single = verdict.losses.len() == 1 && verdict.verdict == Kind::Lost;
    for loss in &verdict.losses {
        if !single {
            say(tone, indent, 2, &lost(verdict, loss));
        }
        let deeper = if single { indent } else { indent + 2 };
        for cause in causes(verdict, loss) {
            say(Tone::Plain, deeper, 2, &cause);
        }
    }
    for text in remarks(verdict) {
        say(Tone::Plain, indent, 2, &text);
    }
    lines
}

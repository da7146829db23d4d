//! The building in characters: 80 columns and wider.
//!
//! ```text
//! ┌ mycluster-worker · 172.18.0.2/16 ──────────────────────────────────────────┐
//! │ ┌ default/busybox-c8bbbbb84-t6ggh ───────┐                                 │
//! │ │ 10.10.2.117/32                  eth0 8 ▐╪═══════╪▌ 9 lxc4a891387ff1a     │
//! │ └───────────────────────── ▼ 12.0 ▲ 11.8 ┘           ▼ 11.8 ▲ 12.0         │
//! ```

use super::{Hall, Map, name, purpose, rates, remark};
use crate::{
    model::DoorState,
    views::{
        layout::Building,
        table::around::disagreement,
        text::{cut_end, cut_middle, safe, visible_width, wrap},
    },
};

/// The narrowest drawing that says enough.
pub const NARROWEST: usize = 80;
/// Wider, lines would be mostly empty.
const WIDEST: usize = 110;
/// An interface's name has 15 bytes; its index and a mark stand beside it.
const DOOR: usize = 28;
const CORRIDOR: usize = 9;

/// How the text is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns; less than [`NARROWEST`] is taken for that.
    pub width: usize,
    /// No sign that ASCII has not; foreign names stay as they are.
    pub ascii: bool,
    /// Ethernet addresses as well.
    pub mac: bool,
}

/// Draws all buildings, one below the other, without a line break at the end.
#[must_use]
pub fn draw(map: &Map<'_>, style: Style) -> String {
    let width = style.width.clamp(NARROWEST, WIDEST);
    let mut lines = Vec::new();
    for building in &map.layout.buildings {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut drawing = Drawing {
            style,
            inner: width - 4,
            lines: Vec::new(),
            remarks: Vec::new(),
        };
        drawing.building(map, building);
        lines.extend(framed(&map.heading(building), &drawing.lines, width));
        for (number, remark) in drawing.remarks.iter().enumerate() {
            lines.extend(wrap(&format!("[{}] {remark}", number + 1), width, 4));
        }
    }
    lines.push(String::new());
    lines.extend(wrap(&legend(map), width, 2));
    for said in &map.snapshot.disagreements {
        lines.extend(wrap(&disagreement(said), width, 2));
    }
    for note in &map.snapshot.notes {
        lines.extend(wrap(&safe(note), width, 2));
    }
    let text = lines.join("\n");
    if style.ascii { plain(&text) } else { text }
}

fn legend(map: &Map<'_>) -> String {
    let window = map.snapshot.window_seconds;
    let window = window.map_or_else(String::new, |seconds| format!(" over {seconds:.1} s"));
    format!(
        "▼ into the device, ▲ out of it, packets per second{window}. ═ crossed, ┄ by nothing, ? not known. The number beside a door is its index; doors are never summed."
    )
}

struct Drawing {
    style: Style,
    /// Columns between the walls of the building.
    inner: usize,
    lines: Vec<String>,
    remarks: Vec<String>,
}

impl Drawing {
    fn building(&mut self, map: &Map<'_>, building: &Building) {
        for hall in building.rooms.iter().filter_map(|hall| map.hall(hall)) {
            self.room(&hall);
        }
        let others = building.inner.iter().chain(&building.gates);
        for hall in others.filter_map(|hall| map.hall(hall)) {
            self.gate(&hall);
        }
    }

    /// A pod, its door, and the node's end of its corridor.
    fn room(&mut self, hall: &Hall<'_>) {
        let width = self.inner - DOOR - CORRIDOR;
        let content = width - 4;
        let title = cut_middle(&safe(hall.label), content);
        self.lines.push(format!(
            "┌ {title} {}┐",
            "─".repeat(content - visible_width(&title))
        ));
        let door = self.door(hall.far, false);
        let address = hall.far.addresses.first().map(|address| safe(address));
        let address = cut_end(
            &address.unwrap_or_default(),
            content.saturating_sub(visible_width(&door) + 1),
        );
        let middle = spread(&address, &door, content);
        let near = hall.near.map(|near| self.door(near, true));
        self.lines.push(format!(
            "│ {middle} {}{}",
            corridor(hall),
            near.unwrap_or_default()
        ));
        let more = hall.far.addresses.iter().skip(1).map(|text| safe(text));
        let mac = hall.far.mac.iter().map(|mac| safe(mac));
        for line in more.chain(mac.filter(|_| self.style.mac)) {
            let line = cut_end(&line, content);
            self.lines
                .push(format!("│ {} │", spread(&line, "", content)));
        }
        let rate = rates(hall.far);
        let rule = "─".repeat(content.saturating_sub(visible_width(&rate)));
        let near = hall.near.map(|near| {
            let indent = " ".repeat(CORRIDOR);
            format!("{indent}{}", rates(near))
        });
        self.lines
            .push(format!("└{rule} {rate} ┘{}", near.unwrap_or_default()));
    }

    /// The node's own doors: the inner corridor, tunnels, uplinks.
    fn gate(&mut self, hall: &Hall<'_>) {
        // The node's end on the left: what is outside stands on the right.
        let (first, second) = hall.outwards();
        let left = self.door(first, false);
        let width = self.inner - DOOR - CORRIDOR - 1;
        let mut about: Vec<String> = purpose(hall.role).map(str::to_owned).into_iter().collect();
        about.extend(
            hall.doors()
                .flat_map(|door| &door.addresses)
                .map(|text| safe(text)),
        );
        if self.style.mac {
            about.extend(first.mac.iter().map(|mac| safe(mac)));
        }
        let room = width.saturating_sub(visible_width(&left) + 1);
        let about = cut_end(&about.join(" "), room);
        let right = second.map(|second| self.door(second, true));
        self.lines.push(format!(
            "{} {}{}",
            spread(&about, &left, width),
            if second.is_some() {
                corridor(hall)
            } else {
                gate(hall)
            },
            right.unwrap_or_default()
        ));
        let second = second.map(|second| format!("{}{}", " ".repeat(CORRIDOR), rates(second)));
        self.lines.push(format!(
            "{} {}",
            spread("", &rates(first), width),
            second.unwrap_or_default()
        ));
    }

    /// `eth0 8`, or turned round, with the number of the remark under the drawing.
    fn door(&mut self, door: &DoorState, turned: bool) -> String {
        let name = cut_middle(&name(door), 15);
        let mark = match remark(door) {
            Some(remark) => {
                self.remarks
                    .push(format!("{name} {}: {remark}", door.ifindex));
                format!(" [{}]", self.remarks.len())
            }
            None => String::new(),
        };
        match turned {
            true => format!(" {} {name}{mark}", door.ifindex),
            false => format!("{name} {}{mark}", door.ifindex),
        }
    }
}

fn corridor(hall: &Hall<'_>) -> &'static str {
    match hall.busiest() {
        None => "▐╪ ??? ╪▌",
        Some(0.0) => "▐╪┄┄┄┄┄╪▌",
        Some(_) => "▐╪═════╪▌",
    }
}

fn gate(hall: &Hall<'_>) -> &'static str {
    match hall.busiest() {
        None => "▐ ????? ▷",
        Some(0.0) => "▐┄┄┄┄┄┄┄▷",
        Some(_) => "▐═══════▶",
    }
}

/// Two texts at the two ends of so many columns.
fn spread(left: &str, right: &str, width: usize) -> String {
    let used = visible_width(left) + visible_width(right);
    format!("{left}{}{right}", " ".repeat(width.saturating_sub(used)))
}

fn framed(title: &str, lines: &[String], width: usize) -> Vec<String> {
    let title = cut_end(title, width - 4);
    let rule = "─".repeat(width - 4 - visible_width(&title));
    let mut framed = vec![format!("┌ {title} {rule}┐")];
    for line in lines {
        let line = cut_end(line.trim_end(), width - 4);
        framed.push(format!("│ {} │", spread(&line, "", width - 4)));
    }
    framed.push(format!("└{}┘", "─".repeat(width - 2)));
    framed
}

/// The drawing's own signs in ASCII.
fn plain(text: &str) -> String {
    let sign = |c| match c {
        '┌' | '┐' | '└' | '┘' | '╪' => '+',
        '│' | '▐' | '▌' => '|',
        '─' => '-',
        '═' => '=',
        '┄' | '·' => '.',
        '▼' => 'v',
        '▲' => '^',
        '▶' | '▷' => '>',
        '…' => '~',
        '–' => '?',
        other => other,
    };
    text.chars().map(sign).collect()
}

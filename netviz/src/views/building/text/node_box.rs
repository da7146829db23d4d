//! One building: its rooms, and below them its own doors.

use std::collections::HashMap;

use super::{line::Line, page::Plot};
use crate::{
    model::{DoorState, Side},
    views::{
        building::{Hall, Map, index, layout::Building, note, residents},
        door::{name, rates},
        footnotes::Footnotes,
        text::{cut_end, cut_middle, safe, visible_width},
    },
};

/// Columns of a door on the node's side: its index, a name of 15 bytes, a mark.
const DOOR: usize = 27;
const CORRIDOR: usize = 9;
/// Columns of an interface's name.
const NAME: usize = 15;

/// Columns of a room's name in a building of `width` columns.
pub(super) fn room(width: usize) -> usize {
    width - 4 - DOOR - CORRIDOR - 4
}

/// What all buildings of a drawing share.
pub(super) struct House<'a> {
    pub(super) map: &'a Map<'a>,
    /// Whether to show MAC addresses.
    pub(super) mac: bool,
    /// Names of rooms as they are cut.
    pub(super) names: HashMap<String, String>,
    /// Columns between the walls.
    pub(super) inner: usize,
}

impl House<'_> {
    pub(super) fn draw(&self, building: &Building, remarks: &mut Footnotes) -> Plot {
        let rooms = self.map.rooms(building);
        let rooms = rooms.flat_map(|hall| self.room(&hall, remarks)).collect();
        let residents = residents(building, self.inner).into_iter();
        let mut gates: Vec<_> = residents.map(|line| Line::default().write(line)).collect();
        for hall in self.map.gates(building) {
            let aside = self.map.aside(building, &hall);
            gates.extend(self.gate(&hall.outwards(), aside, remarks));
        }
        Plot::new(self.map.heading(building), rooms, gates, self.inner)
    }

    /// A pod, its door, and the node's end of its veth pair.
    fn room(&self, hall: &Hall<'_>, remarks: &mut Footnotes) -> Vec<Line> {
        let content = room(self.inner + 4);
        let line = || Line::quiet(hall.is_quiet());
        // Up to the node's end.
        let left = content + 4 + CORRIDOR;
        let label = hall.label.to_string();
        let label = self.names.get(&label).unwrap_or(&label);
        let title = line().sign("┌ ").write(cut_middle(label, content));
        let title = title.sign(" ").fill('─', content + 3).sign("┐");
        let far = door(hall.far, hall.near.is_none(), remarks, content);
        let mut addresses = hall.far.addresses.iter().map(ToString::to_string);
        let room = content.saturating_sub(far.width());
        let address = addresses.next().unwrap_or_default();
        let address = cut_end(&address, room.saturating_sub(1));
        let space = room.saturating_sub(visible_width(&address));
        let middle = line().sign("│ ").write(address).sign(" ".repeat(space));
        let middle = middle.join(far).sign(" ").sign(pair(hall));
        let mut lines = vec![title, middle.join(near(hall, remarks))];
        let mut more: Vec<_> = addresses.map(|address| (address, String::new())).collect();
        more.extend(self.macs(hall));
        for (far, near) in more {
            let inside = line().sign("│ ").write(cut_end(&far, content));
            let inside = inside.fill(' ', content + 2).sign(" │");
            lines.push(inside.fill(' ', left).write(near));
        }
        let rate = rates(hall.far);
        let rule = content.saturating_sub(visible_width(&rate));
        let below = line().sign("└").sign("─".repeat(rule)).sign(" ");
        let below = below.write(rate).sign(" ┘").fill(' ', left);
        lines.push(below.write(hall.near.map(rates).unwrap_or_default()));
        lines
    }

    /// One of the node's own doors, or a pair of them, with the outer one at the street.
    fn gate(&self, hall: &Hall<'_>, aside: &str, remarks: &mut Footnotes) -> Vec<Line> {
        let width = self.inner - DOOR - CORRIDOR - 1;
        let line = || Line::quiet(hall.is_quiet());
        let far = door(hall.far, hall.near.is_none(), remarks, width);
        let room = width.saturating_sub(far.width() + 1);
        let addresses = hall.addresses();
        let purpose = hall.purpose();
        let whole = format!("{purpose} {}", addresses.join(" "));
        // Addresses that do not fit beside the door have lines of their own.
        let fits = visible_width(whole.trim()) <= room;
        let purpose = cut_end(if fits { whole.trim() } else { purpose }, room);
        let space = width.saturating_sub(far.width());
        let top = line().write(purpose).fill(' ', space).join(far).sign(" ");
        let mut lines = vec![self.onward(top, hall, remarks)];
        if !fits {
            let own = addresses.iter().map(|address| cut_end(address, width));
            lines.extend(own.map(|address| line().write(address)));
        }
        let below = |aside: &str, far: String, near: String| {
            let room = width.saturating_sub(visible_width(&far));
            let aside = cut_end(aside, room.saturating_sub(1));
            let left = line().write(aside).fill(' ', room).write(far);
            left.fill(' ', width + 1 + CORRIDOR).write(near)
        };
        lines.extend(self.macs(hall).map(|(far, near)| below("", far, near)));
        let outside = |door: &DoorState| match door.side {
            Side::Host => format!("{} outside", rates(door)),
            Side::Node | Side::Pod => rates(door),
        };
        let near = hall.near.map(outside).unwrap_or_default();
        lines.push(below(aside, rates(hall.far), near));
        lines
    }

    /// Continues the line of a gate's far end: to its near end, and to the street.
    fn onward(&self, line: Line, hall: &Hall<'_>, remarks: &mut Footnotes) -> Line {
        let way = match hall.busiest() {
            None => '?',
            Some(0.0) => '┄',
            Some(_) => '═',
        };
        let mut line = match hall.near {
            Some(_) => line.sign(pair(hall)).join(near(hall, remarks)),
            None => line.sign("▐"),
        };
        if hall.joined {
            let gap = if hall.near.is_some() { " " } else { "" };
            line = line.sign(gap).fill(way, self.inner + 1);
            line.onward = Some(way);
        } else if hall.near.is_none() {
            line = line.sign(way.to_string().repeat(CORRIDOR - 2));
            line = line.sign(if hall.is_quiet() { "▷" } else { "▶" });
        }
        line
    }

    /// MAC addresses of both ends.
    fn macs(&self, hall: &Hall<'_>) -> Option<(String, String)> {
        let mac = |door: &DoorState| door.mac.as_ref().map(|mac| cut_end(&safe(mac), DOOR - 1));
        let (far, near) = (mac(hall.far), hall.near.and_then(mac));
        let known = self.mac && (far.is_some() || near.is_some());
        known.then(|| (far.unwrap_or_default(), near.unwrap_or_default()))
    }
}

/// `[1] eth0 8`
fn door(door: &DoorState, single: bool, remarks: &mut Footnotes, room: usize) -> Line {
    let index = index(door, single);
    let mark = note(remarks, door).unwrap_or_default();
    let name = short(door, room, &[&index, &mark]);
    let space = if mark.is_empty() { "" } else { " " };
    let line = Line::default().write(mark).sign(space);
    line.write(name).sign(" ").write(index)
}

/// ` 9 lxc4a891387ff1a [1]`, with the index next to the veth pair.
fn near(hall: &Hall<'_>, remarks: &mut Footnotes) -> Line {
    let Some(door) = hall.near else {
        return Line::default();
    };
    let index = index(door, false);
    let mark = note(remarks, door).unwrap_or_default();
    let name = short(door, DOOR - 1, &[&index, &mark]);
    let space = if mark.is_empty() { "" } else { " " };
    let line = Line::default().sign(" ").write(index).sign(" ");
    line.write(name).sign(space).write(mark)
}

/// A name that fits beside others.
fn short(door: &DoorState, room: usize, beside: &[&str]) -> String {
    let others: usize = beside.iter().map(|it| it.len() + 1).sum();
    cut_middle(&name(door), NAME.min(room.saturating_sub(others)))
}

fn pair(hall: &Hall<'_>) -> &'static str {
    match hall.busiest() {
        None => "▐╪ ??? ╪▌",
        Some(0.0) => "▐╪┄┄┄┄┄╪▌",
        Some(_) => "▐╪═════╪▌",
    }
}

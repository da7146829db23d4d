//! One building: its rooms, and below them its own doors.

use std::collections::HashMap;

use super::{Style, line::Line, page::Plot};
use crate::{
    model::{DoorState, Side},
    views::{
        building::{
            Hall, Map, index,
            layout::{Building, Hallway},
            name, note, purpose, rates,
        },
        footnotes::Footnotes,
        text::{cut_end, cut_middle, safe, visible_width, wrap},
    },
};

/// Columns of a door on the node's side: its index, a name of 15 bytes, a mark.
const DOOR: usize = 27;
const CORRIDOR: usize = 9;
/// An interface's name.
const NAME: usize = 15;

/// What rooms are called in so many columns of the whole building.
pub(super) fn room(width: usize) -> usize {
    width - 4 - DOOR - CORRIDOR - 4
}

/// What all buildings of a drawing share.
pub(super) struct House<'a> {
    pub(super) map: &'a Map<'a>,
    pub(super) style: Style,
    /// Rooms' names as they are cut.
    pub(super) names: &'a HashMap<String, String>,
    /// Columns between the walls.
    pub(super) inner: usize,
}

/// The two sides of a veth pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Far,
    Near,
}

impl House<'_> {
    pub(super) fn draw(&self, building: &Building, remarks: &mut Footnotes) -> Plot {
        let mut rooms = Vec::new();
        for (_, hall) in self.halls(&building.rooms) {
            rooms.extend(self.room(&hall, remarks));
        }
        let mut gates = self.residents(building);
        for (joined, hall) in self
            .halls(&building.inner)
            .chain(self.halls(&building.gates))
        {
            let aside = self.map.aside(building, &hall);
            gates.extend(self.gate(&hall, joined, aside.as_deref(), remarks));
        }
        Plot::new(self.map.heading(building), rooms, gates, self.inner)
    }

    /// Pods that share the node's doors.
    fn residents(&self, building: &Building) -> Vec<Line> {
        let said = self.map.residents(building).unwrap_or_default();
        let lines = wrap(&said, self.inner, 2).into_iter();
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| Line::default().write(cut_end(&line, self.inner)))
            .collect()
    }

    /// Hallways with their doors, and whether they lead to the other buildings.
    fn halls<'b>(&'b self, halls: &'b [Hallway]) -> impl Iterator<Item = (bool, Hall<'b>)> {
        let way = self.map.layout.way.as_ref();
        let joined = move |it| way.is_some_and(|way| way.begins_at(it));
        halls
            .iter()
            .filter_map(move |it| Some((joined(it), self.map.hall(it)?)))
    }

    /// A pod, its door, and the node's end of its veth pair.
    fn room(&self, hall: &Hall<'_>, remarks: &mut Footnotes) -> Vec<Line> {
        let content = room(self.inner + 4);
        let line = || Line::quiet(hall.is_quiet());
        let label = hall.label.to_string();
        let label = self.names.get(&label).cloned().unwrap_or(label);
        let title = line()
            .sign("┌ ")
            .write(cut_middle(&label, content))
            .sign(" ")
            .fill('─', content + 3)
            .sign("┐");
        let far = self.door(hall, End::Far, remarks, content);
        let mut addresses = hall.far.addresses.iter().map(ToString::to_string);
        let left = content.saturating_sub(far.width() + 1);
        let address = cut_end(&addresses.next().unwrap_or_default(), left);
        let space = content.saturating_sub(visible_width(&address) + far.width());
        let mut middle = line().sign("│ ").write(address).sign(" ".repeat(space));
        middle = middle.join(far).sign(" ").sign(pair(hall));
        if hall.near.is_some() {
            middle = middle
                .sign(" ")
                .join(self.door(hall, End::Near, remarks, DOOR - 1));
        }
        let mut lines = vec![title, middle];
        let macs = self.macs(hall);
        let mut more: Vec<_> = addresses.map(|address| (address, None)).collect();
        more.extend(macs.map(|[far, near]| (far, near.into())));
        for (text, near) in more {
            let text = cut_end(&text, content);
            let inside = line()
                .sign("│ ")
                .write(text)
                .fill(' ', content + 2)
                .sign(" │");
            let inside = inside.fill(' ', content + 4 + CORRIDOR);
            lines.push(inside.write(near.unwrap_or_default()));
        }
        let rate = rates(hall.far);
        let rule = content.saturating_sub(visible_width(&rate));
        let below = line().sign("└").sign("─".repeat(rule)).sign(" ");
        let below = below
            .write(rate)
            .sign(" ┘")
            .fill(' ', content + 4 + CORRIDOR);
        lines.push(below.write(hall.near.map(rates).unwrap_or_default()));
        lines
    }

    /// The node's own doors: the inner veth pair, tunnels, uplinks. What is outside stands at the
    /// street.
    fn gate(
        &self,
        hall: &Hall<'_>,
        joined: bool,
        aside: Option<&str>,
        remarks: &mut Footnotes,
    ) -> Vec<Line> {
        let (first, second) = hall.outwards();
        let width = self.inner - DOOR - CORRIDOR - 1;
        let line = || Line::quiet(hall.is_quiet());
        let ends = Hall {
            far: first,
            near: second,
            ..*hall
        };
        let left = self.door(&ends, End::Far, remarks, width);
        let room = width.saturating_sub(left.width() + 1);
        let about = purpose(hall.role).unwrap_or_default();
        let addresses = hall.doors().flat_map(|door| &door.addresses);
        let addresses: Vec<_> = addresses.map(ToString::to_string).collect();
        let whole = format!("{about} {}", addresses.join(" "));
        // What does not fit beside the door has a line of its own.
        let fits = visible_width(whole.trim()) <= room;
        let about = cut_end(if fits { whole.trim() } else { about }, room);
        let mut top = line().write(about);
        top = top.fill(' ', width.saturating_sub(left.width())).join(left);
        top = top.sign(" ");
        let way = sign(hall);
        if second.is_some() {
            top = top.sign(pair(hall)).sign(" ");
            top = top.join(self.door(&ends, End::Near, remarks, DOOR - 1));
            if joined {
                top = top.sign(" ").fill(way, self.inner + 1);
            }
        } else if joined {
            top = top.sign("▐").fill(way, self.inner + 1);
        } else {
            top = top.sign(format!("▐{}", way.to_string().repeat(CORRIDOR - 2)));
            top = top.sign(if hall.is_quiet() { "▷" } else { "▶" });
        }
        top.onward = joined.then_some(way);
        let mut lines = vec![top];
        let below = |aside: &str, first: String, second: String| {
            let room = width.saturating_sub(visible_width(&first));
            let aside = cut_end(aside, room.saturating_sub(1));
            let left = line().write(aside).fill(' ', room).write(first);
            left.fill(' ', width + 1 + CORRIDOR).write(second)
        };
        if !fits {
            let own = addresses.iter().map(|address| cut_end(address, width));
            lines.extend(own.map(|address| line().write(address)));
        }
        if let Some([far, near]) = self.macs(&ends) {
            lines.push(below("", far, near));
        }
        let outside = |door: &DoorState| match door.side {
            Side::Host => format!("{} outside", rates(door)),
            Side::Node | Side::Pod => rates(door),
        };
        let second = second.map(outside).unwrap_or_default();
        lines.push(below(aside.unwrap_or_default(), rates(first), second));
        lines
    }

    /// Ethernet addresses of both ends, if they are wanted.
    fn macs(&self, hall: &Hall<'_>) -> Option<[String; 2]> {
        let mac = |door: &DoorState| door.mac.as_ref().map(|mac| cut_end(&safe(mac), DOOR - 1));
        let both = [mac(hall.far), hall.near.and_then(mac)];
        let any = self.style.mac && both.iter().any(Option::is_some);
        any.then(|| both.map(Option::unwrap_or_default))
    }

    /// `[1] eth0 8`, or the other way round at the node's end: the index is next to the veth pair.
    fn door(&self, hall: &Hall<'_>, end: End, remarks: &mut Footnotes, room: usize) -> Line {
        let door = match end {
            End::Far => hall.far,
            End::Near => hall.near.unwrap_or(hall.far),
        };
        let mark = note(remarks, door).map(|number| format!("[{number}]"));
        let index = index(door, hall.near.is_none());
        let taken = index.len() + 1 + mark.as_ref().map_or(0, |mark| mark.len() + 1);
        let name = cut_middle(&name(door), NAME.min(room.saturating_sub(taken)));
        let mark = mark.map_or_else(Line::default, |mark| Line::default().write(mark));
        let space = if mark.width() > 0 { " " } else { "" };
        let line = Line::default();
        match end {
            End::Far => mark.sign(space).write(name).sign(" ").write(index),
            End::Near => line
                .write(index)
                .sign(" ")
                .write(name)
                .sign(space)
                .join(mark),
        }
    }
}

fn pair(hall: &Hall<'_>) -> &'static str {
    match hall.busiest() {
        None => "▐╪ ??? ╪▌",
        Some(0.0) => "▐╪┄┄┄┄┄╪▌",
        Some(_) => "▐╪═════╪▌",
    }
}

/// What a way is drawn with.
fn sign(hall: &Hall<'_>) -> char {
    match hall.busiest() {
        None => '?',
        Some(0.0) => '┄',
        Some(_) => '═',
    }
}

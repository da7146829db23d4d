//! One building of the picture.

use std::collections::HashMap;

use super::{
    HOUSE, STREET,
    pen::{Anchor, Pen},
};
use crate::{
    model::{DoorState, Side},
    views::{
        building::{Hall, Map, index, layout::Building, name, note, purpose, rates, remark},
        footnotes::Footnotes,
        text::{cut_end, cut_middle, list, safe, wrap},
    },
};

const HEADING: usize = 36;
const ROOM: usize = 58;
const GATE: usize = 46;
/// Between two rooms.
const SPACE: usize = 8;
/// Where the rooms begin and end, and where the node's ends stand.
const INDENT: usize = 12;
const WALL: usize = 356;
const NEAR: usize = 436;
/// Letters that fit: a room's name, an address beside a door, the building's heading.
pub(super) const LABEL: usize = 42;
const ADDRESS: usize = 20;
const TITLE: usize = 80;
const SENTENCE: usize = 92;
/// Height of a line of small letters.
const LINE: usize = 15;
/// An interface's name.
const NAME: usize = 15;

pub(super) struct House<'a> {
    pub(super) map: &'a Map<'a>,
    /// Rooms' names as they are cut.
    pub(super) names: &'a HashMap<String, String>,
}

/// Where a building is on the way to the others.
pub(super) struct Port {
    pub(super) y: usize,
    pub(super) busiest: Option<f64>,
}

/// What there is besides a door's name.
struct Ends<'a> {
    first: &'a DoorState,
    second: Option<&'a DoorState>,
}

impl House<'_> {
    pub(super) fn height(&self, building: &Building) -> usize {
        HEADING + building.rooms.len() * (ROOM + SPACE) + self.below(building) + SPACE
    }

    /// Height of what stands below the rooms.
    fn below(&self, building: &Building) -> usize {
        let gates = building.inner.len() + building.gates.len();
        self.residents(building).len() * LINE + gates * GATE
    }

    /// Pods that share the node's doors.
    fn residents(&self, building: &Building) -> Vec<String> {
        let said = self.map.residents(building).unwrap_or_default();
        let lines = wrap(&said, SENTENCE, 2).into_iter();
        let lines = lines.filter(|line| !line.is_empty());
        lines.map(|line| cut_end(&line, SENTENCE)).collect()
    }

    /// Draws it; the gates stand at the bottom. Gives where it is joined to the others.
    pub(super) fn draw(
        &self,
        pen: &mut Pen,
        building: &Building,
        top: usize,
        height: usize,
        remarks: &mut Footnotes,
    ) -> Vec<Port> {
        let heading = self.map.heading(building);
        pen.svg.open(None, &heading);
        pen.rectangle("n", (0, top), (HOUSE, height));
        pen.write(
            "h",
            (INDENT, top + 22),
            Anchor::Start,
            &cut_end(&heading, TITLE),
        );
        let mut y = top + HEADING;
        for hall in building.rooms.iter().filter_map(|it| self.map.hall(it)) {
            self.room(pen, &hall, y, remarks);
            y += ROOM + SPACE;
        }
        let mut y = (top + height).saturating_sub(self.below(building) + SPACE);
        for line in self.residents(building) {
            pen.write("s", (INDENT + 8, y + 10), Anchor::Start, &line);
            y += LINE;
        }
        let mut ports = Vec::new();
        let way = self.map.layout.way.as_ref();
        for hallway in building.inner.iter().chain(&building.gates) {
            let Some(hall) = self.map.hall(hallway) else {
                continue;
            };
            let joined = way.is_some_and(|way| way.begins_at(hallway));
            let aside = self.map.aside(building, &hall);
            self.gate(pen, &hall, y, joined, aside.as_deref(), remarks);
            if joined {
                let busiest = hall.busiest();
                ports.push(Port { y: y + 18, busiest });
            }
            y += GATE;
        }
        pen.svg.close();
        ports
    }

    fn room(&self, pen: &mut Pen, hall: &Hall<'_>, y: usize, remarks: &mut Footnotes) {
        let label = hall.label.to_string();
        pen.svg.open(quiet(hall), &label);
        pen.rectangle("r", (INDENT, y), (WALL - INDENT, ROOM));
        let cut = self.names.get(&label).cloned().unwrap_or(label);
        pen.write("h", (INDENT + 8, y + 17), Anchor::Start, &cut);
        let addresses = hall.far.addresses.iter().map(ToString::to_string);
        for (place, address) in addresses.take(2).enumerate() {
            let room = if place == 0 { ADDRESS } else { ADDRESS + 2 };
            let address = cut_middle(&address, room);
            pen.write(
                "s",
                (INDENT + 8, y + 35 + 15 * place),
                Anchor::Start,
                &address,
            );
        }
        let ends = Ends {
            first: hall.far,
            second: hall.near,
        };
        doors(pen, hall, &ends, y + 35, remarks);
        pen.svg.close();
    }

    fn gate(
        &self,
        pen: &mut Pen,
        hall: &Hall<'_>,
        y: usize,
        joined: bool,
        aside: Option<&str>,
        remarks: &mut Footnotes,
    ) {
        let (first, second) = hall.outwards();
        let about = purpose(hall.role).unwrap_or_default();
        let addresses = hall.doors().flat_map(|door| &door.addresses);
        let addresses = list(addresses, " ");
        pen.svg
            .open(quiet(hall), format!("{about} {addresses}").trim());
        pen.write("s", (INDENT + 8, y + 14), Anchor::Start, about);
        let addresses = cut_middle(&addresses, ADDRESS + 2);
        pen.write("s", (INDENT + 8, y + 28), Anchor::Start, &addresses);
        pen.write(
            "s",
            (INDENT + 8, y + 41),
            Anchor::Start,
            aside.unwrap_or_default(),
        );
        let end = second.map_or(WALL, |_| HOUSE - 20);
        if joined {
            let to = HOUSE + STREET / 2;
            pen.line((end, y + 18), (to, y + 18), hall.busiest());
        }
        doors(pen, hall, &Ends { first, second }, y + 22, remarks);
        if second.is_none() && !joined {
            pen.line((WALL, y + 18), (NEAR, y + 18), hall.busiest());
        }
        pen.svg.close();
    }
}

/// The class of what nothing crosses.
fn quiet(hall: &Hall<'_>) -> Option<&'static str> {
    hall.is_quiet().then_some("g")
}

/// Both ends, and the veth pair between them.
fn doors(pen: &mut Pen, hall: &Hall<'_>, ends: &Ends<'_>, y: usize, remarks: &mut Footnotes) {
    let alone = ends.second.is_none();
    door(pen, ends.first, alone, (WALL - 8, y), Anchor::End, remarks);
    if let Some(second) = ends.second {
        pen.line((WALL, y - 4), (NEAR, y - 4), hall.busiest());
        door(pen, second, false, (NEAR + 8, y), Anchor::Start, remarks);
    }
}

fn door(
    pen: &mut Pen,
    door: &DoorState,
    alone: bool,
    (x, y): (usize, usize),
    at: Anchor,
    remarks: &mut Footnotes,
) {
    let mut title = format!("{} index {}", name(door), door.ifindex);
    let facts = [
        door.peer_ifindex
            .map(|peer| format!("other end index {peer}")),
        door.mac.as_ref().map(|mac| safe(mac)),
        remark(door),
    ];
    for fact in facts.into_iter().flatten() {
        title.push_str("; ");
        title.push_str(&fact);
    }
    pen.svg.open(None, &title);
    let mark = note(remarks, door);
    let class = if mark.is_some() { "w" } else { "d" };
    let mark = mark.map_or_else(String::new, |number| format!(" [{number}]"));
    let label = cut_middle(&name(door), NAME);
    let label = format!("{label} {}{mark}", index(door, alone));
    pen.write(class, (x, y), at, &label);
    let outside = match door.side {
        Side::Host => " outside",
        Side::Node | Side::Pod => "",
    };
    let rates = format!("{} pkt/s{outside}", rates(door));
    pen.write("s", (x, y + 15), at, &rates);
    pen.svg.close();
}

//! One building of the picture.

use std::collections::HashMap;

use super::pen::{Anchor, HOUSE, Pen, STREET};
use crate::{
    model::{DoorState, Side},
    views::{
        building::{Hall, Map, index, layout::Building, note, remark, residents},
        door::{name, rates},
        footnotes::Footnotes,
        text::{cut_end, cut_middle, safe},
    },
};

const HEADING: usize = 36;
const ROOM: usize = 58;
const GATE: usize = 46;
/// Between two rooms.
const SPACE: usize = 8;
/// Left and right wall of the rooms, and the node's ends.
const INDENT: usize = 12;
const WALL: usize = 356;
const NEAR: usize = 436;
/// Characters of a room's name, an address beside a door, the heading, the residents.
pub(super) const LABEL: usize = 42;
const ADDRESS: usize = 20;
const TITLE: usize = 80;
const RESIDENTS: usize = 92;
/// Height of a line of small letters.
const LINE: usize = 15;
/// Characters of an interface's name.
const NAME: usize = 15;

pub(super) struct House<'a> {
    pub(super) map: &'a Map<'a>,
    /// Names of rooms, cut to [`LABEL`].
    pub(super) names: HashMap<String, String>,
}

/// The place where a building is connected with the others.
pub(super) struct Port {
    pub(super) y: usize,
    pub(super) busiest: Option<f64>,
}

impl House<'_> {
    pub(super) fn height(&self, building: &Building) -> usize {
        HEADING + building.rooms.len() * (ROOM + SPACE) + self.below(building) + SPACE
    }

    /// Height of what is below the rooms.
    fn below(&self, building: &Building) -> usize {
        let gates = building.inner.len() + building.gates.len();
        residents(building, RESIDENTS).len() * LINE + gates * GATE
    }

    /// Draws a building, the gates at the bottom.
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
        let heading = cut_end(&heading, TITLE);
        pen.write("h", (INDENT, top + 22), Anchor::Start, &heading);
        let mut y = top + HEADING;
        for hall in self.map.rooms(building) {
            self.room(pen, &hall, y, remarks);
            y += ROOM + SPACE;
        }
        let mut y = (top + height).saturating_sub(self.below(building) + SPACE);
        for line in residents(building, RESIDENTS) {
            pen.write("s", (INDENT + 8, y + 10), Anchor::Start, &line);
            y += LINE;
        }
        let mut ports = Vec::new();
        for hall in self.map.gates(building) {
            gate(
                pen,
                &hall.outwards(),
                y,
                self.map.aside(building, &hall),
                remarks,
            );
            if hall.joined {
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
        let label = self.names.get(&label).unwrap_or(&label);
        pen.write("h", (INDENT + 8, y + 17), Anchor::Start, label);
        let addresses = hall.far.addresses.iter().map(ToString::to_string);
        let places = [(35, ADDRESS), (50, ADDRESS + 2)];
        for (address, (down, room)) in addresses.zip(places) {
            let address = cut_middle(&address, room);
            pen.write("s", (INDENT + 8, y + down), Anchor::Start, &address);
        }
        doors(pen, hall, y + 35, remarks);
        pen.svg.close();
    }
}

fn gate(pen: &mut Pen, hall: &Hall<'_>, y: usize, aside: &str, remarks: &mut Footnotes) {
    let purpose = hall.purpose();
    let addresses = hall.addresses().join(" ");
    let title = format!("{purpose} {addresses}");
    pen.svg.open(quiet(hall), title.trim());
    let addresses = cut_middle(&addresses, ADDRESS + 2);
    for (down, line) in [(14, purpose), (28, &addresses), (41, aside)] {
        pen.write("s", (INDENT + 8, y + down), Anchor::Start, line);
    }
    let end = hall.near.map_or(WALL, |_| HOUSE - 20);
    if hall.joined {
        let to = HOUSE + STREET / 2;
        pen.line((end, y + 18), (to, y + 18), hall.busiest());
    }
    doors(pen, hall, y + 22, remarks);
    if hall.near.is_none() && !hall.joined {
        pen.line((WALL, y + 18), (NEAR, y + 18), hall.busiest());
    }
    pen.svg.close();
}

/// The class of idle boxes.
fn quiet(hall: &Hall<'_>) -> Option<&'static str> {
    hall.is_quiet().then_some("g")
}

/// Both ends, and the line between them.
fn doors(pen: &mut Pen, hall: &Hall<'_>, y: usize, remarks: &mut Footnotes) {
    let single = hall.near.is_none();
    door(pen, hall.far, single, (WALL - 8, y), Anchor::End, remarks);
    if let Some(near) = hall.near {
        pen.line((WALL, y - 4), (NEAR, y - 4), hall.busiest());
        door(pen, near, false, (NEAR + 8, y), Anchor::Start, remarks);
    }
}

fn door(
    pen: &mut Pen,
    door: &DoorState,
    single: bool,
    (x, y): (usize, usize),
    at: Anchor,
    remarks: &mut Footnotes,
) {
    let peer = door.peer_ifindex;
    let facts = [
        Some(format!("{} index {}", name(door), door.ifindex)),
        peer.map(|peer| format!("other end index {peer}")),
        door.mac.as_ref().map(|mac| safe(mac)),
        remark(door),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    pen.svg.open(None, &facts.join("; "));
    let mark = note(remarks, door);
    let class = if mark.is_some() { "w" } else { "d" };
    let mark = mark.map_or_else(String::new, |mark| format!(" {mark}"));
    let label = cut_middle(&name(door), NAME);
    let label = format!("{label} {}{mark}", index(door, single));
    pen.write(class, (x, y), at, &label);
    let outside = match door.side {
        Side::Host => " outside",
        Side::Node | Side::Pod => "",
    };
    let rates = format!("{} pkt/s{outside}", rates(door));
    pen.write("s", (x, y + 15), at, &rates);
    pen.svg.close();
}

//! One building: its rooms, and below them its own doors.

use std::collections::HashMap;

use super::{parts::Kind, pen::Pen, plan::Plan, street::Port};
use crate::{
    model::{DoorState, Role},
    views::{
        building::{Hall, Map, Segment, facts, layout::Building, residents, route::Flow},
        door::name,
        footnotes::Footnotes,
        text::{cut_end, cut_middle, cut_name, safe, visible_width},
    },
};

/// An interface's name has 15 bytes.
pub(super) const NAME: usize = 15;

/// What all buildings of a drawing share.
pub(super) struct House<'a> {
    pub(super) map: &'a Map<'a>,
    pub(super) plan: &'a Plan,
    /// Names of rooms as they are cut.
    names: HashMap<String, String>,
}

/// A building with its parts.
pub(super) struct Plot<'a> {
    building: &'a Building,
    rooms: Vec<Part<'a>>,
    gates: Vec<Part<'a>>,
    /// Rows, the walls included.
    pub(super) height: usize,
}

/// Some rows of a building.
enum Part<'a> {
    /// A line without a door.
    Text(String),
    Hall(Box<Unit<'a>>),
}

/// A hall, and what is written beside its doors.
pub(super) struct Unit<'a> {
    pub(super) hall: Hall<'a>,
    /// The pod's name.
    title: Option<String>,
    /// From the row of the doors on.
    left: Vec<String>,
    macs: Option<[String; 2]>,
    aside: &'static str,
}

impl Part<'_> {
    fn rows(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Hall(unit) => unit.rows(),
        }
    }
}

impl Unit<'_> {
    fn rows(&self) -> usize {
        let (title, macs) = (self.title.is_some(), self.macs.is_some());
        self.left.len() + 1 + usize::from(title) + usize::from(macs)
    }
}

impl<'a> House<'a> {
    pub(super) fn new(map: &'a Map<'a>, plan: &'a Plan) -> Self {
        let names = map.labels(plan.room());
        Self { map, plan, names }
    }

    pub(super) fn measure(&self, building: &'a Building) -> Plot<'a> {
        let (rooms, folded) = self.map.rooms(building);
        let mut rooms: Vec<_> = rooms.into_iter().map(|hall| self.room(hall)).collect();
        rooms.extend(folded.text(self.map).map(Part::Text));
        let (halls, folded) = self.map.gates(building);
        let mut gates = Vec::new();
        if self.map.route.is_none() {
            let residents = residents(building, self.plan.trunk.saturating_sub(4));
            gates.extend(residents.into_iter().map(Part::Text));
        }
        gates.extend(halls.into_iter().map(|hall| self.gate(building, hall)));
        if folded > 0 {
            let interfaces = if folded == 1 {
                "interface"
            } else {
                "interfaces"
            };
            gates.push(Part::Text(format!("+ {folded} other {interfaces}")));
        }
        let rows = rooms.iter().chain(&gates).map(Part::rows);
        let height = rows.sum::<usize>() + 2;
        Plot {
            building,
            rooms,
            gates,
            height,
        }
    }

    fn room(&self, hall: Hall<'a>) -> Part<'a> {
        let label = hall.label.to_string();
        let title = self.names.get(&label).unwrap_or(&label);
        let mut left = hall.addresses();
        // The prefix of a pod's address is that of a single host.
        for address in &mut left {
            let host = address.strip_suffix("/32").or(address.strip_suffix("/128"));
            *address = host.unwrap_or(address).to_owned();
        }
        left.resize(left.len().max(1), String::new());
        Part::Hall(Box::new(Unit {
            hall,
            title: Some(cut_name(title, self.plan.room())),
            left,
            macs: self.macs(&hall),
            aside: "",
        }))
    }

    fn gate(&self, building: &Building, hall: Hall<'a>) -> Part<'a> {
        let (purpose, addresses) = (hall.purpose(), hall.addresses());
        let whole = format!("{purpose} {}", addresses.join(" "));
        let whole = whole.trim();
        // Addresses that do not fit beside the door have lines of their own.
        let name = hall.far.map(|far| visible_width(&name(far)).min(NAME) + 7);
        let mut left = match visible_width(whole) <= self.beside(name) {
            true => vec![whole.to_owned()],
            false => [vec![purpose.to_owned()], addresses].concat(),
        };
        let figures = |far| visible_width(&self.map.figures(far, self.plan.rates)) + 1;
        let mut aside = self.map.aside(building, &hall);
        if visible_width(aside) > self.beside(hall.far.map(figures)) {
            left.push(aside.to_owned());
            aside = "";
        }
        Part::Hall(Box::new(Unit {
            hall,
            title: None,
            left,
            macs: self.macs(&hall),
            aside,
        }))
    }

    /// Columns beside a gate's far end, of which `far` are taken.
    fn beside(&self, far: Option<usize>) -> usize {
        match far {
            Some(taken) => self.plan.pod.saturating_sub(3 + taken),
            None => self.plan.near.saturating_sub(3),
        }
    }

    /// MAC addresses of the far and the near end.
    fn macs(&self, hall: &Hall<'_>) -> Option<[String; 2]> {
        let mac = |door: &DoorState| {
            door.mac
                .as_ref()
                .map(|mac| cut_end(&safe(mac), self.plan.pod.saturating_sub(6).min(17)))
        };
        let macs = [hall.far, hall.near].map(|door| door.and_then(mac));
        let known = self.plan.macs && macs.iter().any(Option::is_some);
        known.then(|| macs.map(Option::unwrap_or_default))
    }

    /// Draws a building, the gates at the bottom. Returns the places where others are joined.
    pub(super) fn draw(
        &self,
        pen: &mut Pen,
        plot: &Plot<'_>,
        (top, height): (usize, usize),
        remarks: &mut Footnotes,
    ) -> Vec<Port> {
        let plan = self.plan;
        let (name, rest) = self.map.heading(plot.building);
        let bottom = top + height - 1;
        let title = format!("{name} · {rest}");
        pen.frame([(0, top), (plan.house - 1, bottom)], true, false, &title);
        self.heading(pen, top, &name, &rest);
        let mut joints = Vec::new();
        let mut ports = Vec::new();
        let gates: usize = plot.gates.iter().map(Part::rows).sum();
        for (parts, mut y) in [(&plot.rooms, top + 1), (&plot.gates, bottom - gates)] {
            for part in parts {
                match part {
                    Part::Text(text) => {
                        let text = cut_end(text, plan.trunk - 3);
                        pen.write((2, y), false, (Kind::Small, false), text);
                    }
                    Part::Hall(unit) => {
                        let doors = y + usize::from(unit.title.is_some());
                        self.unit(pen, unit, (y, doors), remarks);
                        let stub = self.map.flow(&unit.hall, Segment::Stub);
                        joints.push((doors, stub));
                        ports.extend(self.ports(pen, unit, doors, remarks));
                    }
                }
                y += part.rows();
            }
        }
        self.trunk(pen, &joints);
        ports
    }

    /// The node's name, and its addresses on the other side.
    fn heading(&self, pen: &mut Pen, y: usize, name: &str, rest: &str) {
        let room = self.plan.house - 6;
        // In a picture, its letters are larger.
        let name = cut_middle(name, room * 2 / 3);
        let rest = cut_end(rest, room - visible_width(&name) * 5 / 4 - 2);
        pen.write((2, y), false, (Kind::Node, false), name);
        pen.write((self.plan.house - 3, y), true, (Kind::Small, false), rest);
    }

    /// The line that joins the node's doors: all of them, and above it those with packets.
    fn trunk(&self, pen: &mut Pen, joints: &[(usize, Flow)]) {
        let strongest = Flow::strongest(joints.iter().map(|(_, flow)| *flow));
        for flow in [Flow::Idle, Flow::Reply, strongest] {
            let rows = || {
                let crossed = joints
                    .iter()
                    .filter(|(_, it)| flow == Flow::Idle || !it.is_quiet());
                crossed.map(|(row, _)| *row)
            };
            if flow == Flow::Reply && strongest != flow {
                continue;
            }
            if let (Some(first), Some(last)) = (rows().min(), rows().max()) {
                pen.trunk(self.plan.trunk, (first, last), flow, false);
            }
        }
    }

    /// One hall: its texts, its doors and its lines, up to the trunk.
    fn unit(
        &self,
        pen: &mut Pen,
        unit: &Unit<'_>,
        (top, doors): (usize, usize),
        remarks: &mut Footnotes,
    ) {
        let (plan, hall) = (self.plan, &unit.hall);
        let quiet = match self.map.route {
            Some(_) => !self.map.is_crossed(hall),
            None => hall.flow().is_quiet(),
        };
        let figures = top + unit.rows() - 1;
        let mut indent = 2;
        if let Some(title) = &unit.title {
            let corners = [(2, top), (plan.pod, figures)];
            pen.frame(corners, false, quiet, &hall.label.to_string());
            pen.write((4, top), false, (Kind::Pod, quiet), title.clone());
            indent = 4;
        }
        let far = self.far(pen, unit, (doors, figures), quiet, remarks);
        for (place, text) in unit.left.iter().enumerate() {
            let taken = hall.far.map(|_| if place == 0 { far + 1 } else { 0 });
            let room = match unit.title {
                Some(_) => plan.pod.saturating_sub(5 + taken.unwrap_or(0)),
                None => self.beside(taken),
            };
            let text = cut_end(text, room);
            pen.write((indent, doors + place), false, (Kind::Small, quiet), text);
        }
        if let Some([far, near]) = &unit.macs {
            let y = figures - 1;
            pen.write((plan.pod - 2, y), true, (Kind::Small, quiet), far.clone());
            pen.write(
                (plan.near + 2, y),
                false,
                (Kind::Small, quiet),
                near.clone(),
            );
        }
        let aside = unit.aside.to_owned();
        pen.write((indent, figures), false, (Kind::Small, quiet), aside);
        let pair = self.map.flow(hall, Segment::Pair);
        let stub = self.map.flow(hall, Segment::Stub);
        let label = self.near(pen, hall, (doors, figures), quiet, remarks);
        match (hall.far, hall.near) {
            (Some(_), Some(_)) => pen.line((plan.pod + 1, plan.near - 1), doors, pair, false),
            (Some(_), None) => pen.line((plan.pod + 1, plan.trunk), doors, stub, false),
            (None, _) => {}
        }
        if hall.near.is_some() {
            pen.line((plan.near + 2 + label + 1, plan.trunk), doors, stub, false);
        }
    }

    /// The lines of an uplink or a tunnel through the wall.
    fn ports(
        &self,
        pen: &mut Pen,
        unit: &Unit<'_>,
        y: usize,
        remarks: &mut Footnotes,
    ) -> Vec<Port> {
        let (plan, hall) = (self.plan, &unit.hall);
        let wire = self.map.flow(hall, Segment::Wire);
        let mut ports = Vec::new();
        if hall.tunnel && plan.lanes[0] {
            let flow = self.map.flow(hall, Segment::Stub);
            pen.line(
                (plan.trunk + 1, plan.lane(true, pen.mirrored)),
                y,
                flow,
                true,
            );
            ports.push(Port {
                y,
                tunnel: true,
                flow,
            });
        }
        if hall.role != Role::Uplink {
            return ports;
        }
        let mut from = plan.trunk;
        if let Some(door) = hall.outside {
            let pair = self.map.flow(hall, Segment::Pair);
            let at = plan.house + 1;
            pen.line((from, at - 1), y, pair, false);
            pen.door((at, y), true, hall.role, (pair.is_quiet(), facts(door)));
            let width = self.outside(pen, door, (at + 2, y), pair.is_quiet(), remarks);
            from = at + 2 + width + 1;
        }
        if hall.wire && plan.lanes[1] {
            pen.line((from, plan.lane(false, pen.mirrored)), y, wire, false);
            ports.push(Port {
                y,
                tunnel: false,
                flow: wire,
            });
        } else if hall.outside.is_none() {
            pen.line((from, plan.house + 2), y, wire, false);
        }
        ports
    }
}

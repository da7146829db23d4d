//! The doors of a hall: their labels, and what is written below them.

use super::{
    node_box::{House, NAME, Unit},
    parts::Kind,
    pen::Pen,
};
use crate::{
    model::DoorState,
    views::{
        building::{Hall, facts, index, note, route::StopKind},
        door::name,
        footnotes::Footnotes,
        text::{cut_end, cut_middle, visible_width},
    },
};

impl House<'_> {
    /// The pod's end. Returns the columns of its name.
    pub(super) fn far(
        &self,
        pen: &mut Pen,
        unit: &Unit<'_>,
        (doors, figures): (usize, usize),
        quiet: bool,
        remarks: &mut Footnotes,
    ) -> usize {
        let Some(door) = unit.hall.far else {
            return 0;
        };
        let at = self.plan.pod;
        let index = index(door, unit.hall.near.is_none());
        let mark = note(remarks, door);
        let room = at.saturating_sub(5 + index.len() + mark.as_ref().map_or(0, |it| it.len() + 1));
        let text = format!("{} {index}", cut_middle(&name(door), room.min(NAME)));
        let mut width = visible_width(&text) + 1;
        pen.write((at - 2, doors), true, (Kind::Door, quiet), text);
        if let Some(mark) = mark {
            pen.write(
                ((at - 2).saturating_sub(width), doors),
                true,
                (Kind::Mark, false),
                mark.clone(),
            );
            width += mark.len() + 1;
        }
        pen.door((at, doors), false, unit.hall.role, (quiet, facts(door)));
        self.figures(pen, door, (at - 2, figures), true, quiet);
        width
    }

    /// The node's end. Returns the columns of its name.
    pub(super) fn near(
        &self,
        pen: &mut Pen,
        hall: &Hall<'_>,
        (doors, figures): (usize, usize),
        quiet: bool,
        remarks: &mut Footnotes,
    ) -> usize {
        let Some(door) = hall.near else {
            return 0;
        };
        let at = self.plan.near + 2;
        let look = Look {
            single: hall.is_single(),
            quiet,
            index: self.plan.index,
            name: NAME,
        };
        let width = label(pen, (at, doors), door, look, remarks);
        pen.door((at - 2, doors), true, hall.role, (quiet, facts(door)));
        self.figures(pen, door, (at, figures), false, quiet);
        width
    }

    fn figures(
        &self,
        pen: &mut Pen,
        door: &DoorState,
        (x, y): (usize, usize),
        right: bool,
        quiet: bool,
    ) {
        let Some(route) = &self.map.route else {
            let text = self.map.figures(door, self.plan.rates);
            // A far end's are beside the wall.
            let text = if right {
                cut_end(&text, x.saturating_sub(3))
            } else {
                text
            };
            return pen.write((x, y), right, (Kind::Figures, quiet), text);
        };
        let stops = route.stops.get(&door.id).map_or(&[][..], Vec::as_slice);
        // Always read from left to right.
        let backwards = right != pen.mirrored;
        let mut order: Vec<_> = stops.iter().collect();
        if backwards {
            order.reverse();
        }
        let mut at = x;
        for stop in order {
            let kind = match stop.kind {
                StopKind::Request => Kind::Request,
                StopKind::Reply => Kind::Reply,
                StopKind::Lost => Kind::Lost,
            };
            let end = if x > self.plan.house {
                x + self.plan.strip
            } else {
                self.plan.trunk
            };
            let room = if right {
                at.saturating_sub(3)
            } else {
                end.saturating_sub(at + 2)
            };
            let text = cut_end(&stop.text, room);
            let step = visible_width(&text) + 2;
            pen.write((at, y), right, (kind, false), text);
            at = if right {
                at.saturating_sub(step)
            } else {
                at + step
            };
        }
    }

    /// The end outside of the node; in a narrow drawing, without its figures. Returns the columns of its
    /// label.
    pub(super) fn outside(
        &self,
        pen: &mut Pen,
        door: &DoorState,
        (x, y): (usize, usize),
        quiet: bool,
        remarks: &mut Footnotes,
    ) -> usize {
        let look = Look {
            single: false,
            quiet,
            index: 0,
            name: if self.plan.narrow { 0 } else { NAME },
        };
        let width = label(pen, (x, y), door, look, remarks);
        if self.plan.narrow && self.map.route.is_none() {
            let name = cut_middle(&name(door), NAME);
            pen.write((x, y + 1), false, (Kind::Door, quiet), name);
        } else {
            self.figures(pen, door, (x, y + 1), false, quiet);
        }
        width
    }
}

/// How the label of a door looks.
#[derive(Clone, Copy)]
struct Look {
    single: bool,
    quiet: bool,
    /// Columns of the index and of the name.
    index: usize,
    name: usize,
}

/// Index, name and mark of a door, from a column on. Returns their columns.
fn label(
    pen: &mut Pen,
    (x, y): (usize, usize),
    door: &DoorState,
    look: Look,
    remarks: &mut Footnotes,
) -> usize {
    let index = index(door, look.single);
    let name = cut_middle(&name(door), look.name);
    // Right-aligned indexes, next to the line.
    let digits = look.index.max(index.len());
    let (text, pad) = match pen.mirrored {
        true => (format!("{name} {index:>digits$}"), 0),
        false => (format!("{index} {name}"), digits - index.len()),
    };
    let text = text.trim().to_owned();
    let mut width = pad + visible_width(&text);
    pen.write((x + pad, y), false, (Kind::Door, look.quiet), text);
    if let Some(mark) = note(remarks, door) {
        pen.write((x + width + 1, y), false, (Kind::Mark, false), mark.clone());
        width += 1 + mark.len();
    }
    width
}

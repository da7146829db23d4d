//! The columns of a drawing.

use crate::model::{DoorState, Role};
use crate::views::{
    building::{Hall, Map, Rates, index, note, remark},
    door::name,
    footnotes::Footnotes,
    text::visible_width,
};

/// The least and the greatest width of a building, if it is not narrow.
const NARROWEST: usize = 66;
const WIDEST: usize = 110;
/// The width of a building in a picture.
const PICTURE: usize = 80;
/// An interface's name has 15 bytes.
const NAME: usize = 15;
/// Columns of an Ethernet address, and of a rate that is not shortened.
const MAC: usize = 17;
const RATE: usize = 9;
/// The most columns of the doors outside of a node.
const STRIP: usize = 40;
/// Columns of the veth pair's line.
const PAIR: usize = 7;
const SHORT_PAIR: usize = 3;
/// Between the trunk and the wall.
const BEHIND_TRUNK: usize = 3;

/// The columns of a drawing. Those of a building count from its outer wall.
#[derive(Clone, Copy, Debug)]
pub(in crate::views::building) struct Plan {
    /// Columns of a building.
    pub(super) house: usize,
    /// Whether two buildings are beside each other.
    pub(super) beside: bool,
    /// Columns beside a building for the doors outside of it.
    pub(super) strip: usize,
    /// The tunnel and the network between the buildings.
    pub(super) lanes: [bool; 2],
    /// The pod's inner wall, the node's end of a veth pair, and the line that joins them.
    pub(super) pod: usize,
    pub(super) near: usize,
    pub(super) trunk: usize,
    /// Columns of an index.
    pub(super) index: usize,
    pub(super) rates: Rates,
    /// Whether interfaces outside of the nodes have no figures.
    pub(super) narrow: bool,
    /// Whether to show MAC addresses.
    pub(super) macs: bool,
}

/// What a plan is made for.
#[derive(Clone, Copy, Default)]
struct Shape {
    narrow: bool,
    beside: bool,
    macs: bool,
}

impl Plan {
    /// As many buildings beside each other as fit.
    pub(in crate::views::building) fn fitting(map: &Map<'_>, width: usize, macs: bool) -> Self {
        let several = map.buildings().len() > 1;
        let plan = |narrow, beside, least| {
            let columns = if beside { 2 } else { 1 };
            let shape = Shape {
                narrow,
                beside,
                macs,
            };
            let widest = Self::new(map, shape, WIDEST);
            let others = widest.width() - WIDEST * columns;
            let house = width.saturating_sub(others) / columns;
            (house >= least).then(|| Self::new(map, shape, house.min(WIDEST)))
        };
        let beside = several.then(|| plan(false, true, NARROWEST)).flatten();
        let below = || plan(false, false, NARROWEST);
        let narrow = || plan(true, false, 0);
        let plan = beside.or_else(below).or_else(narrow);
        plan.unwrap_or_else(|| Self::picture(map))
    }

    /// Two buildings beside each other, if there are several.
    pub(in crate::views::building) fn picture(map: &Map<'_>) -> Self {
        let several = map.buildings().len() > 1;
        Self::new(
            map,
            Shape {
                beside: several,
                ..Shape::default()
            },
            PICTURE,
        )
    }

    fn new(map: &Map<'_>, shape: Shape, house: usize) -> Self {
        let Shape {
            narrow,
            beside,
            macs,
        } = shape;
        let buildings = map.buildings();
        let halls = |it| [map.rooms(it).0, map.gates(it).0].concat();
        let halls: Vec<_> = buildings.iter().flat_map(|it| halls(*it)).collect();
        let short = narrow || map.rate_width(false) > RATE;
        let rates = Rates {
            width: map.rate_width(short),
            short,
        };
        let (digits, right) = near(map, &halls, rates, macs);
        // A pod has room, however wide the figures are.
        let right = right.min(house / 2);
        let strip = match outside(map, &halls, rates, narrow).min(STRIP) {
            0 if halls.iter().any(|hall| hall.role == Role::Uplink) => 3,
            0 => 1,
            label => label + 4,
        };
        let ways = [map.layout.tunnel(), map.layout.network()];
        let lanes = ways.map(|way| way.is_some() && buildings.len() > 1);
        let trunk = house.saturating_sub(1 + BEHIND_TRUNK);
        let near = trunk.saturating_sub(right + 4);
        let pair = if house < NARROWEST + 2 * PAIR {
            SHORT_PAIR
        } else {
            PAIR
        };
        Self {
            house,
            beside,
            strip,
            lanes,
            pod: near.saturating_sub(pair + 1),
            near,
            trunk,
            index: digits,
            rates,
            narrow,
            macs,
        }
    }

    /// The first column of the left or the right building.
    pub(super) fn left(&self, side: usize) -> usize {
        side * (self.house + 2 * self.strip + self.lanes())
    }

    /// Columns of the lanes between the buildings.
    fn lanes(&self) -> usize {
        match self.lanes {
            [false, false] => 0,
            [true, true] => 4,
            _ => 1,
        }
    }

    /// The column of the tunnel or of the network between the buildings, from the left or from the right.
    pub(super) fn lane(&self, tunnel: bool, mirrored: bool) -> usize {
        let first = self.house + self.strip;
        let lane = first + if tunnel || !self.lanes[0] { 0 } else { 3 };
        if mirrored {
            self.width() - 1 - lane
        } else {
            lane
        }
    }

    /// All columns.
    pub(in crate::views::building) fn width(&self) -> usize {
        match self.beside {
            true => self.left(1) + self.house,
            false => self.house + self.strip + self.lanes(),
        }
    }

    /// Columns between the walls of a pod.
    pub(super) fn room(&self) -> usize {
        self.pod.saturating_sub(5)
    }
}

fn widest(widths: impl Iterator<Item = usize>) -> usize {
    widths.max().unwrap_or(0)
}

/// Columns of the index of a node's end, and of all that is written beside or below it.
fn near(map: &Map<'_>, halls: &[Hall<'_>], rates: Rates, macs: bool) -> (usize, usize) {
    let mut remarks = Footnotes::default();
    let ends = halls.iter().filter_map(|hall| Some((hall, hall.near?)));
    let ends: Vec<_> = ends.collect();
    let digits = widest(
        ends.iter()
            .map(|(hall, door)| index(door, hall.is_single()).len()),
    );
    let marks = ends.iter().filter_map(|(_, door)| note(&mut remarks, door));
    let mark = widest(marks.map(|it| it.len() + 1));
    let name = widest(
        ends.iter()
            .map(|(_, door)| visible_width(&name(door)).min(NAME)),
    );
    let figures = widest(
        ends.iter()
            .map(|(_, door)| visible_width(&map.figures(door, rates))),
    );
    let mac = if macs { MAC } else { 0 };
    (digits, (digits + 1 + name + mark).max(mac).max(figures))
}

/// Columns of what is written beside or below an end outside of its node.
fn outside(map: &Map<'_>, halls: &[Hall<'_>], rates: Rates, narrow: bool) -> usize {
    let columns = |door: &DoorState| {
        let mark = if remark(door).is_some() { 5 } else { 0 };
        let name = visible_width(&name(door)).min(NAME);
        let index = index(door, false).len() + mark;
        let figures = visible_width(&map.figures(door, rates));
        match narrow {
            true if map.route.is_none() => index.max(name),
            true => index.max(name).max(figures),
            false => (index + 1 + name).max(figures),
        }
    };
    widest(halls.iter().filter_map(|hall| hall.outside).map(columns))
}

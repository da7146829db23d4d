//! Where everything is in a drawing, in columns and rows: the text and the picture are made from it.
//!
//! ```text
//! ┌ node ─────────────────────────────────────────────────┐
//! │ ┌ pod ────────────────┐                               │
//! │ │ address      eth0 8 ▐══════▌ 9 lxc4a891387ff1a ══╗  │
//! │ └─────── ▼ 9.0  ▲ 9.0 ┘        ▼ 9.0  ▲ 9.0        ║  │
//! │ tunnel to other nodes        ▌ 4 cilium_vxlan ═════╣╍╍╪╍╍┐
//! │ uplink                       ▌ 5 eth0 ═════════════╩══╪══╪══╗
//! └───────────────────────────────────────────────────────┘
//! ```
//!
//! A packet's way can be followed by eye: from the pod through its veth pair to the node, by the node's
//! trunk to the tunnel's device and to the uplink, and through the wall to the other nodes. Two
//! buildings are beside each other if the width allows; the right one is mirrored.

mod ends;
mod node_box;
mod plan;
mod street;

use super::{Map, route::Flow};
use crate::{model::Role, views::footnotes::Footnotes};
pub(super) use plan::Plan;

/// A drawing in columns and rows.
#[derive(Debug, Default)]
pub struct Scene {
    /// Columns and rows.
    pub size: (usize, usize),
    /// Nodes and pods.
    pub frames: Vec<Frame>,
    /// Lines between doors.
    pub lines: Vec<Line>,
    /// Doors.
    pub doors: Vec<Door>,
    /// Texts.
    pub labels: Vec<Label>,
}

/// A box; its corners belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The upper left corner.
    pub from: (usize, usize),
    /// The lower right corner.
    pub to: (usize, usize),
    /// Whether it is a node, or else a pod.
    pub is_node: bool,
    /// Whether nothing happens in it.
    pub quiet: bool,
    /// Its whole name.
    pub title: String,
}

/// A horizontal or vertical line; its ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// The left or upper end.
    pub from: (usize, usize),
    /// The right or lower end.
    pub to: (usize, usize),
    /// What it carries.
    pub flow: Flow,
    /// Whether it is the tunnel, which lies over the network.
    pub tunnel: bool,
}

/// A door in a wall, or at the end of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its place.
    pub at: (usize, usize),
    /// Whether its line leads to the left.
    pub left: bool,
    /// What it is for.
    pub role: Role,
    /// Whether nothing crosses it.
    pub quiet: bool,
    /// Everything about it.
    pub title: String,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its first column, or the last one if it is `right`.
    pub at: (usize, usize),
    /// Whether it ends at its place.
    pub right: bool,
    /// What it is.
    pub kind: Kind,
    /// Whether it is about something idle.
    pub quiet: bool,
    /// The text.
    pub text: String,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node's name.
    Node,
    /// A pod's name.
    Pod,
    /// A door's index and name.
    Door,
    /// Rates.
    Figures,
    /// The mark of a remark.
    Mark,
    /// An address, or another detail.
    Small,
    /// What the path's request did at a door.
    Request,
    /// What the path's reply did at a door.
    Reply,
    /// A loss.
    Lost,
}

/// Puts the parts of one building into the scene, mirrored on the right side of the street.
#[derive(Debug, Default)]
struct Pen {
    scene: Scene,
    left: usize,
    width: usize,
    mirrored: bool,
}

impl Pen {
    /// Moves to a building of `width` columns that begins at `left`: columns are relative to it.
    fn turn(&mut self, left: usize, width: usize, mirrored: bool) {
        (self.left, self.width, self.mirrored) = (left, width, mirrored);
    }

    fn x(&self, x: usize) -> usize {
        match self.mirrored {
            true => (self.left + self.width).saturating_sub(x + 1),
            false => self.left + x,
        }
    }

    fn frame(&mut self, [from, to]: [(usize, usize); 2], is_node: bool, quiet: bool, title: &str) {
        let [a, b] = [self.x(from.0), self.x(to.0)];
        self.scene.frames.push(Frame {
            from: (a.min(b), from.1),
            to: (a.max(b), to.1),
            is_node,
            quiet,
            title: title.to_owned(),
        });
    }

    /// A horizontal line.
    fn line(&mut self, (from, to): (usize, usize), y: usize, flow: Flow, tunnel: bool) {
        let [a, b] = [self.x(from), self.x(to)];
        self.scene.lines.push(Line {
            from: (a.min(b), y),
            to: (a.max(b), y),
            flow,
            tunnel,
        });
    }

    /// A vertical line.
    fn trunk(&mut self, x: usize, (from, to): (usize, usize), flow: Flow, tunnel: bool) {
        let x = self.x(x);
        self.scene.lines.push(Line {
            from: (x, from.min(to)),
            to: (x, from.max(to)),
            flow,
            tunnel,
        });
    }

    /// A door; `inward` if its line leads to the pod.
    fn door(&mut self, (x, y): (usize, usize), inward: bool, role: Role, about: (bool, String)) {
        self.scene.doors.push(Door {
            at: (self.x(x), y),
            left: inward != self.mirrored,
            role,
            quiet: about.0,
            title: about.1,
        });
    }

    /// A text that begins at a column, or ends there if it is `right`.
    fn write(&mut self, (x, y): (usize, usize), right: bool, look: (Kind, bool), text: String) {
        if !text.is_empty() {
            self.scene.labels.push(Label {
                at: (self.x(x), y),
                right: right != self.mirrored,
                kind: look.0,
                quiet: look.1,
                text,
            });
        }
    }
}

impl Label {
    /// Its first column and the one behind it.
    #[must_use]
    pub fn columns(&self) -> (usize, usize) {
        let width = crate::views::text::visible_width(&self.text);
        match self.right {
            true => ((self.at.0 + 1).saturating_sub(width), self.at.0 + 1),
            false => (self.at.0, self.at.0 + width),
        }
    }
}

/// Draws all buildings that `plan` has room for. Returns the remarks about their doors as well.
pub(super) fn draw(map: &Map<'_>, plan: &Plan) -> (Scene, Footnotes) {
    let mut pen = Pen::default();
    let mut remarks = Footnotes::default();
    let house = node_box::House::new(map, plan);
    let mut ports = Vec::new();
    let mut top = 0;
    let row = if plan.beside { 2 } else { 1 };
    for buildings in map.buildings().chunks(row) {
        let plots: Vec<_> = buildings.iter().map(|it| house.measure(it)).collect();
        let height = plots.iter().map(|plot| plot.height).max().unwrap_or(0);
        for (side, plot) in plots.iter().enumerate() {
            pen.turn(plan.left(side), plan.house, side == 1);
            ports.extend(house.draw(&mut pen, plot, (top, height), &mut remarks));
        }
        top += height + 1;
    }
    street::draw(&mut pen, plan, &ports);
    let mut scene = pen.scene;
    scene.size = (plan.width(), top.saturating_sub(1));
    (scene, remarks)
}

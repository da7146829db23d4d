//! The parts of a scene.

use crate::{
    model::Role,
    views::{building::route::Flow, text::visible_width},
};

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

impl Label {
    /// Its first column and the one behind it.
    #[must_use]
    pub fn columns(&self) -> (usize, usize) {
        let width = visible_width(&self.text);
        match self.right {
            true => ((self.at.0 + 1).saturating_sub(width), self.at.0 + 1),
            false => (self.at.0, self.at.0 + width),
        }
    }
}

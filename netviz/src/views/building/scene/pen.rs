//! A pen that draws one building at a time.

use super::parts::{Door, Frame, Kind, Label, Line, Scene};
use crate::{model::Role, views::building::route::Flow};

/// Puts the parts of one building into the scene, mirrored on the right side of the street.
#[derive(Debug, Default)]
pub(super) struct Pen {
    pub(super) scene: Scene,
    left: usize,
    width: usize,
    pub(super) mirrored: bool,
}

impl Pen {
    /// Moves to a building of `width` columns that begins at `left`: columns are relative to it.
    pub(super) fn turn(&mut self, left: usize, width: usize, mirrored: bool) {
        (self.left, self.width, self.mirrored) = (left, width, mirrored);
    }

    fn x(&self, x: usize) -> usize {
        match self.mirrored {
            true => (self.left + self.width).saturating_sub(x + 1),
            false => self.left + x,
        }
    }

    pub(super) fn frame(
        &mut self,
        [from, to]: [(usize, usize); 2],
        is_node: bool,
        quiet: bool,
        title: &str,
    ) {
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
    pub(super) fn line(&mut self, (from, to): (usize, usize), y: usize, flow: Flow, tunnel: bool) {
        let [a, b] = [self.x(from), self.x(to)];
        self.scene.lines.push(Line {
            from: (a.min(b), y),
            to: (a.max(b), y),
            flow,
            tunnel,
        });
    }

    /// A vertical line.
    pub(super) fn trunk(&mut self, x: usize, (from, to): (usize, usize), flow: Flow, tunnel: bool) {
        let x = self.x(x);
        self.scene.lines.push(Line {
            from: (x, from.min(to)),
            to: (x, from.max(to)),
            flow,
            tunnel,
        });
    }

    /// A door; `inward` if its line leads to the pod.
    pub(super) fn door(
        &mut self,
        (x, y): (usize, usize),
        inward: bool,
        role: Role,
        about: (bool, String),
    ) {
        self.scene.doors.push(Door {
            at: (self.x(x), y),
            left: inward != self.mirrored,
            role,
            quiet: about.0,
            title: about.1,
        });
    }

    /// A text that begins at a column, or ends there if it is `right`.
    pub(super) fn write(
        &mut self,
        (x, y): (usize, usize),
        right: bool,
        look: (Kind, bool),
        text: String,
    ) {
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

//! The areas of the screen.

use ratatui::layout::{Constraint, Layout, Rect};

/// The parts that are shown besides the list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    /// Titles of columns.
    pub(super) heading: bool,
    pub(super) details: bool,
    /// The output of a command, in place of the details.
    pub(super) pane: bool,
}

/// The parts of the screen; an empty one is not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// The line at the top.
    pub(super) header: Rect,
    /// Titles of the list's columns.
    pub(super) heading: Rect,
    /// Nodes, pods and doors.
    pub(super) list: Rect,
    /// Details of the selected row, or a command's output; the first line is a rule.
    pub(super) details: Rect,
    /// Progress or sources, and keys.
    pub(super) footer: Rect,
}

/// From this width on, the details are beside the list.
const WIDE: u16 = 110;
/// Columns of the list beside details, with each door's state, and a blank one.
const LIST: u16 = 74;
/// From this height on, the details are below the list.
const HIGH: u16 = 14;

/// Divides a screen.
#[must_use]
pub(super) fn places(area: Rect, parts: Parts) -> Places {
    let footer = match area.height {
        0..=2 => 0,
        3..=9 => 1,
        _ => 2,
    };
    let header = u16::from(area.height >= 2);
    let [header, body, footer] = area.layout(&Layout::vertical([
        Constraint::Length(header),
        Constraint::Fill(1),
        Constraint::Length(footer),
    ]));
    let (list, details) = match parts {
        // Too small for both.
        Parts { pane: true, .. } if area.height < HIGH => (Rect::ZERO, body),
        Parts { pane: true, .. } => above(body, 2, 5),
        Parts { details: false, .. } => (body, Rect::ZERO),
        Parts { details: true, .. } if area.width >= WIDE => {
            // With a blank column between them.
            let left = LIST.max(area.width * 11 / 20) - 1;
            let columns = [Constraint::Length(left), Constraint::Fill(1)];
            let [list, details] = body.layout(&Layout::horizontal(columns).spacing(1));
            (list, details)
        }
        Parts { details: true, .. } if area.height >= HIGH => above(body, 11, 20),
        Parts { details: true, .. } => (Rect::ZERO, body),
    };
    let heading = u16::from(parts.heading && list.height >= 3);
    let [heading, list] = list.layout(&Layout::vertical([
        Constraint::Length(heading),
        Constraint::Fill(1),
    ]));
    Places {
        header,
        heading,
        list,
        details,
        footer,
    }
}

/// The upper `part` of `whole` equal parts, and the rest.
fn above(area: Rect, part: u16, whole: u16) -> (Rect, Rect) {
    let upper = Constraint::Length(area.height * part / whole);
    let [upper, lower] = area.layout(&Layout::vertical([upper, Constraint::Fill(1)]));
    (upper, lower)
}

/// Whether a screen has room for the list and details.
pub(super) fn has_room_for_both(area: Rect) -> bool {
    area.width >= WIDE || area.height >= HIGH
}

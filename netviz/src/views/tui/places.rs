//! The areas of the screen.

use ratatui::layout::{Constraint, Layout, Rect};

/// The parts of the screen; an empty one is not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The line at the top.
    pub header: Rect,
    /// Nodes, pods and doors.
    pub list: Rect,
    /// Details of the selected row; the first line is a rule.
    pub details: Rect,
    /// Progress or sources, and keys.
    pub footer: Rect,
}

/// From this width on, the details are beside the list.
const WIDE: u16 = 110;
/// Columns of the list beside details, with each door's state, and a blank one.
const LIST: u16 = 74;
/// From this height on, the details are below the list.
const HIGH: u16 = 14;

/// Divides a screen, with or without details.
#[must_use]
pub fn places(area: Rect, details: bool) -> Places {
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
    let (list, details) = match details {
        false => (body, Rect::ZERO),
        true if area.width >= WIDE => {
            // With a blank column between them.
            let left = LIST.max(area.width * 11 / 20) - 1;
            let columns = [Constraint::Length(left), Constraint::Fill(1)];
            let [list, details] = body.layout(&Layout::horizontal(columns).spacing(1));
            (list, details)
        }
        true if area.height >= HIGH => {
            let upper = Constraint::Length(body.height * 11 / 20);
            let [list, details] = body.layout(&Layout::vertical([upper, Constraint::Fill(1)]));
            (list, details)
        }
        // Too small for both.
        true => (Rect::ZERO, body),
    };
    Places {
        header,
        list,
        details,
        footer,
    }
}

/// Whether a screen has room for the list and details.
pub(super) fn has_room_for_both(area: Rect) -> bool {
    area.width >= WIDE || area.height >= HIGH
}

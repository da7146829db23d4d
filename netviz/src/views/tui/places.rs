//! What stands where on the screen.

use ratatui::layout::Rect;

/// The parts of the screen; an empty one is not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The line at the top.
    pub header: Rect,
    /// The building.
    pub building: Rect,
    /// What is known of the selected row; its first line is a rule.
    pub details: Rect,
    /// Attaching, sources, keys.
    pub footer: Rect,
}

/// From so many columns on, the details stand beside the building.
const WIDE: u16 = 110;
/// Columns of the building that is not alone, and a blank one: with the word for each door's state.
const BUILDING: u16 = 74;
/// From so many rows on, there is room for details under the building.
const HIGH: u16 = 14;

/// Divides a screen; `details` says whether they are wanted.
#[must_use]
pub fn places(area: Rect, details: bool) -> Places {
    let footer = match area.height {
        0..=2 => 0,
        3..=9 => 1,
        _ => 2,
    };
    let header = u16::from(area.height >= 2);
    let body = Rect {
        y: area.y + header,
        height: area.height - header - footer,
        ..area
    };
    let (building, details) = match details {
        false => (body, Rect::ZERO),
        true if area.width >= WIDE => {
            let left = BUILDING.max(area.width * 11 / 20);
            beside(body, left)
        }
        true if area.height >= HIGH => under(body, body.height * 11 / 20),
        // Too small for both.
        true => (Rect::ZERO, body),
    };
    Places {
        header: Rect {
            height: header,
            ..area
        },
        building,
        details,
        footer: Rect {
            y: area.y + area.height - footer,
            height: footer,
            ..area
        },
    }
}

/// Whether a screen has room for the building and details.
pub(super) fn has_room_for_both(area: Rect) -> bool {
    area.width >= WIDE || area.height >= HIGH
}

fn beside(body: Rect, left: u16) -> (Rect, Rect) {
    // With a blank column between them.
    let building = Rect {
        width: left - 1,
        ..body
    };
    let details = Rect {
        x: body.x + left,
        width: body.width - left,
        ..body
    };
    (building, details)
}

fn under(body: Rect, upper: u16) -> (Rect, Rect) {
    let building = Rect {
        height: upper,
        ..body
    };
    let details = Rect {
        y: body.y + upper,
        height: body.height - upper,
        ..body
    };
    (building, details)
}

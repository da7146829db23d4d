//! Draws the whole screen.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
    widgets::Clear,
};

use super::{help::HELP, list, places::places, state::State};
use crate::{
    model::State as Sight,
    views::{
        lines::word,
        sources,
        table::Sort,
        text::{cut_end, safe, visible_width},
    },
};

/// Draws all of it; nothing is remembered between two drawings.
pub fn draw(frame: &mut Frame, state: &State) {
    let area = frame.area();
    let places = places(area, state.details);
    let title = Style::new().add_modifier(Modifier::BOLD);
    put(frame, places.header, 0, &header(state), title);
    list::draw(frame.buffer_mut(), places.building, state);
    details(frame, places.details, state);
    let footer = places.footer;
    let keys = footer.height.saturating_sub(1);
    if footer.height > 1 {
        put(frame, footer, 0, &status(state), Style::new());
    }
    put(
        frame,
        footer,
        keys,
        &prompt(state),
        Style::new().add_modifier(Modifier::DIM),
    );
    if state.help {
        help(frame, area);
    }
}

/// One line of text, cut to the area.
fn put(frame: &mut Frame, area: Rect, line: u16, text: &str, style: Style) {
    if line < area.height {
        let text = cut_end(text, usize::from(area.width));
        let (x, y) = (area.x, area.y + line);
        frame
            .buffer_mut()
            .set_line(x, y, &Line::styled(text, style), area.width);
    }
}

fn header(state: &State) -> String {
    let mut text = "netviz".to_owned();
    if let Some(snapshot) = &state.shown {
        text += &format!("  {} doors", snapshot.doors.len());
        let states = [Sight::Counting, Sight::Blind, Sight::Bypassed, Sight::Gone];
        for (place, of) in states.into_iter().enumerate() {
            let number = snapshot
                .doors
                .iter()
                .filter(|door| door.state == of)
                .count();
            if number > 0 || place < 2 {
                let sign = if place == 0 { ":" } else { "," };
                text += &format!("{sign} {number} {}", word(of));
            }
        }
        if let Some(window) = snapshot.window_seconds {
            text += &format!("  window {window:.1} s");
        }
    }
    if state.paused {
        text += "  PAUSED";
    }
    if state.sort != Sort::Place {
        text += &format!("  by {}", format!("{:?}", state.sort).to_lowercase());
    }
    if !state.filter.is_empty() && !state.typing {
        text += &format!("  /{}", safe(&state.filter));
    }
    text
}

/// Attaching, or where the names come from, and what there is to know of the whole.
fn status(state: &State) -> String {
    if let Some(attaching) = &state.attaching {
        return attaching.clone();
    }
    let Some(snapshot) = &state.shown else {
        return String::new();
    };
    let mut text = format!("names: {}", sources::line(snapshot));
    if let Some(note) = snapshot.notes.first() {
        text += &format!("  {note}");
    }
    safe(&text)
}

fn prompt(state: &State) -> String {
    if state.typing {
        return format!("/{}█   Enter keeps it, Esc clears it", safe(&state.filter));
    }
    "q quit  ? help  / filter  s sort  p pause  Enter details  [ ] scroll them".into()
}

fn details(frame: &mut Frame, area: Rect, state: &State) {
    if area.is_empty() {
        return;
    }
    let width = usize::from(area.width);
    let beside = area.x > 0;
    let inner = width.saturating_sub(2);
    let (title, lines) = state.detail_lines(inner);
    let height = usize::from(area.height - 1);
    let down = state.down.min(lines.len().saturating_sub(height));
    let more = lines.len().saturating_sub(height + down);
    let more = if more > 0 {
        format!(" ↓ {more} more ")
    } else {
        String::new()
    };
    let room = width.saturating_sub(4 + visible_width(&more));
    let corner = if beside { "┌─" } else { "──" };
    let title = format!("{corner} {} ", cut_end(&title, room.saturating_sub(2)));
    let rule = "─".repeat(width.saturating_sub(visible_width(&title) + visible_width(&more)));
    put(
        frame,
        area,
        0,
        &format!("{title}{rule}{more}"),
        Style::new(),
    );
    let border = if beside { "│ " } else { "  " };
    for (y, place) in (1..area.height).zip(down..) {
        let line = lines.get(place).map_or("", String::as_str);
        put(frame, area, y, &format!("{border}{line}"), Style::new());
    }
}

fn help(frame: &mut Frame, area: Rect) {
    let widest = HELP
        .iter()
        .map(|line| visible_width(line))
        .max()
        .unwrap_or(0);
    let width = u16::try_from(widest + 4)
        .unwrap_or(u16::MAX)
        .min(area.width);
    let height = u16::try_from(HELP.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let framed = usize::from(height) >= HELP.len() + 2;
    // Where there is no room for a frame, nothing stands beside it that could be taken for help.
    let window = match framed {
        true => Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        },
        false => area,
    };
    frame.render_widget(Clear, window);
    if framed {
        frame.render_widget(
            ratatui::widgets::Block::bordered().title(" netviz "),
            window,
        );
    }
    for (place, line) in (0..height).zip(HELP) {
        let inner = Rect {
            x: window.x + 2.min(window.width),
            width: window.width.saturating_sub(4),
            ..window
        };
        put(frame, inner, place + u16::from(framed), line, Style::new());
    }
}

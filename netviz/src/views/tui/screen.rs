//! Draws the whole screen.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::Modifier,
    text::{Line, Text},
    widgets::{Block, Borders, Clear, Padding, Paragraph},
};

use super::{help::HELP, list, places::places, state::State};
use crate::views::{
    order::Sort,
    sources, summary,
    text::{cut_end, safe, visible_width, widest},
};

/// Draws the whole screen.
pub fn draw(frame: &mut Frame, state: &State) {
    let area = frame.area();
    let places = places(area, state.details);
    put(frame, places.header, &header(state), Modifier::BOLD);
    list::draw(frame, places.list, state);
    details(frame, places.details, state);
    let mut footer = places.footer.rows();
    let message = state.message.as_deref().map(safe);
    if (places.footer.height > 1 || message.is_some())
        && let Some(row) = footer.next()
    {
        let style = message
            .as_ref()
            .map_or(Modifier::empty(), |_| Modifier::BOLD);
        put(frame, row, &message.unwrap_or_else(|| status(state)), style);
    }
    if let Some(row) = footer.next() {
        put(frame, row, &prompt(state), Modifier::DIM);
    }
    if state.help {
        help(frame, area);
    }
}

/// One line of text, cut to the area.
fn put(frame: &mut Frame, area: Rect, text: &str, style: Modifier) {
    let text = cut_end(text, usize::from(area.width));
    frame.render_widget(Line::styled(text, style), area);
}

fn header(state: &State) -> String {
    let mut text = "netviz".to_owned();
    if let Some(snapshot) = &state.shown {
        text += &format!("  {} interfaces", snapshot.doors.len());
        for (status, number) in summary::states(snapshot) {
            text += &format!("  {number} {}", status.word());
        }
        text += &summary::window(snapshot);
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

/// Progress of attaching; then the sources of names and the first note.
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
    let block = match area.x > 0 {
        true => Block::new()
            .borders(Borders::TOP | Borders::LEFT)
            .padding(Padding::left(1)),
        false => Block::new().borders(Borders::TOP).padding(Padding::left(2)),
    };
    let inner = block.inner(area);
    let (title, lines) = state.detail_lines(usize::from(inner.width));
    let height = usize::from(inner.height);
    let down = state.down.min(lines.len().saturating_sub(height));
    let more = match lines.len().saturating_sub(height + down) {
        0 => String::new(),
        more => format!(" ↓ {more} more "),
    };
    let room = usize::from(inner.width).saturating_sub(visible_width(&more) + 2);
    let block = block
        .title(format!(" {} ", cut_end(&title, room)))
        .title(Line::raw(more).right_aligned());
    let lines = lines.into_iter().skip(down).take(height).map(Line::raw);
    let text = Paragraph::new(Text::from_iter(lines)).block(block);
    frame.render_widget(text, area);
}

fn help(frame: &mut Frame, area: Rect) {
    let size = |inner: usize| u16::try_from(inner).unwrap_or(u16::MAX);
    let (width, height) = (size(widest(&HELP) + 4), size(HELP.len() + 2));
    // Without a frame, the help covers the whole screen.
    let (window, block) = match height <= area.height {
        true => {
            let size = [width, height].map(Constraint::Length);
            let block = Block::bordered().title(" netviz ");
            let window = area.centered(size[0], size[1]);
            (window, block.padding(Padding::horizontal(1)))
        }
        false => (area, Block::new().padding(Padding::horizontal(2))),
    };
    let inner = usize::from(block.inner(window).width);
    let lines = HELP.iter().map(|line| Line::raw(cut_end(line, inner)));
    frame.render_widget(Clear, window);
    frame.render_widget(Paragraph::new(Text::from_iter(lines)).block(block), window);
}

//! Draws the whole screen.

use std::{collections::HashSet, time::Duration};

use crossterm::event::{KeyEvent, MouseEvent};
use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::Modifier,
    text::{Line, Text},
    widgets::{Block, Borders, Clear, Padding, Paragraph},
};

use super::{header, help::HELP, keys::Action, list, page::Page, state::State};
use crate::{
    model::{DoorId, Snapshot},
    views::text::{ascii, cut_end, visible_width, widest},
};

impl Page for State {
    fn update(&mut self, snapshot: Snapshot, now: Duration) {
        Self::update(self, snapshot, now);
    }

    fn set_attaching(&mut self, text: Option<String>) {
        Self::set_attaching(self, text);
    }

    fn set_message(&mut self, text: String) {
        Self::set_message(self, text);
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        Self::resize(self, columns, rows);
    }

    fn key(&mut self, key: KeyEvent) -> Action {
        Self::key(self, key)
    }

    fn mouse(&mut self, mouse: MouseEvent) -> Action {
        Self::mouse(self, mouse)
    }

    fn draw(&self, frame: &mut Frame) {
        draw(frame, self);
    }

    fn flow_doors(&self) -> HashSet<DoorId> {
        let flows = self.pane.as_ref().and_then(|pane| pane.flows.clone());
        flows.unwrap_or_default()
    }

    fn pane_line(&mut self, line: &str) {
        Self::pane_line(self, line);
    }

    fn pane_ended(&mut self, how: String) {
        Self::pane_ended(self, how);
    }
}

/// Draws the whole screen.
pub fn draw(frame: &mut Frame, state: &State) {
    let area = frame.area();
    let places = state.places();
    let width = usize::from(area.width);
    frame.render_widget(header::header(state, width), places.header);
    list::draw(frame, &places, state);
    side(frame, places.details, state);
    let mut footer = places.footer.rows();
    // In few rows, a message takes the place of the keys.
    if (places.footer.height > 1 || state.message.is_some())
        && let Some(row) = footer.next()
    {
        frame.render_widget(header::status(state, width), row);
    }
    if let Some(row) = footer.next() {
        let prompt = cut_end(&header::prompt(state), width);
        frame.render_widget(Line::styled(prompt, Modifier::DIM), row);
    }
    if state.help {
        help(frame, area);
    }
    if state.options.ascii {
        for cell in &mut frame.buffer_mut().content {
            let plain = ascii(cell.symbol());
            if plain != cell.symbol() {
                cell.set_symbol(&plain);
            }
        }
    }
}

/// The details, or the output of a command.
fn side(frame: &mut Frame, area: Rect, state: &State) {
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
    let (title, lines, down) = state.side(usize::from(inner.width));
    let height = usize::from(inner.height);
    let down = down.min(lines.len().saturating_sub(height));
    let mut more = match lines.len().saturating_sub(height + down) {
        0 => String::new(),
        more => format!(" ↓ {more} more "),
    };
    if let Some(pane) = &state.pane {
        more = format!(" {} {more}", pane.status());
    }
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

//! What keys and the mouse do.

use clap::ValueEnum as _;
use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;

use super::{
    rows::Row,
    state::{State, first},
};
use crate::views::order::Sort;

/// What to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing has changed.
    Nothing,
    /// Draw the screen.
    Draw,
    /// Quit.
    Quit,
}

/// Lines by which the wheel moves.
const WHEEL: isize = 3;

impl State {
    /// Applies a key.
    pub fn key(&mut self, key: KeyEvent) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        self.message = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'C')) {
            return Action::Quit;
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return Action::Nothing;
        }
        if self.typing {
            return self.type_filter(key.code);
        }
        if self.help {
            // Any other key closes it.
            self.help = false;
            return match key.code {
                KeyCode::Char('q') => Action::Quit,
                _ => Action::Draw,
            };
        }
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                self.arrange();
            }
            KeyCode::Char('s') => {
                self.sort = next(self.sort);
                self.arrange();
            }
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Enter => {
                self.details = !self.details;
                self.select(self.place);
            }
            KeyCode::Char('[') => self.down = self.down.saturating_sub(1),
            // Drawing stops it at the end.
            KeyCode::Char(']') => self.down = (self.down + 1).min(self.last_line()),
            code => return self.walk(code),
        }
        Action::Draw
    }

    fn walk(&mut self, code: KeyCode) -> Action {
        let page = isize::try_from(self.places().list.height.max(2) - 1).unwrap_or(1);
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(page),
            KeyCode::PageUp => self.step(-page),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Left | KeyCode::Char('h') => self.out(),
            KeyCode::Right | KeyCode::Char('l') => self.inside(),
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    /// Applies the mouse: a click selects, the wheel scrolls.
    pub fn mouse(&mut self, mouse: MouseEvent) -> Action {
        let at = Position::new(mouse.column, mouse.row);
        let places = self.places();
        if self.help {
            return Action::Nothing;
        }
        match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) if places.list.contains(at) => {
                let height = usize::from(places.list.height);
                let top = first(self.top, self.place, self.rows.len(), height);
                let place = top + usize::from(at.y - places.list.y);
                if place >= self.rows.len() {
                    return Action::Nothing;
                }
                self.select(place);
            }
            MouseEventKind::ScrollDown => self.wheel(places.details.contains(at), WHEEL),
            MouseEventKind::ScrollUp => self.wheel(places.details.contains(at), -WHEEL),
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    fn wheel(&mut self, details: bool, lines: isize) {
        if details {
            self.down = self.down.saturating_add_signed(lines).min(self.last_line());
        } else {
            self.step(lines);
        }
    }

    fn step(&mut self, rows: isize) {
        self.select(self.place.saturating_add_signed(rows));
    }

    /// Selects the row that this one belongs to; at a node, hides its groups.
    fn out(&mut self) {
        match self.row() {
            Some(&Row::Node { netns, .. }) => {
                self.folded.insert(netns);
                self.arrange();
            }
            Some(row) => {
                let door = matches!(row, Row::Door { .. });
                let above = self.rows[..self.place].iter().rposition(|row| match row {
                    Row::Node { .. } => true,
                    Row::Group { .. } => door,
                    Row::Door { .. } => false,
                });
                self.select(above.unwrap_or(0));
            }
            None => {}
        }
    }

    /// Shows a node's groups; elsewhere, selects the next row.
    fn inside(&mut self) {
        match self.row() {
            Some(&Row::Node { netns, folded, .. }) if folded => {
                self.folded.remove(&netns);
                self.arrange();
            }
            Some(Row::Node { .. } | Row::Group { .. }) => self.step(1),
            Some(Row::Door { .. }) | None => {}
        }
    }

    fn type_filter(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace if self.filter.pop().is_none() => self.typing = false,
            KeyCode::Backspace => {}
            KeyCode::Char(c) => self.filter.push(c),
            KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown => {
                return self.walk(code);
            }
            _ => return Action::Nothing,
        }
        self.arrange();
        Action::Draw
    }
}

fn next(sort: Sort) -> Sort {
    let all = Sort::value_variants();
    let place = all.iter().position(|it| *it == sort);
    all[place.map_or(0, |place| place + 1) % all.len()]
}

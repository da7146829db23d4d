//! What keys and the mouse do.

use clap::ValueEnum as _;
use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;

use super::{
    command_line::CommandLine,
    rows::Row,
    state::{State, Unit},
};
use crate::views::order::Sort;

/// What to do after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing has changed.
    Nothing,
    /// Draw the screen.
    Draw,
    /// Clear the screen, and draw all of it.
    Repaint,
    /// Run a command; its output belongs in the pane.
    Run(CommandLine),
    /// End the command: its pane is closed.
    Close,
    /// Copy a text to the clipboard.
    Copy(String),
    /// Stop this process, as Ctrl-Z does.
    Suspend,
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
        let message = self.message.take().is_some();
        match self.press(key) {
            Action::Nothing if message => Action::Draw,
            action => action,
        }
    }

    fn press(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'C') => Action::Quit,
                KeyCode::Char('l' | 'L') => Action::Repaint,
                KeyCode::Char('z' | 'Z') => Action::Suspend,
                _ => Action::Nothing,
            };
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
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
        self.command(key.code)
    }

    fn command(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('e') => {
                if !self.select_problem() {
                    self.message = Some("no interface is losing or blind".into());
                }
            }
            KeyCode::Char('v') => return self.verify(),
            KeyCode::Char('a') => return self.audit(),
            KeyCode::Char('f') => return self.flows(),
            KeyCode::Char('y') => return self.copy(),
            KeyCode::Esc => return self.cancel(),
            KeyCode::Enter => {
                self.details = !self.details;
                self.settle();
            }
            KeyCode::Char('[') => self.scroll(-1),
            KeyCode::Char(']') => self.scroll(1),
            KeyCode::Char('s' | 'u' | 't' | 'c' | 'i') => self.set(code),
            code => return self.walk(code),
        }
        Action::Draw
    }

    /// Changes a setting; the selection stays.
    fn set(&mut self, code: KeyCode) {
        let settings = &mut self.settings;
        match code {
            KeyCode::Char('s') => settings.sort = next(settings.sort),
            KeyCode::Char('u') => {
                settings.unit = match settings.unit {
                    Unit::Packets => Unit::Bits,
                    Unit::Bits => Unit::Both,
                    Unit::Both => Unit::Packets,
                }
            }
            KeyCode::Char('t') => settings.figures = !settings.figures,
            KeyCode::Char('c') => settings.compact = !settings.compact,
            _ => settings.hide_idle = !settings.hide_idle,
        }
        self.arrange();
    }

    /// Closes the pane, or forgets the sender, or clears the filter.
    fn cancel(&mut self) -> Action {
        if self.pane.take().is_some() {
            self.settle();
            return Action::Close;
        }
        if self.sender.take().is_some() {
            return Action::Draw;
        }
        if self.filter.is_empty() {
            return Action::Nothing;
        }
        self.filter.clear();
        self.arrange();
        Action::Draw
    }

    fn walk(&mut self, code: KeyCode) -> Action {
        let page = isize::try_from(self.places().list.height.max(2) - 1).unwrap_or(1);
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.step(page),
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
                let place = self.top + usize::from(at.y - places.list.y);
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
            self.scroll(lines);
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
            // A filter that cannot be read stays on the line, with the reason.
            KeyCode::Enter => self.typing = self.mistake.is_some(),
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

//! `netviz flows` on a terminal: the table, refreshed in place.
//!
//! Pure, as the live screen: takes snapshots and keys, and draws.

use std::{collections::HashSet, time::Duration};

use clap::ValueEnum as _;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Text},
    widgets::Paragraph,
};

use super::{
    interfaces::interfaces,
    pair_table,
    pairs::PairReport,
    report::{FlowReport, FlowSort, Selected},
    table,
};
use crate::{
    model::{DoorId, Snapshot},
    views::{
        filter::Filter,
        query::{Key, QueryError, parse},
        text::{Style, ascii, clock, cut_end, safe, visible_width},
        tui::{Action, Page},
    },
};

/// Lines by which the wheel moves.
const WHEEL: isize = 3;

const KEYS: &str = "q quit  / filter  s sort  b flows or pairs  p pause  ↑ ↓ PgUp PgDn scroll";

/// Options of the screen.
#[derive(Clone, Debug, Default)]
pub struct FlowScreenOptions {
    /// Draw with ASCII characters only. Names keep their characters.
    pub ascii: bool,
    /// Interfaces at which to count.
    pub filter: Filter,
    /// Which flows to show.
    pub selected: Selected,
    /// The filter of flows, as it was typed.
    pub query: String,
    /// Whether to show pairs.
    pub by_pair: bool,
    /// The time zone of the clock [default: UTC].
    pub zone: Option<TimeZone>,
}

/// Everything on the screen.
#[derive(Debug, Default)]
pub struct FlowScreen {
    options: FlowScreenOptions,
    shown: Option<Snapshot>,
    doors: HashSet<DoorId>,
    typing: bool,
    mistake: Option<QueryError>,
    paused: bool,
    message: Option<String>,
    attaching: Option<String>,
    /// The table.
    lines: Vec<String>,
    /// The first line in view.
    top: usize,
    area: Rect,
}

impl FlowScreen {
    /// An empty screen.
    #[must_use]
    pub fn new(options: FlowScreenOptions, columns: u16, rows: u16) -> Self {
        Self {
            options,
            area: Rect::new(0, 0, columns, rows),
            ..Self::default()
        }
    }

    /// Draws the table again, after a change.
    fn refresh(&mut self) {
        let Some(snapshot) = &self.shown else {
            return;
        };
        let style = Style {
            width: Some(usize::from(self.area.width)),
            ..Style::default()
        };
        let selected = &self.options.selected;
        let text = match self.options.by_pair {
            true => pair_table::draw(&PairReport::new(snapshot, selected), style),
            false => table::draw(&FlowReport::new(snapshot, selected), style),
        };
        self.lines = text.lines().map(Into::into).collect();
        self.scroll(0);
    }

    fn height(&self) -> usize {
        usize::from(self.area.height.saturating_sub(3)).max(1)
    }

    fn scroll(&mut self, lines: isize) {
        let last = self.lines.len().saturating_sub(self.height());
        self.top = self.top.saturating_add_signed(lines).min(last);
    }

    fn read_filter(&mut self) {
        match parse(&self.options.query, &Key::OF_FLOWS) {
            Ok(query) => (self.options.selected.query, self.mistake) = (query, None),
            Err(mistake) => self.mistake = Some(mistake),
        }
        self.top = 0;
        self.refresh();
    }

    fn type_filter(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Enter => self.typing = self.mistake.is_some(),
            KeyCode::Esc => {
                self.typing = false;
                self.options.query.clear();
            }
            KeyCode::Backspace if self.options.query.pop().is_none() => self.typing = false,
            KeyCode::Backspace => {}
            KeyCode::Char(c) => self.options.query.push(c),
            _ => return Action::Nothing,
        }
        self.read_filter();
        Action::Draw
    }

    fn command(&mut self, code: KeyCode) -> Action {
        let page = isize::try_from(self.height()).unwrap_or(1);
        match code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('b') => {
                self.options.by_pair = !self.options.by_pair;
                self.top = 0;
                self.refresh();
            }
            KeyCode::Char('s') => {
                let all = FlowSort::value_variants();
                let sort = &mut self.options.selected.sort;
                let place = all.iter().position(|it| it == sort).unwrap_or(0);
                *sort = all[(place + 1) % all.len()];
                self.refresh();
            }
            KeyCode::Esc if !self.options.query.is_empty() => {
                self.options.query.clear();
                self.read_filter();
            }
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(page),
            KeyCode::PageUp => self.scroll(-page),
            KeyCode::Home | KeyCode::Char('g') => self.top = 0,
            KeyCode::End | KeyCode::Char('G') => self.scroll(isize::MAX),
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    /// `netviz flows  by bytes  /port:443                       12:04:31+01:00`
    fn header(&self, width: usize) -> String {
        let mut left = String::from("netviz flows");
        let what = if self.options.by_pair {
            "pairs"
        } else {
            "flows"
        };
        let sort = self.options.selected.sort.to_possible_value();
        let sort = sort.map_or_else(String::new, |it| it.get_name().to_owned());
        left += &format!("  {what} by {sort}");
        if !self.options.query.is_empty() && !self.typing {
            left += &format!("  /{}", safe(&self.options.query));
        }
        if self.paused {
            left += "  PAUSED";
        }
        let zone = self.options.zone.clone().unwrap_or(TimeZone::UTC);
        let shown = self.shown.as_ref();
        let time = shown
            .and_then(|it| clock(&it.taken_at, &zone))
            .unwrap_or_default();
        let left = cut_end(&left, width);
        match width.checked_sub(visible_width(&left) + visible_width(&time)) {
            Some(pad) if pad >= 2 => format!("{left}{}{time}", " ".repeat(pad)),
            _ => left,
        }
    }

    fn status(&self) -> String {
        if let Some(message) = &self.message {
            return safe(message);
        }
        if let Some(mistake) = &self.mistake {
            return format!("{}↓ {}", " ".repeat(mistake.column()), mistake.why());
        }
        self.attaching.clone().unwrap_or_default()
    }

    fn prompt(&self) -> String {
        match self.typing {
            true => format!(
                "/{}█   Enter keeps it, Esc clears it",
                safe(&self.options.query)
            ),
            false => KEYS.into(),
        }
    }
}

impl Page for FlowScreen {
    fn update(&mut self, snapshot: Snapshot, _: Duration) {
        // Also while it is paused, pods come and go.
        self.doors = interfaces(&snapshot, &self.options.filter);
        if !self.paused {
            self.options.selected.doors = Some(self.doors.clone());
            self.shown = Some(snapshot);
            self.refresh();
        }
    }

    fn set_attaching(&mut self, text: Option<String>) {
        self.attaching = text;
    }

    fn set_message(&mut self, text: String) {
        self.message = Some(text);
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.area = Rect::new(0, 0, columns, rows);
        self.refresh();
    }

    fn key(&mut self, key: KeyEvent) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        let message = self.message.take().is_some();
        let action = match key.code {
            KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                match c.to_ascii_lowercase() {
                    'c' => Action::Quit,
                    'l' => Action::Repaint,
                    'z' => Action::Suspend,
                    _ => Action::Nothing,
                }
            }
            _ if key.modifiers.contains(KeyModifiers::ALT) => Action::Nothing,
            code if self.typing => self.type_filter(code),
            code => self.command(code),
        };
        match action {
            Action::Nothing if message => Action::Draw,
            action => action,
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) -> Action {
        match mouse.kind {
            MouseEventKind::ScrollDown => self.scroll(WHEEL),
            MouseEventKind::ScrollUp => self.scroll(-WHEEL),
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    fn draw(&self, frame: &mut Frame) {
        let area = frame.area();
        let width = usize::from(area.width);
        let footer = if area.height > 3 { 2 } else { 0 };
        let [header, body, footer] = area.layout(&Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(footer),
        ]));
        frame.render_widget(Line::styled(self.header(width), Modifier::BOLD), header);
        let lines = self.lines.iter().skip(self.top);
        let lines = lines.take(usize::from(body.height));
        let lines = lines.map(|line| Line::raw(line.as_str()));
        frame.render_widget(Paragraph::new(Text::from_iter(lines)), body);
        let texts = [
            (self.status(), Modifier::empty()),
            (self.prompt(), Modifier::DIM),
        ];
        for (row, (text, style)) in footer.rows().zip(texts) {
            frame.render_widget(Line::styled(cut_end(&text, width), style), row);
        }
        if self.options.ascii {
            for cell in &mut frame.buffer_mut().content {
                let plain = ascii(cell.symbol());
                if plain != cell.symbol() {
                    cell.set_symbol(&plain);
                }
            }
        }
    }

    fn flow_doors(&self) -> HashSet<DoorId> {
        self.doors.clone()
    }
}

//! What `--watch` prints: a screen at a terminal, a line per change elsewhere, and a summary.

use std::{
    io::{self, Write as _},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use crossterm::event::{Event, KeyCode, KeyModifiers};
use jiff::{Timestamp, tz::TimeZone};
use nix::sys::signal::{Signal, raise};
use tokio::sync::mpsc::UnboundedReceiver;

use super::output::style;
use crate::{
    app::{
        output::Output,
        terminal::{self, AlternateScreen},
    },
    cli::{VerdictOutput, VerifyArgs},
    sys::signals::Signals,
    verify::{Change, History},
    views::{
        text::Style,
        verdict::watch::{self, Clock, Screen, json},
    },
};

/// How often the screen's clock goes on.
const TICK: Duration = Duration::from_secs(1);

/// The beginning of a watch on two clocks. The machine's time of day may be set meanwhile: the times that
/// follow from this one do not jump.
#[derive(Debug)]
pub(super) struct Started {
    instant: Instant,
    timestamp: Timestamp,
    zone: TimeZone,
}

impl Started {
    pub(super) fn now() -> Self {
        Self {
            instant: Instant::now(),
            timestamp: Timestamp::now(),
            zone: TimeZone::system(),
        }
    }

    pub(super) fn at(&self, instant: Instant) -> Timestamp {
        let since = instant.saturating_duration_since(self.instant);
        self.timestamp
            .saturating_add(since)
            .unwrap_or(self.timestamp)
    }

    fn clock(&self) -> Clock {
        Clock {
            now: self.at(Instant::now()),
            zone: self.zone.clone(),
        }
    }
}

/// What there is to show.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) started: Started,
    /// The time between two rounds.
    pub(super) every: Duration,
    pub(super) history: History,
    /// Why nothing is sent, while that is so.
    pub(super) waiting: Option<String>,
}

/// Where it is shown.
pub(super) struct Report {
    format: VerdictOutput,
    style: Style,
    ascii: bool,
    full: bool,
    output: Output,
    screen: Option<WatchScreen>,
}

/// The terminal.
struct WatchScreen {
    _alternate: AlternateScreen,
    events: UnboundedReceiver<Event>,
}

impl Report {
    pub(super) fn start(args: &VerifyArgs) -> Result<Self> {
        let wanted = args.output == VerdictOutput::Text && terminal::is_terminal();
        let screen = wanted.then(WatchScreen::start).transpose();
        Ok(Self {
            format: args.output,
            style: style(args),
            ascii: args.ascii,
            full: args.full,
            output: Output::stdout()?,
            screen: screen.context("cannot use the terminal")?,
        })
    }

    pub(super) fn is_screen(&self) -> bool {
        self.screen.is_some()
    }

    /// Does `work`, and meanwhile keeps the screen current and its keys working.
    pub(super) async fn during<T>(
        &mut self,
        shown: &Shown,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        tokio::pin!(work);
        let mut tick = tokio::time::interval(TICK);
        loop {
            let Some(screen) = &mut self.screen else {
                return Ok(work.await);
            };
            let is_drawn = tokio::select! {
                done = &mut work => return Ok(done),
                _ = tick.tick() => false,
                event = screen.events.recv() => screen.handle(event)?,
            };
            if !is_drawn {
                self.draw(shown)?;
            }
        }
    }

    /// Prints the changes of a round; breaks when the reader wants no more.
    pub(super) async fn changes(
        &mut self,
        shown: &Shown,
        changes: &[Change],
        signals: &mut Signals,
    ) -> Result<ControlFlow<()>> {
        let Some(verdict) = &shown.history.last else {
            return Ok(ControlFlow::Continue(()));
        };
        if self.is_screen() {
            self.draw(shown)?;
            return Ok(ControlFlow::Continue(()));
        }
        let clock = shown.started.clock();
        let mut bytes = Vec::new();
        if self.format == VerdictOutput::Text && shown.history.rounds == 1 {
            let head = watch::head(verdict, shown.every, &clock, self.style);
            bytes.extend(head.into_bytes());
        }
        for change in changes {
            bytes.append(&mut match self.format {
                VerdictOutput::Jsonl => json::change(change, verdict, clock.now)?,
                VerdictOutput::Text => {
                    watch::change(change, verdict, &clock, self.style).into_bytes()
                }
                _ => Vec::new(),
            });
        }
        self.output.write_until(bytes, signals).await
    }

    /// Prints that an end is missing.
    pub(super) async fn waiting(
        &mut self,
        shown: &Shown,
        why: &str,
        signals: &mut Signals,
    ) -> Result<ControlFlow<()>> {
        if self.is_screen() {
            self.draw(shown)?;
            return Ok(ControlFlow::Continue(()));
        }
        let clock = shown.started.clock();
        let bytes = match self.format {
            VerdictOutput::Jsonl => json::waiting(why, clock.now)?,
            VerdictOutput::Text => watch::waiting(why, &clock, self.style).into_bytes(),
            _ => Vec::new(),
        };
        self.output.write_until(bytes, signals).await
    }

    /// Leaves the screen, and prints the summary, if there was a round.
    pub(super) async fn end(&mut self, shown: &Shown, signals: &mut Signals) -> Result<()> {
        drop(self.screen.take());
        if shown.history.rounds == 0 {
            return Ok(());
        }
        let clock = shown.started.clock();
        let bytes = match self.format {
            VerdictOutput::Text => watch::totals(&shown.history, &clock, self.style).into_bytes(),
            _ => json::totals(&shown.history, clock.now)?,
        };
        self.output.write_until(bytes, signals).await.map(drop)
    }

    fn draw(&mut self, shown: &Shown) -> Result<()> {
        let (columns, rows) = terminal::dimensions();
        let screen = Screen {
            every: shown.every,
            waiting: shown.waiting.as_deref(),
            message: AlternateScreen::message(),
            rows,
        };
        let style = Style {
            width: Some(columns),
            full: self.full,
            ascii: self.ascii || self.style.ascii,
            ..self.style
        };
        let lines = watch::screen(&screen, &shown.history, &shown.started.clock(), style);
        // Each line clears what was behind it, and the last one what was below it.
        let text = lines.join("\x1b[K\r\n");
        let mut out = io::stdout().lock();
        write!(out, "\x1b[H{text}\x1b[J")
            .and_then(|()| out.flush())
            .context("cannot write to the terminal")
    }
}

impl WatchScreen {
    fn start() -> io::Result<Self> {
        Ok(Self {
            _alternate: AlternateScreen::enter(false)?,
            events: terminal::listen()?,
        })
    }

    /// Applies a key. Returns whether the screen stays as it is.
    fn handle(&mut self, event: Option<Event>) -> Result<bool> {
        let Some(Event::Key(key)) = event else {
            // Resized, or no more keys.
            return Ok(false);
        };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => raise(Signal::SIGINT)?,
            KeyCode::Char('c') if control => raise(Signal::SIGINT)?,
            KeyCode::Char('z') if control => {
                terminal::suspend().context("cannot use the terminal")?;
                return Ok(false);
            }
            KeyCode::Char('l') if control => {
                write!(io::stdout(), "\x1b[2J").context("cannot write to the terminal")?;
                return Ok(false);
            }
            _ => {}
        }
        Ok(true)
    }
}

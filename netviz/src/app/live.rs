//! `netviz` without a command: the live building.

use std::{
    io::{self, BufWriter, Stdout},
    time::Instant,
};

use anyhow::{Context as _, Result};
use crossterm::event::Event;
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    doors::{self, IN_FLIGHT, PROGRESS_INTERVAL},
    terminal::{self, Taken, listen},
};
use crate::{
    cli::{DoorsArgs, Output},
    feed::session::Session,
    sys::signals::Signals,
    views::{
        filter::Filter,
        tui::{Action, Options, State, draw},
    },
};

/// Runs `netviz` without a command; where nobody looks, or a form of output or an end is asked
/// for, `netviz doors`.
///
/// # Errors
/// As [`doors::run`].
pub async fn run(args: &DoorsArgs) -> Result<()> {
    let screen = args.output == Output::Table && !args.once && args.period.is_none();
    if !screen || !terminal::is_terminal() {
        return doors::run(args).await;
    }
    let mut end = Signals::new()?;
    let (mut session, filter) = doors::start(args)?;
    // A name that fits nothing is told on the screen that the person has.
    doors::begin(&mut session, &filter).await?;
    let mut live = Live::enter(session, filter, args).context("cannot use the terminal")?;
    live.run(&mut end).await
}

struct Live {
    // In this order they end: the terminal is given back after the last drawing.
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    _taken: Taken,
    events: UnboundedReceiver<Event>,
    session: Session,
    filter: Filter,
    state: State,
    started: Instant,
    interval: std::time::Duration,
}

impl Live {
    fn enter(session: Session, filter: Filter, args: &DoorsArgs) -> io::Result<Self> {
        let taken = Taken::take(true)?;
        let (columns, rows) = size();
        let options = Options {
            colour: terminal::colour(),
            interval: args.watch,
            sort: args.sort,
        };
        // Of a size that is said: a serial console does not know its own.
        let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
        let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
        Ok(Self {
            terminal: Terminal::with_options(backend, TerminalOptions { viewport })?,
            _taken: taken,
            events: listen(Some)?,
            session,
            filter,
            state: State::new(options, columns, rows),
            started: Instant::now(),
            interval: args.watch,
        })
    }

    async fn run(&mut self, end: &mut Signals) -> Result<()> {
        self.read();
        self.draw()?;
        let mut next = Instant::now() + PROGRESS_INTERVAL;
        // Between the comparison of veth pairs and the reading, keys are taken as ever.
        let mut compared = false;
        loop {
            tokio::select! {
                // A key first: nobody waits for a reading.
                biased;
                () = end.any() => return Ok(()),
                event = self.events.recv() => match event.map(|event| self.take(event)) {
                    Some(Ok(Action::Draw)) => self.draw()?,
                    Some(Ok(Action::Nothing)) => {}
                    Some(Ok(Action::Quit)) | None => return Ok(()),
                    Some(Err(error)) => return Err(error),
                },
                () = tokio::time::sleep_until(next.into()) => {
                    compared = !compared;
                    if compared {
                        self.session.compare();
                        next = Instant::now() + IN_FLIGHT;
                    } else {
                        self.read();
                        self.draw()?;
                        let busy = !self.session.progress().complete();
                        next = Instant::now() + if busy { PROGRESS_INTERVAL } else { self.interval };
                    }
                }
                changed = self.session.changed() => {
                    if changed? {
                        next = next.min(Instant::now() + PROGRESS_INTERVAL);
                    }
                }
            }
        }
    }

    /// Takes a reading, unless the screen stands still.
    fn read(&mut self) {
        let progress = doors::attaching(self.session.progress());
        self.state.set_attaching(progress);
        if !self.state.paused() {
            let mut snapshot = self.session.snapshot();
            self.filter.apply(&mut snapshot);
            self.state.take(snapshot, self.started.elapsed());
        }
    }

    fn take(&mut self, event: Event) -> Result<Action> {
        Ok(match event {
            Event::Key(key) => self.state.key(key),
            Event::Mouse(mouse) => self.state.mouse(mouse),
            Event::Resize(..) => {
                let (columns, rows) = size();
                self.state.resize(columns, rows);
                self.terminal
                    .resize(Rect::new(0, 0, columns, rows))
                    .context("cannot write to the terminal")?;
                Action::Draw
            }
            _ => Action::Nothing,
        })
    }

    fn draw(&mut self) -> Result<()> {
        self.terminal
            .draw(|frame| draw(frame, &self.state))
            .context("cannot write to the terminal")?;
        Ok(())
    }
}

fn size() -> (u16, u16) {
    let (columns, rows) = terminal::dimensions();
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    (short(columns), short(rows))
}

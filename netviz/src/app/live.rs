//! `netviz` without a command: the live screen.

use std::{
    io::{self, BufWriter},
    ops::ControlFlow,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result};
use crossterm::event::Event;
use ratatui::{
    Terminal, TerminalOptions, Viewport,
    backend::{Backend, CrosstermBackend},
    layout::Rect,
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    doors,
    sink::{Sink, attaching, drive, progress},
    start::start,
    terminal::{self, AlternateScreen, listen},
};
use crate::{
    cli::{DoorsArgs, Output},
    feed::Pace,
    model::Snapshot,
    sys::signals::Signals,
    views::{
        filter::Filter,
        tui::{Action, Options, State, draw},
    },
};

/// Runs `netviz` without a command; without a terminal, or with an option that asks for other
/// output or for an end, runs `netviz doors`.
pub async fn run(args: &DoorsArgs) -> Result<()> {
    let screen = matches!(args.output, Output::Table) && !args.once && args.period.is_none();
    if !screen || !terminal::is_terminal() {
        return doors::run(args).await;
    }
    let mut stop = Signals::new()?;
    let Some((mut feed, filter)) = start(args, Pace::Prompt, &mut stop).await? else {
        return Ok(());
    };
    let alternate = AlternateScreen::enter(true).context("cannot use the terminal")?;
    let (columns, rows) = size();
    let options = Options {
        colour: terminal::colour(),
        interval: args.watch,
        sort: args.sort,
    };
    // With an explicit size: a serial console does not know its own.
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
    let terminal = Terminal::with_options(backend, TerminalOptions { viewport });
    let mut screen = LiveScreen::new(
        terminal.context("cannot use the terminal")?,
        listen().context("cannot use the terminal")?,
        State::new(options, columns, rows),
        filter,
    );
    let ended = drive(&mut feed, &mut screen, async || stop.any().await).await;
    // Before the feed detaches, which may take a while.
    drop((screen, alternate));
    ended
}

/// The live screen on a terminal.
pub struct LiveScreen<B: Backend> {
    terminal: Terminal<B>,
    events: UnboundedReceiver<Event>,
    state: State,
    filter: Filter,
    started: Instant,
}

impl<B: Backend<Error: std::error::Error + Send + Sync + 'static>> LiveScreen<B> {
    /// A screen on `terminal` that reacts to `events`.
    pub fn new(
        terminal: Terminal<B>,
        events: UnboundedReceiver<Event>,
        state: State,
        filter: Filter,
    ) -> Self {
        Self {
            terminal,
            events,
            state,
            filter,
            started: Instant::now(),
        }
    }

    /// The terminal with what is drawn on it.
    pub fn terminal(&self) -> &Terminal<B> {
        &self.terminal
    }

    fn handle(&mut self, event: Event) -> Result<Action> {
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

    fn draw(&mut self) -> Result<ControlFlow<()>> {
        if let Some(message) = AlternateScreen::message() {
            self.state.set_message(message);
        }
        self.terminal
            .draw(|frame| draw(frame, &self.state))
            .context("cannot write to the terminal")?;
        Ok(ControlFlow::Continue(()))
    }
}

impl<B: Backend<Error: std::error::Error + Send + Sync + 'static>> Sink for LiveScreen<B> {
    async fn show(&mut self, snapshot: Arc<Snapshot>) -> Result<ControlFlow<()>> {
        self.state.set_attaching(attaching(progress(&snapshot)));
        let mut snapshot = Arc::unwrap_or_clone(snapshot);
        self.filter.apply(&mut snapshot);
        self.state.update(snapshot, self.started.elapsed());
        self.draw()
    }

    async fn input(&mut self) -> Result<ControlFlow<()>> {
        let Some(event) = self.events.recv().await else {
            return Ok(ControlFlow::Break(()));
        };
        match self.handle(event)? {
            Action::Draw => self.draw(),
            Action::Nothing => Ok(ControlFlow::Continue(())),
            Action::Quit => Ok(ControlFlow::Break(())),
        }
    }
}

fn size() -> (u16, u16) {
    let (columns, rows) = terminal::dimensions();
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    (short(columns), short(rows))
}

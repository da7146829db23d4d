//! The screen: `netviz` without a command, and `netviz doors` on a terminal.

use std::{
    io::{self, BufWriter},
    ops::ControlFlow,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use crossterm::event::Event;
use jiff::tz::TimeZone;
use ratatui::{
    Terminal, TerminalOptions, Viewport,
    backend::{Backend, CrosstermBackend},
    layout::Rect,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
};

use super::{
    launcher::{Launcher, Output},
    sink::{Sink, attaching, drive, progress},
    start::start,
    terminal::{self, AlternateScreen, listen},
};
use crate::{
    cli::{self, DoorsArgs},
    count::FlowOptions,
    feed::{FlowSwitch, Live, Pace},
    model::Snapshot,
    sys::{signals::Signals, threads},
    views::{
        filter::Filter,
        flows::screen::{FlowScreen, FlowScreenOptions},
        tui::{Action, Options, Page, State},
    },
};

/// How long detaching may last without a word.
const SLOW: Duration = Duration::from_secs(1);

/// Whether the output of `netviz doors` is a screen.
pub(super) fn is_wanted(args: &DoorsArgs) -> bool {
    let table = matches!(args.output, cli::Output::Table) && !args.once && args.period.is_none();
    table && terminal::is_terminal()
}

/// Shows the screen; it begins with counters in columns if `figures` is set, and with charts
/// otherwise.
pub(super) async fn run(args: &DoorsArgs, figures: bool) -> Result<()> {
    let mut stop = Signals::new()?;
    // Before this thread gives up its privileges.
    let launcher = Launcher::start().context("cannot start a thread")?;
    let Some((feed, filter)) = start(args, Pace::Prompt, None, &mut stop).await? else {
        return Ok(());
    };
    let page = |columns, rows| State::new(options(args, figures), columns, rows);
    show(feed, page, filter, Some(launcher), stop).await
}

/// Shows the flows of the interfaces that `args` select, until the user quits.
pub(super) async fn run_flows(
    args: &DoorsArgs,
    flows: FlowOptions,
    options: impl FnOnce(Filter) -> FlowScreenOptions,
) -> Result<()> {
    let mut stop = Signals::new()?;
    let started = start(args, Pace::Prompt, Some(flows), &mut stop).await?;
    let Some((feed, filter)) = started else {
        return Ok(());
    };
    let page = |columns, rows| FlowScreen::new(options(filter), columns, rows);
    // The names of all pods are needed, also of those that are not selected.
    show(feed, page, Filter::default(), None, stop).await
}

/// Shows a page on the alternate screen, until the user quits.
async fn show<P: Page>(
    mut feed: Live,
    page: impl FnOnce(u16, u16) -> P,
    filter: Filter,
    launcher: Option<Launcher>,
    mut stop: Signals,
) -> Result<()> {
    let alternate = AlternateScreen::enter(true).context("cannot use the terminal")?;
    let (columns, rows) = size();
    // With an explicit size: a serial console does not know its own.
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
    let terminal = Terminal::with_options(backend, TerminalOptions { viewport });
    let mut screen = LiveScreen::new(
        terminal.context("cannot use the terminal")?,
        listen().context("cannot use the terminal")?,
        page(columns, rows),
        filter,
    );
    screen.launcher = launcher;
    screen.flows = Some(feed.flow_switch());
    let continued = SignalKind::from_raw(libc::SIGCONT);
    screen.continued = Some(signal(continued).context("cannot wait for signals")?);
    let ended = drive(&mut feed, &mut screen, async || stop.any().await).await;
    // The terminal is back at once: detaching may take a while.
    drop((screen, alternate));
    detach(feed);
    ended
}

fn options(args: &DoorsArgs, figures: bool) -> Options {
    let style = terminal::style();
    Options {
        colour: style.colour,
        ascii: args.ascii || style.ascii,
        interval: args.watch,
        sort: args.sort,
        figures,
        zone: Some(TimeZone::system()),
        selection: args.selection.command_line(),
    }
}

/// Detaches everything; prints a message if that takes long.
fn detach(feed: Live) {
    let doors = feed.cluster().doors.len();
    let (done, waiting) = mpsc::channel::<()>();
    // Without the thread, there is no word of it.
    let _ = threads::start("netviz-detach", "reports a slow end", move || {
        if waiting.recv_timeout(SLOW) == Err(mpsc::RecvTimeoutError::Timeout) {
            terminal::say(&format!("netviz: detaching {doors} interfaces"));
        }
    });
    drop((feed, done));
}

/// A page on a terminal: the live screen, or flows.
pub struct LiveScreen<B: Backend, P = State> {
    terminal: Terminal<B>,
    events: UnboundedReceiver<Event>,
    state: P,
    filter: Filter,
    started: Instant,
    /// Runs the commands of the pane.
    launcher: Option<Launcher>,
    /// Has flows counted while the page shows them.
    flows: Option<FlowSwitch>,
    /// `SIGCONT`, after a stop from outside.
    continued: Option<Signal>,
}

impl<B: Backend<Error: std::error::Error + Send + Sync + 'static>, P: Page> LiveScreen<B, P> {
    /// A screen on `terminal` that reacts to `events`.
    pub fn new(
        terminal: Terminal<B>,
        events: UnboundedReceiver<Event>,
        state: P,
        filter: Filter,
    ) -> Self {
        Self {
            terminal,
            events,
            state,
            filter,
            started: Instant::now(),
            launcher: None,
            flows: None,
            continued: None,
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

    fn apply(&mut self, action: Action) -> Result<ControlFlow<()>> {
        match action {
            Action::Nothing => return Ok(ControlFlow::Continue(())),
            Action::Quit => return Ok(ControlFlow::Break(())),
            Action::Draw => {}
            Action::Run(command) => match &self.launcher {
                Some(launcher) => launcher.run(command.arguments()),
                None => self.state.pane_ended("no commands here".into()),
            },
            Action::Close => self.launcher.iter().for_each(Launcher::stop),
            Action::Copy(text) => {
                terminal::copy(&text).context("cannot write to the terminal")?;
                self.state.set_message(format!("copied: {text}"));
            }
            Action::Suspend => {
                terminal::suspend().context("cannot use the terminal")?;
                return self.repaint();
            }
            Action::Repaint => return self.repaint(),
        }
        self.draw()
    }

    /// Clears the screen, whose size may have changed meanwhile, and draws all of it.
    fn repaint(&mut self) -> Result<ControlFlow<()>> {
        self.handle(Event::Resize(0, 0))?;
        self.draw()
    }

    fn draw(&mut self) -> Result<ControlFlow<()>> {
        if let Some(message) = AlternateScreen::message() {
            self.state.set_message(message);
        }
        if let Some(flows) = &self.flows {
            flows.want(self.state.flow_doors());
        }
        self.terminal
            .draw(|frame| self.state.draw(frame))
            .context("cannot write to the terminal")?;
        Ok(ControlFlow::Continue(()))
    }
}

impl<B: Backend<Error: std::error::Error + Send + Sync + 'static>, P: Page> Sink
    for LiveScreen<B, P>
{
    async fn show(&mut self, snapshot: Arc<Snapshot>) -> Result<ControlFlow<()>> {
        self.state.set_attaching(attaching(progress(&snapshot)));
        let mut snapshot = Arc::unwrap_or_clone(snapshot);
        self.filter.apply(&mut snapshot);
        self.state.update(snapshot, self.started.elapsed());
        self.draw()
    }

    async fn input(&mut self) -> Result<ControlFlow<()>> {
        tokio::select! {
            event = self.events.recv() => {
                let Some(event) = event else {
                    return Ok(ControlFlow::Break(()));
                };
                let action = self.handle(event)?;
                self.apply(action)
            }
            Some(output) = next(self.launcher.as_mut()) => {
                match output {
                    Output::Line(line) => self.state.pane_line(&line),
                    Output::Ended(how) => self.state.pane_ended(how),
                }
                self.draw()
            }
            Some(()) = recv(self.continued.as_mut()) => {
                terminal::resume().context("cannot use the terminal")?;
                self.repaint()
            }
        }
    }
}

/// Waits for a command's output, if there is a launcher.
async fn next(launcher: Option<&mut Launcher>) -> Option<Output> {
    launcher?.next().await
}

async fn recv(signal: Option<&mut Signal>) -> Option<()> {
    signal?.recv().await
}

fn size() -> (u16, u16) {
    let (columns, rows) = terminal::dimensions();
    let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    (short(columns), short(rows))
}

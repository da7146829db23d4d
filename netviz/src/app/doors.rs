//! `netviz doors`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    output::{self, Written},
    preflight,
    terminal::{self, Input, Screen},
};
use crate::{
    attach::AttachOptions,
    cli::{DoorsArgs, Output, SelectionArgs},
    count::Progress,
    discover::Selection,
    feed::session::Session,
    model::Snapshot,
    names::SourceOptions,
    sys::signals::Signals,
    views::{
        csv,
        filter::Filter,
        json,
        lines::Lines,
        table::{self, Style},
    },
};

/// How long, at the most, a single reading waits for doors that are still being attached.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);
/// Longer than a packet is on its way from one end of a veth pair to the other.
pub(super) const IN_FLIGHT: Duration = Duration::from_millis(20);
/// How soon the table is drawn again while doors are being attached.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Runs `netviz doors`.
///
/// # Errors
/// When there is nothing to be seen, or not to be seen by this process; the message names the
/// operation, the object and the remedy.
pub async fn run(args: &DoorsArgs) -> Result<()> {
    let mut end = Signals::new()?;
    let mut doors = Doors::start(args)?;
    if doors.is_single() {
        doors.single(&mut end).await
    } else if args.output == Output::Table && terminal::is_terminal() {
        doors.screen(&mut end).await
    } else {
        doors.stream(&mut end).await
    }
}

/// Starts looking and counting as the arguments say; the signals are to be waited for before that.
pub(super) fn start(args: &DoorsArgs) -> Result<(Session, Filter)> {
    preflight::check()?;
    let filter = Filter::new(&args.filter.node, &args.filter.pod, &args.filter.device)?;
    let selection = Selection::new(
        args.selection.netns.clone(),
        args.selection.all,
        &args.selection.include,
        &args.selection.exclude,
    )?;
    let sources = SourceOptions {
        kubeconfig: args.selection.kubeconfig.clone(),
        services: false,
    };
    let session = Session::start(
        selection,
        &sources,
        AttachOptions::of_command(args.fast_attach),
        args.watch,
    )?;
    if session.cluster().doors.is_empty() {
        bail!(nothing_there(&args.selection));
    }
    Ok((session, filter))
}

/// Begins to count, and notices names that fit nothing.
pub(super) async fn begin(session: &mut Session, filter: &Filter) -> Result<()> {
    session.begin();
    if !filter.is_empty() {
        session.named().await;
    }
    Ok(filter.check(&session.snapshot())?)
}

/// Counts for one window.
///
/// # Errors
/// As [`run`].
pub(super) async fn reading(args: &DoorsArgs, end: &mut Signals) -> Result<Option<Snapshot>> {
    let mut doors = Doors::start(args)?;
    doors.reading(end).await
}

/// Why no door is found, and what to do.
pub(super) fn nothing_there(selection: &SelectionArgs) -> String {
    let excluded = match selection.exclude.is_empty() {
        true => "",
        false => " that --exclude leaves",
    };
    if selection.netns.is_empty() {
        format!(
            "there is no Cilium device and no veth pair{excluded} in this network namespace, nor another one that holds cilium_host; run netviz on the node or on its host, or name a namespace with --netns"
        )
    } else {
        format!(
            "there is no Cilium device and no veth pair{excluded} in the network namespace {}; name that of a node with --netns, or see every interface with --all",
            selection.netns.join(", ")
        )
    }
}

struct Doors<'a> {
    session: Session,
    filter: Filter,
    args: &'a DoorsArgs,
}

impl<'a> Doors<'a> {
    fn start(args: &'a DoorsArgs) -> Result<Self> {
        let (session, filter) = start(args)?;
        Ok(Self {
            session,
            filter,
            args,
        })
    }

    /// Whether one reading is printed at the end of a window.
    fn is_single(&self) -> bool {
        self.args.once
            || matches!(self.args.output, Output::Json | Output::Csv)
            || (self.args.period.is_some()
                && self.args.output == Output::Table
                && !terminal::is_terminal())
    }

    async fn single(&mut self, end: &mut Signals) -> Result<()> {
        if let Some(snapshot) = self.reading(end).await? {
            output::write(print(&snapshot, self.args)?, end).await?;
        }
        Ok(())
    }

    /// What crossed the doors in one window; `None` when it was ended before that began.
    async fn reading(&mut self, end: &mut Signals) -> Result<Option<Snapshot>> {
        let progress = io::stderr().is_terminal().then(io::stderr);
        let limit = tokio::time::sleep(ATTACH_LIMIT);
        tokio::pin!(limit);
        while !self.session.progress().complete() {
            if let Some(mut err) = progress.as_ref() {
                write!(
                    err,
                    "\r{}",
                    attaching(self.session.progress()).unwrap_or_default()
                )?;
            }
            tokio::select! {
                changed = self.session.changed() => { changed?; },
                () = &mut limit => break,
                () = end.any() => return Ok(None),
            }
        }
        if let Some(mut err) = progress.as_ref() {
            write!(err, "\r{:40}\r", "")?;
        }
        begin(&mut self.session, &self.filter).await?;
        if let Some(period) = self.args.period {
            let doors = self.session.progress().settled;
            // For whoever starts the traffic: what is sent from now on is counted everywhere.
            let _ = writeln!(
                io::stderr(),
                "netviz: counting at {doors} doors for {period:?}"
            );
        }
        let window = tokio::time::sleep(self.args.period.unwrap_or(self.args.watch));
        tokio::pin!(window);
        loop {
            tokio::select! {
                changed = self.session.changed() => { changed?; },
                () = &mut window => break,
                () = end.any() => break,
            }
        }
        Ok(Some(self.compared().await))
    }

    /// A snapshot in which what is lost is up to date: what had gone out a moment ago must have
    /// come in by now.
    async fn compared(&mut self) -> Snapshot {
        self.session.compare();
        tokio::time::sleep(IN_FLIGHT).await;
        self.snapshot()
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.session.snapshot();
        self.filter.apply(&mut snapshot);
        table::sort(&mut snapshot, self.args.sort);
        snapshot
    }

    /// Refreshed in place.
    async fn screen(&mut self, end: &mut Signals) -> Result<()> {
        let mut screen = Screen::enter().context("cannot use the terminal")?;
        let mut latest = self.first().await?;
        let until = self.args.period.map(|period| Instant::now() + period);
        let mut next = Instant::now() + PROGRESS_INTERVAL;
        self.show(&mut screen, &latest)?;
        loop {
            tokio::select! {
                changed = self.session.changed() => if changed? {
                    let soon = Instant::now() + PROGRESS_INTERVAL;
                    next = next.min(soon);
                },
                () = tokio::time::sleep_until(next.into()) => {
                    latest = self.compared().await;
                    self.show(&mut screen, &latest)?;
                    let busy = !self.session.progress().complete();
                    next = Instant::now() + if busy { PROGRESS_INTERVAL } else { self.args.watch };
                }
                input = screen.input.recv() => match input {
                    Some(Input::Scroll(lines)) => {
                        screen.scroll(lines);
                        self.show(&mut screen, &latest)?;
                    }
                    Some(Input::Redraw) => self.show(&mut screen, &latest)?,
                    Some(Input::Quit) | None => return Ok(()),
                },
                () = end.any() => return Ok(()),
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
        }
    }

    fn show(&self, screen: &mut Screen, snapshot: &Snapshot) -> Result<()> {
        let style = Style {
            width: Some(terminal::width()),
            colour: terminal::colour(),
        };
        let footer = match attaching(self.session.progress()) {
            Some(text) => format!("{text}  q quit"),
            None => "q quit".into(),
        };
        screen
            .draw(&table::drawing(snapshot, style), &footer)
            .context("cannot write to the terminal")
    }

    /// Snapshots, or lines for what changed, until the end.
    async fn stream(&mut self, end: &mut Signals) -> Result<()> {
        let mut lines = Lines::default();
        let snapshot = self.first().await?;
        if self.emit(&snapshot, &mut lines, end).await? == Written::Ended {
            return Ok(());
        }
        let until = self.args.period.map(|period| Instant::now() + period);
        let mut ticks = tokio::time::interval(self.args.watch);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                changed = self.session.changed() => { changed?; },
                _ = ticks.tick() => {
                    let snapshot = self.compared().await;
                    if self.emit(&snapshot, &mut lines, end).await? == Written::Ended {
                        return Ok(());
                    }
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return Ok(());
                    }
                }
                () = end.any() => return Ok(()),
            }
        }
    }

    /// The first reading, in which names that fit nothing are noticed.
    async fn first(&mut self) -> Result<Snapshot> {
        begin(&mut self.session, &self.filter).await?;
        Ok(self.snapshot())
    }

    async fn emit(
        &self,
        snapshot: &Snapshot,
        lines: &mut Lines,
        end: &mut Signals,
    ) -> Result<Written> {
        let mut out = Vec::new();
        if self.args.output == Output::Jsonl {
            json::write_line(snapshot, &mut out)?;
        } else {
            for line in lines.next(snapshot) {
                writeln!(out, "{line}")?;
            }
        }
        output::write(out, end).await
    }
}

pub(super) fn attaching(progress: Progress) -> Option<String> {
    (!progress.complete()).then(|| {
        format!(
            "attaching: {} of {} doors",
            progress.settled, progress.wanted
        )
    })
}

fn print(snapshot: &Snapshot, args: &DoorsArgs) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match args.output {
        Output::Table => {
            let shown = terminal::is_terminal();
            let style = Style {
                width: shown.then(terminal::width),
                colour: shown && terminal::colour(),
            };
            writeln!(out, "{}", table::draw(snapshot, style))?;
        }
        Output::Json => json::write(snapshot, &mut out)?,
        Output::Jsonl => json::write_line(snapshot, &mut out)?,
        Output::Csv => csv::write(snapshot, &mut out)?,
    }
    Ok(out)
}

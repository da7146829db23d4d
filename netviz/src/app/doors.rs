//! `netviz doors`.

use std::{io::Write as _, ops::ControlFlow, sync::Arc};

use anyhow::{Context as _, Result};

use super::{
    output::Output,
    screen::{Input, Screen},
    sink::{Printer, Shown, Sink, attaching, drive, progress},
    start::start,
    terminal,
};
use crate::{
    cli::{self, DoorsArgs},
    feed::Pace,
    model::Snapshot,
    sys::signals::Signals,
    views::{
        csv, json,
        lines::Lines,
        table::{self, Style},
    },
};

/// Runs `netviz doors`.
///
/// # Errors
/// When there is nothing to observe, or this process may not observe it; the message names the
/// operation, the object and the remedy.
pub async fn run(args: &DoorsArgs) -> Result<()> {
    let mut stop = Signals::new()?;
    let form = Form::of(args);
    let Some((mut feed, filter)) = start(args, form.pace(), &mut stop).await? else {
        return Ok(());
    };
    let shown = Shown {
        filter,
        sort: args.sort,
    };
    if form == Form::Screen {
        let mut screen = TableScreen {
            screen: Screen::enter().context("cannot use the terminal")?,
            shown,
            latest: None,
            attaching: None,
        };
        return drive(&mut feed, &mut screen, async || stop.any().await).await;
    }
    let mut printer = Printer::new(Output::stdout()?, shown, form.printer());
    drive(&mut feed, &mut printer, async || stop.any().await).await
}

/// A form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table that is refreshed in place.
    Screen,
    /// One table.
    Table,
    /// One JSON document.
    Json,
    /// One CSV table.
    Csv,
    /// A JSON document in one line for each snapshot.
    JsonLines {
        /// Only one.
        once: bool,
    },
    /// A line for each change.
    Lines,
}

impl Form {
    fn of(args: &DoorsArgs) -> Self {
        match args.output {
            cli::Output::Json => Self::Json,
            cli::Output::Csv => Self::Csv,
            cli::Output::Jsonl => Self::JsonLines { once: args.once },
            cli::Output::Table if args.once => Self::Table,
            cli::Output::Table if terminal::is_terminal() => Self::Screen,
            cli::Output::Table if args.period.is_some() => Self::Table,
            cli::Output::Table => Self::Lines,
        }
    }

    fn pace(self) -> Pace {
        match self {
            Self::Screen => Pace::Prompt,
            Self::Lines | Self::JsonLines { once: false } => Pace::Steady,
            Self::Table | Self::Json | Self::Csv | Self::JsonLines { once: true } => Pace::Once,
        }
    }

    /// Formats one snapshot after another.
    pub fn printer(self) -> impl FnMut(&Snapshot) -> Result<Vec<u8>> {
        let mut lines = Lines::default();
        move |snapshot| {
            let mut out = Vec::new();
            match self {
                Self::Screen | Self::Table => {
                    writeln!(out, "{}", table::draw(snapshot, style()))?;
                }
                Self::Json => json::write(snapshot, &mut out)?,
                Self::JsonLines { .. } => json::write_line(snapshot, &mut out)?,
                Self::Csv => csv::write(snapshot, &mut out)?,
                Self::Lines => {
                    for line in lines.next(snapshot) {
                        writeln!(out, "{line}")?;
                    }
                }
            }
            Ok(out)
        }
    }
}

/// As wide as the terminal, if that is where the table goes.
fn style() -> Style {
    let terminal = terminal::is_terminal();
    Style {
        width: terminal.then(terminal::width),
        colour: terminal && terminal::colour(),
    }
}

/// A table that is refreshed in place.
struct TableScreen {
    screen: Screen,
    shown: Shown,
    latest: Option<Snapshot>,
    attaching: Option<String>,
}

impl TableScreen {
    fn draw(&mut self) -> Result<ControlFlow<()>> {
        let footer = match &self.attaching {
            Some(text) => format!("{text}  q quit"),
            None => "q quit".into(),
        };
        if let Some(latest) = &self.latest {
            self.screen
                .draw(&table::drawing(latest, style()), &footer)
                .context("cannot write to the terminal")?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Sink for TableScreen {
    async fn show(&mut self, snapshot: Arc<Snapshot>) -> Result<ControlFlow<()>> {
        self.attaching = attaching(progress(&snapshot));
        self.latest = Some(self.shown.of(snapshot));
        self.draw()
    }

    async fn input(&mut self) -> Result<ControlFlow<()>> {
        match self.screen.input.recv().await {
            Some(Input::Scroll(lines)) => self.screen.scroll(lines),
            Some(Input::Redraw) => {}
            Some(Input::Quit) | None => return Ok(ControlFlow::Break(())),
        }
        self.draw()
    }
}

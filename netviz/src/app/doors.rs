//! `netviz doors`.

use std::io::Write as _;

use anyhow::Result;
use jiff::tz::TimeZone;

use super::{
    output::Output,
    screen,
    sink::{Printer, Shown, drive},
    start::start,
    terminal,
};
use crate::{
    cli::{self, DoorsArgs, Exit},
    feed::Pace,
    model::Snapshot,
    sys::signals::Signals,
    views::{Format, lines::Lines, table, text::Style},
};

/// Runs `netviz doors`.
///
/// # Errors
/// When there is nothing to observe, or this process may not observe it; the message names the
/// operation, the object and the remedy.
pub async fn run(args: &DoorsArgs) -> Result<Exit> {
    if screen::is_wanted(args) {
        return screen::run(args, true).await.map(|()| Exit::Success);
    }
    let mut stop = Signals::new()?;
    let form = Form::of(args);
    let Some((mut feed, filter)) = start(args, form.pace(), None, &mut stop).await? else {
        return Ok(Exit::Success);
    };
    let shown = Shown {
        filter,
        sort: args.sort,
    };
    let mut printer = Printer::new(Output::stdout()?, shown, form.printer(args.ascii));
    drive(&mut feed, &mut printer, async || stop.any().await).await?;
    Ok(match form.pace() {
        Pace::Once => printer.exit(),
        Pace::Prompt | Pace::Steady => Exit::Success,
    })
}

/// A form of the output.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// One table.
    Table,
    /// One document.
    Document(&'static Format),
    /// A document for each snapshot.
    Documents(&'static Format),
    /// A line for each change.
    Lines,
}

impl Form {
    fn of(args: &DoorsArgs) -> Self {
        match args.output {
            cli::Output::Document(format) if format.repeats && !args.once => {
                Self::Documents(format)
            }
            cli::Output::Document(format) => Self::Document(format),
            cli::Output::Table if args.once || args.period.is_some() => Self::Table,
            cli::Output::Table => Self::Lines,
        }
    }

    fn pace(self) -> Pace {
        match self {
            Self::Lines | Self::Documents(_) => Pace::Steady,
            Self::Table | Self::Document(_) => Pace::Once,
        }
    }

    /// Formats one snapshot after another.
    pub fn printer(self, ascii: bool) -> impl FnMut(&Snapshot) -> Result<Vec<u8>> {
        let mut lines = Lines::new(TimeZone::system());
        let style = move || {
            let style = terminal::style();
            let ascii = ascii || style.ascii;
            Style { ascii, ..style }
        };
        move |snapshot| {
            let mut out = Vec::new();
            match self {
                Self::Table => writeln!(out, "{}", table::draw(snapshot, style()))?,
                Self::Document(format) | Self::Documents(format) => {
                    (format.write)(snapshot, style(), &mut out)?;
                }
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

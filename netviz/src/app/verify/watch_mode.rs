//! `--watch`: repeats, and reports changes of the path.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::{options, output};
use crate::{
    app::output::Output,
    cli::{Exit, VerdictOutput, VerifyArgs},
    model::Direction,
    sys::signals::Signals,
    verify::{CrossingRow, Kind, Verdict, context::Context, run::probes},
    views::verdict::summary,
};

/// All rounds.
#[derive(Default)]
struct History {
    changes: u32,
    verdicts: Vec<Kind>,
    last: Option<Verdict>,
}

/// Repeats until a signal.
pub(super) async fn run(
    args: &VerifyArgs,
    context: &mut Context,
    pause: Duration,
    signals: &mut Signals,
) -> Result<Exit> {
    let mut history = History::default();
    let options = options::options(args);
    let mut output = Output::stdout()?;
    loop {
        let (view, pair) = context.find(|view| options::pair(args, view)).await?;
        let pairs = [pair];
        let probe_options = options::probe_options(args, &pairs)?;
        let outcome = probes::run(&view, &pairs, probe_options, options, false, signals).await?;
        if outcome.interrupted {
            break;
        }
        for verdict in outcome.verdicts {
            let text = history.add(args, verdict)?;
            if output.write_until(text, signals).await?.is_break() {
                return Ok(history.exit());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.any() => break,
        }
    }
    if args.output == VerdictOutput::Text {
        let summary = history.summary().into_bytes();
        output.write_until(summary, signals).await.map(drop)?;
    }
    Ok(history.exit())
}

impl History {
    /// Adds a round; returns what to print.
    fn add(&mut self, args: &VerifyArgs, verdict: Verdict) -> Result<Vec<u8>> {
        self.verdicts.push(verdict.verdict);
        let last = self.last.as_ref();
        let changed = last.is_some_and(|last| path(last) != path(&verdict));
        self.changes += u32::from(changed);
        let mut text = Vec::new();
        if args.output != VerdictOutput::Text || last.is_none() {
            text = output::one(args, &verdict)?;
        } else if changed {
            text.extend(format!("{}  the path has changed:\n", clock()).bytes());
            text.append(&mut output::one(args, &verdict)?);
        } else {
            let word = verdict.verdict.word();
            text.extend(format!("{}  {word}  {}\n", clock(), summary(&verdict)).bytes());
        }
        self.last = Some(verdict);
        Ok(text)
    }

    fn summary(&self) -> String {
        let rounds = self.verdicts.len();
        let changes = match self.changes {
            0 => "the path did not change".into(),
            1 => "the path changed once".into(),
            times => format!("the path changed {times} times"),
        };
        format!("{rounds} rounds, {changes}\n")
    }

    fn exit(&self) -> Exit {
        output::worst(self.verdicts.iter().copied())
    }
}

/// The verdict and the crossed doors: what a change is.
fn path(verdict: &Verdict) -> (Kind, Vec<(&str, &str, Direction)>) {
    let crossed = |row: &&CrossingRow| row.seen > Some(0);
    let doors = verdict.request.iter().chain(&verdict.reply).filter(crossed);
    let doors = doors.map(|row| (row.node.raw(), row.interface.raw(), row.direction));
    (verdict.verdict, doors.collect())
}

fn clock() -> String {
    Timestamp::now().strftime("%H:%M:%S UTC").to_string()
}

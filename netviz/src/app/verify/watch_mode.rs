//! `--watch`: again and again, and what has changed since the time before.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::{options, output, pair};
use crate::{
    app::output::Output,
    cli::{VerdictOutput, VerifyArgs},
    model::Direction,
    sys::signals::Signals,
    verify::{CrossingRow, Kind, Verdict, collect::round, context::Context},
    views::verdict::summary,
};

/// Rounds so far.
#[derive(Default)]
struct History {
    changes: u32,
    /// Of every round.
    verdicts: Vec<Kind>,
    last: Option<Verdict>,
}

/// Repeats until a signal; the verdicts of all rounds.
pub(super) async fn run(
    args: &VerifyArgs,
    context: &mut Context,
    pause: Duration,
    signals: &mut Signals,
) -> Result<Vec<Kind>> {
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        anyhow::bail!("--watch is for one pair: netviz verify A B --watch");
    };
    let mut history = History::default();
    let mut output = Output::stdout()?;
    loop {
        let (look, pair) = context.find(|look| pair(args, look, from, to)).await?;
        let pairs = [pair];
        let outcome = round::run(&look, &pairs, options(args, &pairs)?, signals).await?;
        if outcome.interrupted {
            break;
        }
        for verdict in outcome.verdicts {
            let text = history.take(args, verdict)?;
            if output.write_until(text, signals).await?.is_break() {
                return Ok(history.verdicts);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.any() => break,
        }
    }
    let summary = history.close(args);
    output.write_until(summary, signals).await.map(drop)?;
    Ok(history.verdicts)
}

impl History {
    /// Takes a round in; what is to be said of it.
    fn take(&mut self, args: &VerifyArgs, verdict: Verdict) -> Result<Vec<u8>> {
        self.verdicts.push(verdict.verdict);
        let changed = self
            .last
            .as_ref()
            .is_some_and(|last| path(last) != path(&verdict));
        self.changes += u32::from(changed);
        let mut text = Vec::new();
        if args.output != VerdictOutput::Text || self.last.is_none() {
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

    fn close(&self, args: &VerifyArgs) -> Vec<u8> {
        if args.output != VerdictOutput::Text {
            return Vec::new();
        }
        let rounds = self.verdicts.len();
        format!("{rounds} rounds, the path changed {} times\n", self.changes).into_bytes()
    }
}

/// What makes a path another one: the verdict, and who was crossed.
fn path(verdict: &Verdict) -> (Kind, Vec<(&str, &str, Direction)>) {
    let crossed = |row: &&CrossingRow| row.seen > Some(0);
    let doors = verdict.request.iter().chain(&verdict.reply).filter(crossed);
    let doors = doors.map(|row| (row.node.raw(), row.interface.raw(), row.direction));
    (verdict.verdict, doors.collect())
}

fn clock() -> String {
    Timestamp::now().strftime("%H:%M:%S UTC").to_string()
}

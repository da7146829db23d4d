//! `--watch`: again and again, and what has changed since the time before.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::Result;
use jiff::Timestamp;

use super::{ground::Ground, options, output, pair, round};
use crate::{
    app::signals::Signals,
    cli::{VerdictOutput, VerifyArgs},
    model::Direction,
    verify::{CrossingRow, Kind, Verdict},
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
    ground: &mut Ground,
    pause: Duration,
    signals: &mut Signals,
) -> Result<Vec<Kind>> {
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        anyhow::bail!("--watch is for one pair: netviz verify A B --watch");
    };
    let mut history = History::default();
    loop {
        let look = ground.look();
        let pairs = [pair(args, &look, from, to)?];
        let outcome = round::run(&look, &pairs, options(args, &pairs)?, signals).await?;
        if outcome.interrupted {
            break;
        }
        for verdict in outcome.verdicts {
            history.take(args, verdict)?;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.any() => break,
        }
    }
    history.close(args)?;
    Ok(history.verdicts)
}

impl History {
    fn take(&mut self, args: &VerifyArgs, verdict: Verdict) -> Result<()> {
        self.verdicts.push(verdict.verdict);
        let changed = self
            .last
            .as_ref()
            .is_some_and(|last| path(last) != path(&verdict));
        self.changes += u32::from(changed);
        if args.output != VerdictOutput::Text {
            output::one(args, &verdict)?;
        } else if self.last.is_none() || changed {
            if changed {
                line(&format!("{}  the path has changed:", clock()))?;
            }
            output::one(args, &verdict)?;
        } else {
            let word = verdict.verdict.word();
            line(&format!("{}  {word}  {}", clock(), summary(&verdict)))?;
        }
        self.last = Some(verdict);
        Ok(())
    }

    fn close(&self, args: &VerifyArgs) -> Result<()> {
        if args.output != VerdictOutput::Text {
            return Ok(());
        }
        line(&format!(
            "{} rounds, the path changed {} times",
            self.verdicts.len(),
            self.changes
        ))
    }
}

/// What makes a path another one: the verdict, and who was crossed.
fn path(verdict: &Verdict) -> (Kind, Vec<(&str, &str, Direction)>) {
    let crossed = |row: &&CrossingRow| row.seen > Some(0);
    let doors = verdict.request.iter().chain(&verdict.reply).filter(crossed);
    let doors = doors.map(|row| (row.node.as_str(), row.interface.as_str(), row.direction));
    (verdict.verdict, doors.collect())
}

fn clock() -> String {
    Timestamp::now().strftime("%H:%M:%S UTC").to_string()
}

fn line(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

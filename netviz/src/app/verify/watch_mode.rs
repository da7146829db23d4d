//! `--watch`: round after round, attached all the time; reports outages and changes of the path.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    options, output, progress,
    watch_report::{Report, Shown, Started},
};
use crate::{
    cli::{Exit, VerifyArgs},
    sys::signals::Signals,
    verify::{
        History, Round,
        context::Context,
        run::{
            Options,
            probes::{Outcome, Prober},
        },
    },
};

/// How long to wait at most before an end that is missing is looked for again.
const LOOK: Duration = Duration::from_secs(1);

/// Repeats until a signal, until the reader wants no more, or for the time that was asked for.
pub(super) async fn run(
    args: &VerifyArgs,
    context: &mut Context,
    every: Duration,
    signals: &mut Signals,
) -> Result<Exit> {
    let mut watch = Watch {
        args,
        options: options::options(args),
        every,
        prober: None,
        shown: Shown {
            started: Started::now(),
            every,
            history: History::default(),
            waiting: None,
        },
        report: Report::start(args)?,
    };
    let ended = watch.rounds(context, signals).await;
    // Detached before the summary, which a slow reader may delay.
    drop(watch.prober.take());
    let printed = watch.report.end(&watch.shown, signals).await;
    ended.and(printed)?;
    anyhow::ensure!(
        watch.shown.history.rounds > 0,
        "interrupted by a signal before the first result"
    );
    let worst = watch.shown.history.worst;
    Ok(output::worst(worst.into_iter()))
}

struct Watch<'a> {
    args: &'a VerifyArgs,
    options: Options,
    every: Duration,
    /// Attached since the first round.
    prober: Option<Prober>,
    shown: Shown,
    report: Report,
}

impl Watch<'_> {
    async fn rounds(&mut self, context: &mut Context, signals: &mut Signals) -> Result<()> {
        loop {
            let next = Instant::now() + self.every;
            if self.round(context, signals).await?.is_break() {
                return Ok(());
            }
            let left = self.left();
            let end = left.map_or(next, |left| next.min(Instant::now() + left));
            let paused = self.pause(end, context, signals).await?;
            if paused.is_break() || self.left() == Some(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    /// How much of the time is left that was asked for; attaching does not count.
    fn left(&self) -> Option<Duration> {
        let shown = &self.shown;
        let lasted = shown.history.seconds(shown.started.at(Instant::now()));
        let lasted = Duration::try_from_secs_f64(lasted).unwrap_or(Duration::MAX);
        Some(self.args.window?.saturating_sub(lasted))
    }

    /// One round; breaks if it is the last.
    async fn round(
        &mut self,
        context: &mut Context,
        signals: &mut Signals,
    ) -> Result<ControlFlow<()>> {
        let begin = self.shown.started.at(Instant::now());
        match self.measure(context, signals).await {
            Ok(outcome) if outcome.interrupted => Ok(ControlFlow::Break(())),
            Ok(outcome) => self.add(begin, outcome, signals).await,
            Err(error) if self.shown.history.rounds == 0 => Err(error),
            // A pod that is created again has the same name, and the rest is looked for anew.
            Err(error) => self.wait_for(&format!("{error:#}"), signals).await,
        }
    }

    async fn measure(&mut self, context: &mut Context, signals: &mut Signals) -> Result<Outcome> {
        let (view, pair) = context.find(|view| options::pair(self.args, view)).await?;
        let pairs = [pair];
        let probe_options = options::probe_options(self.args, &pairs)?;
        self.prober.take_if(|prober| !prober.fits(&probe_options));
        let prober = match &mut self.prober {
            Some(prober) => prober,
            none => none.insert(Prober::start(&view, probe_options, 1, self.options)?),
        };
        // Later rounds attach little, and the screen shows their results.
        let progress = progress::probes(self.shown.history.rounds == 0 && !self.report.is_screen());
        let round = prober.round(&view, &pairs, &progress, signals);
        let outcome = self.report.during(&self.shown, round).await?;
        if outcome.is_err() {
            self.prober = None;
        }
        outcome
    }

    /// Adds a round, and reports what has changed.
    async fn add(
        &mut self,
        begin: Timestamp,
        outcome: Outcome,
        signals: &mut Signals,
    ) -> Result<ControlFlow<()>> {
        let at = |instant: &Instant| self.shown.started.at(*instant);
        let sent_at = (0..self.args.count).map(|number| outcome.sent_at.get(&number).map(at));
        let sent_at: Vec<_> = sent_at.collect();
        self.shown.waiting = None;
        for verdict in outcome.verdicts {
            let round = Round {
                begin,
                sent_at: sent_at.clone(),
                verdict: verdict.into(),
            };
            let changes = self.shown.history.add(&round);
            let report = self.report.changes(&self.shown, &changes, signals);
            if report.await?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Notes that an end is missing.
    async fn wait_for(&mut self, why: &str, signals: &mut Signals) -> Result<ControlFlow<()>> {
        let now = self.shown.started.at(Instant::now());
        let is_news = self.shown.history.missing(now, why);
        self.shown.waiting = Some(why.into());
        match is_news {
            true => self.report.waiting(&self.shown, why, signals).await,
            false => Ok(ControlFlow::Continue(())),
        }
    }

    /// Waits for the next round, or for a change of the cluster while an end is missing.
    async fn pause(
        &mut self,
        next: Instant,
        context: &mut Context,
        signals: &mut Signals,
    ) -> Result<ControlFlow<()>> {
        let is_waiting = self.shown.waiting.is_some();
        let pause = next.saturating_duration_since(Instant::now());
        let pause = if is_waiting { pause.min(LOOK) } else { pause };
        let work = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => Ok(ControlFlow::Continue(())),
                changed = context.changed(), if is_waiting => {
                    changed.map(|()| ControlFlow::Continue(()))
                }
                () = signals.any() => Ok(ControlFlow::Break(())),
            }
        };
        self.report.during(&self.shown, work).await?
    }
}

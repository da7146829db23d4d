//! Sends marked packets to several pairs at once, and judges each pair.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::sync::mpsc;

pub(crate) use super::round::ProbePair;
use super::{
    drops,
    round::Run,
    session::{Options, Session},
};
use crate::{
    sys::{privileges, signals::Signals},
    verify::{
        Protocol, Verdict,
        collect::{
            crossings::Marks,
            kernel_drops::{Drops, NoDrops},
            probe::{MOST_SYNS, ProbeOptions},
        },
        context::View,
    },
};

/// How long to wait after the last reply for packets between two doors.
const IN_FLIGHT: Duration = Duration::from_millis(20);

/// How often to empty the ring buffer of dropped packets, which has room for 1 300.
const DROPS: Duration = Duration::from_millis(10);

/// What a round returns.
pub(crate) struct Outcome {
    /// In the order of the pairs.
    pub(crate) verdicts: Vec<Verdict>,
    /// When each packet of the first pair was sent, by its number.
    pub(crate) sent_at: BTreeMap<u32, Instant>,
    /// Whether a signal ended it early.
    pub(crate) interrupted: bool,
}

/// What a round is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Attaching where it is not attached yet.
    Attaching {
        /// The doors to watch.
        interfaces: usize,
    },
    /// Sending, and waiting for replies.
    Sending {
        /// Packets so far.
        sent: usize,
        /// All packets.
        of: usize,
    },
}

/// Runs once, as the last of the process: the calling thread drops its privileges. Nothing is left at any
/// door when it returns.
pub(crate) async fn run(
    view: &View,
    pairs: &[ProbePair],
    probe_options: ProbeOptions,
    options: Options,
    stage: &dyn Fn(Stage),
    signals: &mut Signals,
) -> Result<Outcome> {
    let mut prober = Prober::start(view, probe_options, pairs.len(), options)?;
    prober.last = true;
    prober.round(view, pairs, stage, signals).await
}

/// Sends in rounds, and stays attached between them. Detaches when it is dropped.
pub(crate) struct Prober {
    session: Session<Marks>,
    probe_options: ProbeOptions,
    options: Options,
    starting: Option<drops::Starting>,
    /// Without it, losses have no drop reason.
    drops: Result<Drops, NoDrops>,
    /// Number of the first pair of the next round: packets of earlier rounds are not mistaken for its own.
    first: u32,
    last: bool,
}

impl Prober {
    /// For rounds of this many pairs at most.
    pub(crate) fn start(
        view: &View,
        probe_options: ProbeOptions,
        pairs: usize,
        options: Options,
    ) -> Result<Self> {
        Ok(Self {
            starting: Some(drops::start(probe_options.cookie)),
            session: Session::start(view, probe_options.marks(pairs), options)?,
            probe_options,
            options,
            drops: Err(NoDrops::Other("not started".into())),
            first: 0,
            last: false,
        })
    }

    /// Whether its programs recognise packets that are sent in this way.
    pub(crate) fn fits(&self, probe_options: &ProbeOptions) -> bool {
        let looks = |it: &ProbeOptions| (it.protocol, it.size);
        looks(&self.probe_options) == looks(probe_options)
    }

    /// Sends once to each of `pairs`, and judges.
    pub(crate) async fn round(
        &mut self,
        view: &View,
        pairs: &[ProbePair],
        stage: &dyn Fn(Stage),
        signals: &mut Signals,
    ) -> Result<Outcome> {
        let routes = pairs.iter().map(|pair| &pair.route);
        let attaching = |interfaces| stage(Stage::Attaching { interfaces });
        let begun = self.session.begin(view, routes, attaching, signals);
        let Some(round) = begun.await? else {
            return Ok(Outcome {
                verdicts: Vec::new(),
                sent_at: BTreeMap::new(),
                interrupted: true,
            });
        };
        if let Some(starting) = self.starting.take() {
            self.drops = drops::started(starting).await;
        }
        let (probe_options, options) = (self.probe_options, self.options);
        let lost = self.drops.as_ref().map_or(0, Drops::lost);
        let mut run = Run::new(view, pairs, self.first, probe_options, options, lost);
        let (report, mut reports) = mpsc::unbounded_channel();
        let probing = run.send(report)?;
        if self.last {
            // The threads that send, watch hooks or read Cilium's maps have their own.
            privileges::keep_only(&[]);
        }
        let of = self.probe_options.count as usize * pairs.len();
        let mut tick = tokio::time::interval(DROPS);
        let interrupted = loop {
            stage(Stage::Sending { sent: run.sent, of });
            tokio::select! {
                report = reports.recv() => match report {
                    Some((flow, report)) => run.apply(flow, report),
                    None => break false,
                },
                seen = self.session.next() => run.read(&seen),
                _ = tick.tick() => run.read_drops(&mut self.drops),
                () = signals.any() => break true,
            }
        };
        drop(probing);
        tokio::time::sleep(IN_FLIGHT).await;
        let (recorded, rest) = self.session.end(round).await?;
        run.read(&rest);
        run.read_drops(&mut self.drops);
        self.first = self.next_first(pairs.len());
        Ok(Outcome {
            sent_at: std::mem::take(&mut run.sent_at),
            verdicts: run.verdicts(&recorded, &self.drops),
            interrupted,
        })
    }

    fn next_first(&self, pairs: usize) -> u32 {
        let most = match self.probe_options.protocol {
            Protocol::Tcp => MOST_SYNS / self.probe_options.count.max(1),
            Protocol::Icmp | Protocol::Udp => u32::MAX,
        };
        let pairs = u32::try_from(pairs).unwrap_or(most);
        let next = self.first.saturating_add(pairs);
        // The next round may have as many.
        if next.saturating_add(pairs) <= most {
            next
        } else {
            0
        }
    }
}

//! Snapshots of this machine: discovery, names and counters, read again and again.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use caps::Capability;
use jiff::Timestamp;
use tokio::{sync::watch, time::sleep_until};

use super::{
    Feed, assemble,
    cluster::{ClusterWatch, NAMES_LIMIT},
    gone::GoneDoors,
};
use crate::{
    attach::AttachOptions,
    count::{FlowDoors, FlowOptions, LossTracker, Progress, Tracer},
    discover::Selection,
    model::{Cluster, Directory, DoorId, Pair, Sample, Snapshot},
    names::SourceOptions,
    sys::privileges,
};

/// Longer than a packet takes from one end of a veth pair to the other.
const IN_FLIGHT: Duration = Duration::from_millis(20);
/// How soon a [`Pace::Prompt`] feed follows a change, and its interval while doors are attached.
const PROMPT_INTERVAL: Duration = Duration::from_millis(200);
/// How long [`Live::attached`] waits at most.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);

/// Has the flows of interfaces counted, and not any more.
#[derive(Clone, Debug)]
pub(crate) struct FlowSwitch(watch::Sender<HashSet<DoorId>>);

impl FlowSwitch {
    /// Has the flows of these interfaces counted, and of no other.
    pub(crate) fn want(&self, doors: HashSet<DoorId>) {
        self.0.send_if_modified(|wanted| {
            let changed = *wanted != doors;
            *wanted = doors;
            changed
        });
    }
}

/// What to observe, and how often.
pub(crate) struct FeedOptions {
    pub(crate) selection: Selection,
    pub(crate) sources: SourceOptions,
    pub(crate) attach: AttachOptions,
    /// Time between two snapshots, and the shortest window of rates.
    pub(crate) interval: Duration,
    /// When to end: after the first snapshot that is as late as this.
    pub(crate) period: Option<Duration>,
    pub(crate) pace: Pace,
    /// How to count flows, once they are asked for.
    pub(crate) flows: FlowOptions,
}

/// When a live feed yields snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One at once, then one per interval.
    Steady,
    /// As [`Self::Steady`], and soon after each change: for a person who watches.
    Prompt,
    /// One, at the end of the first interval.
    Once,
}

/// A running observation of this machine. Detaches everything when it is dropped.
pub(crate) struct Live {
    // Dropped in this order: first the counters, then discovery.
    tracer: Tracer,
    watch: ClusterWatch,
    pairs: Vec<Pair>,
    gone: GoneDoors,
    losses: LossTracker,
    flows_read_at: Instant,
    /// The sample at the start of the window of rates.
    previous: Option<Sample>,
    interval: Duration,
    period: Option<Duration>,
    pace: Pace,
    /// Doors whose flows are wanted, and those whose flows are counted.
    wanted_flows: (
        watch::Sender<HashSet<DoorId>>,
        watch::Receiver<HashSet<DoorId>>,
    ),
    flow_options: FlowOptions,
    /// Why flows cannot be counted.
    flow_error: Option<String>,
    /// Names of addresses elsewhere, for flows.
    directory: Option<Directory>,
    step: Step,
    /// When `step` is due.
    due: Instant,
    until: Option<Instant>,
}

/// What a feed does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    /// Compare the ends of veth pairs ...
    Compare,
    /// ... and read [`IN_FLIGHT`] later: what one end had sent by then, the other one must have.
    Read,
    End,
}

impl Live {
    /// Starts discovery and attaching; the calling thread then drops the capabilities that it no
    /// longer needs.
    pub(crate) fn start(options: FeedOptions) -> Result<Self> {
        privileges::keep_only(&privileges::REQUIRED.map(|(capability, _)| capability));
        let watch = ClusterWatch::start(options.selection, &options.sources)?;
        let mut tracer = Tracer::start(options.attach)?;
        tracer.want(watch.found());
        // The other threads keep what they need. Reading maps takes CAP_BPF before Linux 5.19.
        privileges::keep_only(&[Capability::CAP_BPF]);
        Ok(Self {
            tracer,
            pairs: watch.cluster().pairs(),
            watch,
            gone: GoneDoors::default(),
            losses: LossTracker::default(),
            flows_read_at: Instant::now(),
            previous: None,
            interval: options.interval,
            period: options.period,
            pace: options.pace,
            wanted_flows: watch::channel(HashSet::new()),
            flow_options: options.flows,
            flow_error: None,
            directory: None,
            step: Step::Begin,
            due: Instant::now(),
            until: None,
        })
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.watch.cluster()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.tracer.progress()
    }

    /// Waits until every source of names has answered, for a moment at most.
    pub(crate) async fn settled(&mut self) {
        self.watch.settled(NAMES_LIMIT).await;
        self.names_changed();
    }

    fn names_changed(&mut self) {
        self.pairs = self.watch.cluster().pairs();
        let has_flows = !self.wanted_flows.1.borrow().is_empty();
        self.directory = has_flows.then(|| self.watch.directory());
    }

    /// Has flows counted as long as somebody wants them.
    pub(crate) fn flow_switch(&self) -> FlowSwitch {
        FlowSwitch(self.wanted_flows.0.clone())
    }

    /// Counts the flows of these doors, and of no other.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub(crate) fn count_flows(&mut self, doors: HashSet<DoorId>) -> Result<()> {
        self.flow_switch().want(doors);
        self.switch_flows()
    }

    fn switch_flows(&mut self) -> Result<()> {
        let doors = self.wanted_flows.1.borrow_and_update().clone();
        self.names_changed();
        let doors = match doors.is_empty() {
            true => FlowDoors::None,
            false => FlowDoors::These(doors),
        };
        let room = self.flow_options.room;
        self.tracer
            .count_flows(doors, self.flow_options)
            .with_context(|| format!("cannot create a table for {room} flows; try a smaller one"))
    }

    /// Waits until every door is counted or known to be uncountable, for a minute at most; reports
    /// how far attaching has come.
    ///
    /// # Errors
    /// As [`Feed::next`].
    pub(crate) async fn attached(&mut self, mut report: impl FnMut(Progress)) -> Result<()> {
        let limit = tokio::time::sleep(ATTACH_LIMIT);
        tokio::pin!(limit);
        while !self.progress().complete() {
            report(self.progress());
            tokio::select! {
                changed = self.changed() => { changed?; }
                () = &mut limit => break,
            }
        }
        Ok(())
    }

    /// Waits until something was discovered, named, attached or detached, and applies it. Returns
    /// whether it is to be shown soon: doors have changed, or more of them are counted.
    async fn changed(&mut self) -> Result<bool> {
        let progress = self.progress();
        let discovered = tokio::select! {
            Ok(()) = self.wanted_flows.1.changed() => {
                // The counters go on.
                self.flow_error = self.switch_flows().err().map(|error| format!("{error:#}"));
                true
            }
            changed = self.watch.changed() => {
                changed?;
                self.update();
                true
            }
            alive = self.tracer.changed() => {
                ensure!(alive, "attaching has ended unexpectedly");
                false
            }
        };
        if let Some(reason) = self.tracer.hopeless() {
            bail!("no door can be counted: {reason}");
        }
        Ok(discovered || self.progress() != progress)
    }

    fn update(&mut self) {
        let found = Arc::clone(self.watch.found());
        let before = self.watch.update();
        if !Arc::ptr_eq(&found, self.watch.found()) {
            self.gone.update(&before, self.watch.cluster());
            self.tracer.want(self.watch.found());
        }
        self.names_changed();
    }

    /// Starts the window of rates, and the comparison of veth pairs with two samples in a row.
    fn begin(&mut self) {
        self.tracer.read_flows();
        self.flows_read_at = Instant::now();
        self.previous = Some(self.tracer.sample());
        self.compare();
        let now = Instant::now();
        self.until = self.period.map(|period| now + period);
        (self.step, self.due) = match self.pace {
            Pace::Once => (Step::Compare, now + self.interval),
            Pace::Steady | Pace::Prompt => (Step::Read, now),
        };
    }

    fn compare(&mut self) {
        let sample = self.tracer.sample();
        if let Some(before) = &self.previous {
            self.losses.observe(&self.pairs, before, &sample);
        }
    }

    /// Reads the counters: everything at this moment.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        if self.flows_read_at.elapsed() >= self.interval * 9 / 10 {
            self.tracer.read_flows();
            self.flows_read_at = Instant::now();
        }
        let sample = self.tracer.sample();
        let with_gone = self.gone.added_to(self.watch.cluster());
        let cluster = with_gone.as_ref().unwrap_or(self.watch.cluster());
        let previous = self.previous.as_ref();
        let now = Timestamp::now();
        let mut snapshot = assemble(cluster, previous, &sample, &mut self.losses, now);
        snapshot.directory.clone_from(&self.directory);
        snapshot.notes.extend(self.flow_error.clone());
        snapshot.flow_memory = self.tracer.flow_memory();
        for door in &mut snapshot.doors {
            door.flows = self.tracer.flows(door.id, &sample);
        }
        // Rates over the short windows of a prompt feed would jump.
        if previous
            .is_some_and(|previous| sample.at.saturating_sub(previous.at) >= self.interval * 9 / 10)
        {
            self.previous = Some(sample);
        }
        snapshot
    }

    /// Plans what follows a snapshot.
    fn plan_next(&mut self) {
        let now = Instant::now();
        if self.pace == Pace::Once || self.until.is_some_and(|until| now >= until) {
            self.step = Step::End;
            return;
        }
        self.step = Step::Compare;
        self.due = match self.pace {
            Pace::Prompt if !self.progress().complete() => now + PROMPT_INTERVAL,
            _ => now + self.interval.saturating_sub(IN_FLIGHT),
        };
    }
}

impl Feed for Live {
    async fn next(&mut self) -> Result<Option<Arc<Snapshot>>> {
        loop {
            match self.step {
                Step::Begin => self.begin(),
                Step::End => return Ok(None),
                Step::Compare | Step::Read => {}
            }
            let due = sleep_until(self.due.into());
            tokio::select! {
                changed = self.changed() => if changed? && self.pace == Pace::Prompt {
                    self.due = self.due.min(Instant::now() + PROMPT_INTERVAL);
                },
                () = due => if self.step == Step::Compare {
                    self.compare();
                    (self.step, self.due) = (Step::Read, Instant::now() + IN_FLIGHT);
                } else {
                    let snapshot = self.snapshot();
                    self.plan_next();
                    return Ok(Some(Arc::new(snapshot)));
                },
            }
        }
    }

    async fn last(&mut self) -> Result<Option<Arc<Snapshot>>> {
        if self.pace != Pace::Once || self.step == Step::Begin {
            return Ok(None);
        }
        if self.step == Step::Compare {
            self.due = Instant::now();
        }
        self.next().await
    }
}

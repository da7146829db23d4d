//! Cluster and counters over time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use caps::Capability;
use jiff::Timestamp;
use tokio::sync::watch;

use super::assemble;
use crate::{
    attach::AttachOptions,
    count::{LossTracker, Progress, Tracer},
    discover::{Discovered, Selection, Watch},
    model::{Cluster, Door, DoorId, Pair, Sample, Snapshot},
    names::settle,
    names::{Names, Reports, SourceOptions},
    sys::{netns::NetNsId, privileges},
};

/// How long a door that has gone is shown.
const SHOW_GONE: Duration = Duration::from_secs(20);

/// A running observation. Detaches everything when it is dropped.
pub(crate) struct Session {
    // In this order they end: first the counters, then the looking.
    tracer: Tracer,
    receiver: watch::Receiver<Arc<Discovered>>,
    found: Arc<Discovered>,
    reports: watch::Receiver<Reports>,
    /// What was found, under the names that the reports give.
    cluster: Cluster,
    pairs: Vec<Pair>,
    gone: HashMap<DoorId, Gone>,
    /// The beginning of the window over which rates are taken, at the least `interval` long.
    previous: Option<Sample>,
    interval: Duration,
    ledger: LossTracker,
    _watch: Watch,
}

/// A door that is shown for a while after it went.
struct Gone {
    door: Door,
    node: NetNsId,
    since: Instant,
}

impl Session {
    /// Starts looking and attaching; the calling thread then gives up what it needs no more.
    pub(crate) fn start(
        selection: Selection,
        sources: &SourceOptions,
        options: AttachOptions,
        interval: Duration,
    ) -> Result<Self> {
        privileges::keep_only(&privileges::REQUIRED.map(|(capability, _)| capability));
        let watch = Watch::start(selection)?;
        let reports = Names::start(&watch.subscribe(), sources).subscribe();
        let mut tracer = Tracer::start(options)?;
        let mut receiver = watch.subscribe();
        let found = receiver.borrow_and_update().clone();
        tracer.want(&found);
        // The other threads keep what they need. Reading maps takes CAP_BPF before Linux 5.19.
        privileges::keep_only(&[Capability::CAP_BPF]);
        let cluster = found.cluster.clone();
        let pairs = cluster.pairs();
        Ok(Self {
            tracer,
            receiver,
            found,
            reports,
            cluster,
            pairs,
            gone: HashMap::new(),
            previous: None,
            interval,
            ledger: LossTracker::default(),
            _watch: watch,
        })
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Waits until every source of names has said something, for a moment at the most.
    pub(crate) async fn named(&mut self) {
        settle::settled(&mut self.reports).await;
        self.name();
    }

    fn name(&mut self) {
        self.cluster = settle::named(&self.found.cluster, &mut self.reports);
        self.pairs = self.cluster.pairs();
    }

    pub(crate) fn progress(&self) -> Progress {
        self.tracer.progress()
    }

    /// Waits until something was found, lost, attached or detached, and takes it in.
    ///
    /// True when there are other doors than before, or more of them are counted: something to show
    /// at once.
    ///
    /// # Errors
    /// When it has become clear that there will be nothing to show.
    pub(crate) async fn changed(&mut self) -> Result<bool> {
        let before = self.progress();
        let doors = tokio::select! {
            found = self.receiver.changed() => {
                found.map_err(|_| anyhow::anyhow!("looking for interfaces has ended unexpectedly"))?;
                let found = self.receiver.borrow_and_update().clone();
                self.take(found);
                true
            }
            Ok(()) = self.reports.changed() => {
                self.name();
                true
            }
            alive = self.tracer.changed() => {
                anyhow::ensure!(alive, "attaching has ended unexpectedly");
                false
            }
        };
        if let Some(reason) = self.tracer.hopeless() {
            anyhow::bail!("no door can be counted: {reason}");
        }
        Ok(doors || self.progress() != before)
    }

    fn take(&mut self, found: Arc<Discovered>) {
        // With the names that they had: a source forgets a pod as soon as it is gone.
        let nodes = &self.cluster.nodes;
        for door in &self.cluster.doors {
            // What stood for a door that was out of reach has not gone: the door was reached.
            if found.cluster.door(door.id).is_none() && door.id.netns.known().is_some() {
                let node = nodes[door.node].netns;
                let gone = Gone {
                    door: door.clone(),
                    node,
                    since: Instant::now(),
                };
                self.gone.insert(door.id, gone);
            }
        }
        self.gone.retain(|id, _| found.cluster.door(*id).is_none());
        self.tracer.want(&found);
        self.found = found;
        self.name();
    }

    /// Reads the counters without showing them: the beginning of a window.
    pub(crate) fn begin(&mut self) {
        let sample = self.tracer.sample();
        self.previous = Some(sample);
    }

    /// Compares the ends of the veth pairs, without showing anything.
    pub(crate) fn compare(&mut self) {
        let sample = self.tracer.sample();
        if let Some(before) = &self.previous {
            self.ledger.observe(&self.pairs, before, &sample);
        }
    }

    /// Reads the counters: everything at this moment, and rates since the reading before.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let sample = self.tracer.sample();
        self.gone.retain(|_, gone| gone.since.elapsed() < SHOW_GONE);
        let cluster = self.with_gone();
        let cluster = cluster.as_ref().unwrap_or(&self.cluster);
        let now = Timestamp::now();
        let snapshot = assemble(
            cluster,
            self.previous.as_ref(),
            &sample,
            &mut self.ledger,
            now,
        );
        let begun = self.previous.as_ref().map(|before| before.at);
        // Drawn more often than that, as while doors are being attached, the rates would jump.
        if begun.is_none_or(|begun| sample.at.saturating_sub(begun) >= self.interval * 9 / 10) {
            self.previous = Some(sample);
        }
        snapshot
    }

    fn with_gone(&self) -> Option<Cluster> {
        if self.gone.is_empty() {
            return None;
        }
        let mut cluster = self.cluster.clone();
        let mut gone: Vec<_> = self.gone.values().collect();
        gone.sort_by_key(|gone| gone.door.id);
        for gone in gone {
            // Nodes come and go as well, and the others change places.
            let place = cluster
                .nodes
                .iter()
                .position(|node| node.netns == gone.node);
            let Some(node) = place else {
                continue;
            };
            let door = Door {
                node,
                ..gone.door.clone()
            };
            let end = cluster
                .doors
                .iter()
                .rposition(|other| other.node == door.node);
            cluster.doors.insert(end.map_or(0, |end| end + 1), door);
        }
        Some(cluster)
    }
}

//! Where it is to be verified: what is there, under the names that its sources give.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use crate::{
    discover::{self, Discovered, Names, Reports, Selection, SourceOptions, Watch},
    model::{Cluster, Door, NetNsId, Source, naming},
    sys::netns::NetNs,
    verify::{Party, Place},
};

/// How long names are waited for, at the most.
const NAMES_LIMIT: Duration = Duration::from_secs(1);

/// What is there, followed.
pub(super) struct Ground {
    receiver: watch::Receiver<Arc<Discovered>>,
    reports: watch::Receiver<Reports>,
    _watch: Watch,
}

impl Ground {
    pub(super) fn start(selection: Selection, sources: &SourceOptions) -> Result<Self> {
        let watch = Watch::start(selection)?;
        let receiver = watch.subscribe();
        let reports = Names::start(&receiver, sources).subscribe();
        Ok(Self {
            receiver,
            reports,
            _watch: watch,
        })
    }

    /// Waits until every source of names has said something, for a moment at the most.
    pub(super) async fn named(&mut self) {
        let all = |reports: &Reports| {
            let mut asked = Source::ASKED.iter();
            asked.all(|source| reports.iter().any(|report| report.source == *source))
        };
        let _ = tokio::time::timeout(NAMES_LIMIT, self.reports.wait_for(all)).await;
    }

    /// What is there at this moment.
    pub(super) fn look(&mut self) -> Look {
        let found = Arc::clone(&self.receiver.borrow_and_update());
        let reports = Arc::clone(&self.reports.borrow_and_update());
        let mut cluster = found.cluster.clone();
        naming::apply(&mut cluster, &reports);
        Look { found, cluster }
    }
}

/// What was there at one moment.
pub(super) struct Look {
    pub(super) found: Arc<Discovered>,
    pub(super) cluster: Cluster,
}

impl Look {
    /// The network namespace out of which `party` sends.
    pub(super) fn namespace(&self, party: &Party) -> Result<(NetNsId, NetNs)> {
        let netns = match party.place {
            Place::Pod { netns, .. } => netns,
            Place::Node { node, .. } => self
                .cluster
                .nodes
                .get(node)
                .map(|node| node.netns)
                .context("the node is not there any more")?,
            Place::Elsewhere => anyhow::bail!(
                "{} is not on a node that is here: nothing can be sent from it; name a pod or node of this machine, or run netviz where it is",
                party.name
            ),
        };
        let paths: &[PathBuf] = self.found.entrances.get(&netns).map_or(&[], Vec::as_slice);
        let opened = discover::open(paths, netns);
        let opened = opened.with_context(|| {
            format!(
                "cannot enter the network namespace of {}: it is not there any more, or out of reach; run netviz as root on its node",
                party.name
            )
        })?;
        Ok((netns, opened))
    }

    pub(super) fn doors(&self) -> &[Door] {
        &self.cluster.doors
    }
}

//! The cluster as discovery finds it, under the names that the sources report.

use std::{mem, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{sync::watch, time::timeout};

use crate::{
    discover::{Discovered, Selection, Watch},
    model::{Cluster, Directory, Pod, Source, Status},
    names::{self, Names, Reports, SourceOptions, reconcile},
};

/// How long to wait for names that only improve the output ...
pub(crate) const NAMES_LIMIT: Duration = Duration::from_secs(1);
/// ... and for names without which the command cannot do its work.
pub(crate) const NEEDED_NAMES_LIMIT: Duration = Duration::from_secs(5);

/// Follows a cluster and its names.
pub(crate) struct ClusterWatch {
    discovered: watch::Receiver<Arc<Discovered>>,
    reports: watch::Receiver<Reports>,
    found: Arc<Discovered>,
    cluster: Cluster,
    _watch: Watch,
}

impl ClusterWatch {
    /// Scans the interfaces and starts the sources of names.
    pub(crate) fn start(selection: Selection, sources: &SourceOptions) -> Result<Self> {
        let watch = Watch::start(selection)?;
        let mut discovered = watch.subscribe();
        let reports = Names::start(&discovered, sources).subscribe();
        let found = Arc::clone(&discovered.borrow_and_update());
        Ok(Self {
            cluster: found.cluster.clone(),
            discovered,
            reports,
            found,
            _watch: watch,
        })
    }

    /// What discovery found, without names.
    pub(crate) fn found(&self) -> &Arc<Discovered> {
        &self.found
    }

    /// What discovery found, with names.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Pods on nodes that are not here, known from the Kubernetes API.
    pub(crate) fn remote_pods(&self) -> Vec<Pod> {
        reconcile::remote_pods(&self.found.cluster, &self.reports.borrow())
    }

    /// Names of addresses elsewhere, as the sources report them now.
    pub(crate) fn directory(&self) -> Directory {
        let services = self.cluster.services.iter().flatten();
        Directory {
            pods: self.remote_pods(),
            nodes: reconcile::remote_nodes(&self.cluster, &self.reports.borrow()),
            services: services.map(Into::into).collect(),
        }
    }

    /// Whether every source of names has answered.
    pub(crate) fn is_complete(&self) -> bool {
        all_answered(&self.reports.borrow())
    }

    /// Waits until every source has answered, for `limit` at most. Returns whether it had to wait.
    pub(crate) async fn settled(&mut self, limit: Duration) -> bool {
        let complete = self.is_complete();
        if !complete {
            let _ = timeout(limit, self.reports.wait_for(all_answered)).await;
        }
        self.apply_names();
        !complete
    }

    /// Waits until discovery or a source of names reports a change, which [`Self::update`] applies.
    ///
    /// # Errors
    /// When discovery has ended.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        tokio::select! {
            found = self.discovered.changed() => {
                found.context("looking for interfaces has ended unexpectedly")
            }
            Ok(()) = self.reports.changed() => Ok(()),
        }
    }

    /// Applies the latest of everything; returns the cluster before.
    pub(crate) fn update(&mut self) -> Cluster {
        self.found = Arc::clone(&self.discovered.borrow_and_update());
        self.apply_names()
    }

    fn apply_names(&mut self) -> Cluster {
        let reports = Arc::clone(&self.reports.borrow_and_update());
        let mut cluster = self.found.cluster.clone();
        reconcile::apply(&mut cluster, &reports);
        mem::replace(&mut self.cluster, cluster)
    }

    /// The sources that have not answered or failed, a clause for each.
    pub(crate) fn source_errors(&self) -> Vec<String> {
        let reports = self.reports.borrow();
        let error = |source: Source| {
            let mut own = reports
                .iter()
                .filter(|report| report.source == source)
                .peekable();
            if own.peek().is_none() {
                return Some(format!("{source} has not answered yet"));
            }
            own.find_map(|report| match &report.status {
                Status::Failed { reason } => Some(format!("{source}: {reason}")),
                Status::Ok { .. } | Status::Absent => None,
            })
        };
        names::sources().filter_map(error).collect()
    }
}

fn all_answered(reports: &Reports) -> bool {
    names::sources().all(|source| reports.iter().any(|report| report.source == source))
}

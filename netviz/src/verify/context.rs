//! The cluster to verify: what is discovered, with the names that the sources report.

use std::{mem, sync::Arc};

use anyhow::{Context as _, Result};

use super::{Party, Place};
use crate::{
    discover::{Discovered, Selection},
    feed::{ClusterWatch, NAMES_LIMIT, NEEDED_NAMES_LIMIT},
    model::{Cluster, Door},
    names::SourceOptions,
    sys::{
        netns::{NetNs, NetNsId},
        symbols::Symbols,
    },
};

/// The cluster, kept up to date.
pub(crate) struct Context {
    watch: ClusterWatch,
    /// A source was named on the command line.
    asked: bool,
    /// The sources have had their time: later reports are used as they arrive.
    waited: bool,
    symbols: Arc<Symbols>,
    sources: SourceOptions,
}

impl Context {
    pub(crate) fn start(
        selection: Selection,
        sources: &SourceOptions,
        symbols: Arc<Symbols>,
    ) -> Result<Self> {
        Ok(Self {
            watch: ClusterWatch::start(selection, sources)?,
            asked: sources.kubeconfig.is_some(),
            waited: false,
            symbols,
            sources: sources.clone(),
        })
    }

    /// Waits for the first report of every source of names: briefly, unless a source was named, or names
    /// select the pods (`all`), so that a pod without one would be left out.
    pub(crate) async fn named(&mut self, all: bool) {
        if self.asked || all {
            self.wait().await;
        } else {
            self.watch.settled(NAMES_LIMIT).await;
        }
    }

    /// Waits for the sources without a report, once. Returns whether there were any.
    async fn wait(&mut self) -> bool {
        !mem::replace(&mut self.waited, true) && self.watch.settled(NEEDED_NAMES_LIMIT).await
    }

    /// Waits for a change of the cluster or of its names.
    ///
    /// # Errors
    /// When discovery has ended.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        self.watch.changed().await
    }

    fn view(&mut self) -> View {
        self.watch.update();
        let mut cluster = self.watch.cluster().clone();
        cluster.pods.extend(self.watch.remote_pods());
        View {
            found: Arc::clone(self.watch.found()),
            cluster,
            complete: self.waited || self.watch.is_complete(),
            symbols: Arc::clone(&self.symbols),
            sources: self.sources.clone(),
        }
    }

    /// The cluster at this moment, and the result of `find`. If that fails the first time, waits for the
    /// sources without a report, which may know the name.
    pub(crate) async fn find<T>(&mut self, find: impl Fn(&View) -> Result<T>) -> Result<(View, T)> {
        let mut view = self.view();
        let mut found = find(&view);
        if found.is_err() && self.wait().await {
            view = self.view();
            found = find(&view);
        }
        let found = found.map_err(|error| {
            // A source that failed may know the name.
            let parts = [format!("{error:#}")].into_iter();
            let parts = parts.chain(self.watch.source_errors());
            anyhow::anyhow!(parts.collect::<Vec<_>>().join("; "))
        })?;
        Ok((view, found))
    }
}

/// The cluster at one moment.
pub(crate) struct View {
    pub(crate) found: Arc<Discovered>,
    /// With the pods of nodes that are not here, which have no network namespace.
    pub(crate) cluster: Cluster,
    /// Every source of names has had its time.
    pub(crate) complete: bool,
    /// The kernel's.
    pub(crate) symbols: Arc<Symbols>,
    /// Where names are read, and policies.
    pub(crate) sources: SourceOptions,
}

impl View {
    /// The network namespace of an end that is here.
    pub(crate) fn netns(&self, party: &Party) -> Option<NetNsId> {
        let node = || Some(self.cluster.nodes.get(party.place.node()?)?.netns);
        party.place.netns().or_else(node)
    }

    /// The network namespace from which `party` sends.
    pub(crate) fn namespace(&self, party: &Party) -> Result<(NetNsId, NetNs)> {
        let netns = match party.place {
            Place::Pod { netns, .. } => netns,
            Place::Node { node, .. } => {
                let node = self.cluster.nodes.get(node);
                node.context("the node is not there any more")?.netns
            }
            Place::Elsewhere => anyhow::bail!(
                "{} is not on a node that is here: nothing can be sent from it; name a pod or node of this machine, or run netviz where it is",
                party.name
            ),
        };
        let opened = self.found.open(netns);
        let opened = opened.with_context(|| format!("cannot send from {}", party.name))?;
        let opened = opened.with_context(|| {
            format!(
                "cannot enter the network namespace of {}: it is not there any more, or out of reach; run netviz as root on its node",
                party.name
            )
        })?;
        Ok((netns, opened))
    }

    pub(crate) fn doors(&self) -> &[Door] {
        &self.cluster.doors
    }
}

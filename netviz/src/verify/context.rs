//! The cluster to verify: what is discovered, with the names that the sources report.

use std::{mem, sync::Arc};

use anyhow::{Context as _, Result};

use super::route::{Party, Place};
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

/// What is there, followed.
pub(crate) struct Context {
    watch: ClusterWatch,
    /// A source was asked for.
    asked: bool,
    /// A source that says nothing has been waited for, as long as for any: what it says from now on is
    /// taken as it comes.
    waited: bool,
    symbols: Arc<Symbols>,
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
        })
    }

    /// Waits until every source of names has said something: for a moment at the most, but that one was
    /// named, or that who is meant is said by names alone (`all`): whoever had none yet would be left out.
    pub(crate) async fn named(&mut self, all: bool) {
        if self.asked || all {
            self.wanted().await;
        } else {
            self.watch.settled(NAMES_LIMIT).await;
        }
    }

    /// Waits for the sources that have said nothing, once. Whether there was anything to wait for.
    async fn wanted(&mut self) -> bool {
        !mem::replace(&mut self.waited, true) && self.watch.settled(NEEDED_NAMES_LIMIT).await
    }

    /// What is there at this moment.
    pub(crate) fn look(&mut self) -> View {
        self.watch.update();
        View {
            found: Arc::clone(self.watch.found()),
            cluster: self.watch.cluster().clone(),
            symbols: Arc::clone(&self.symbols),
        }
    }

    /// What is there at this moment, and what `find` finds in it. Where it finds nothing, sources that
    /// have said nothing yet are waited for, the first time: who was asked for may be known to them.
    pub(crate) async fn find<T>(&mut self, find: impl Fn(&View) -> Result<T>) -> Result<(View, T)> {
        let mut look = self.look();
        let mut found = find(&look);
        if found.is_err() && self.wanted().await {
            look = self.look();
            found = find(&look);
        }
        let found = found.map_err(|error| {
            // Who was asked for may be known to a source that could not be asked.
            let troubles = self.watch.source_errors();
            let parts = [format!("{error:#}")].into_iter().chain(troubles);
            anyhow::anyhow!(parts.collect::<Vec<_>>().join("; "))
        })?;
        Ok((look, found))
    }
}

/// What was there at one moment.
pub(crate) struct View {
    pub(crate) found: Arc<Discovered>,
    pub(crate) cluster: Cluster,
    /// The kernel's.
    pub(crate) symbols: Arc<Symbols>,
}

impl View {
    /// The network namespace out of which `party` sends.
    pub(crate) fn namespace(&self, party: &Party) -> Result<(NetNsId, NetNs)> {
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

//! The trait of a source of names, and its context.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    runtime::Runtime,
    sync::{Notify, watch},
    time::sleep,
};

use super::report::{PodFact, Report};
use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::netns::NetNsId,
};

/// A source of names.
pub(crate) trait NameSource {
    /// Returns all that the source knows now. Called again after a change of interfaces or nodes, after
    /// [`Context::news`], and otherwise from time to time.
    fn read(&mut self, context: &Context, found: &Discovered) -> Vec<Report>;
}

/// A pod's name is written about 30 ms after its interface appears: after a change, the sources are read
/// again soon ...
const SOON: Duration = Duration::from_millis(100);
/// ... and less and less often while nothing changes.
const SELDOM: Duration = Duration::from_secs(5);
/// Changes come in bursts, and each report is complete.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Options from the command line.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// Where to find the Kubernetes API. The default is `KUBECONFIG`, `~/.kube/config`, or the pod's
    /// service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of its current one.
    pub context: Option<String>,
    /// Read services, too.
    pub services: bool,
}

/// The context of a source's thread.
pub(crate) struct Context {
    /// For sources that use sockets. Its tasks run on this thread between two reads.
    pub(crate) runtime: Runtime,
    /// A task of the source notifies it of news.
    pub(crate) news: Arc<Notify>,
    found: watch::Receiver<Arc<Discovered>>,
    pause: Duration,
}

impl Context {
    pub(super) fn new(runtime: Runtime, found: watch::Receiver<Arc<Discovered>>) -> Self {
        Self {
            runtime,
            news: Arc::default(),
            found,
            pause: SOON,
        }
    }

    /// The latest result of discovery.
    pub(super) fn found(&mut self) -> Arc<Discovered> {
        self.found.borrow_and_update().clone()
    }

    /// Waits until the source should be read again; false at the end.
    pub(super) fn wait(&mut self) -> bool {
        let Self {
            runtime,
            news,
            found,
            pause,
        } = self;
        runtime.block_on(async {
            tokio::select! {
                changed = found.changed() => {
                    *pause = SOON;
                    return changed.is_ok();
                }
                () = news.notified() => sleep(DEBOUNCE).await,
                () = sleep(*pause) => *pause = (*pause * 2).min(SELDOM),
            }
            true
        })
    }
}

/// A node whose files a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeFiles {
    /// Its network namespace.
    pub(crate) netns: NetNsId,
    /// Its root directory by several paths, the safest first.
    pub(crate) roots: Vec<PathBuf>,
}

/// The nodes in `found`.
pub(super) fn nodes(found: &Discovered) -> impl Iterator<Item = NodeFiles> {
    found.cluster.nodes.iter().map(|node| NodeFiles {
        netns: node.netns,
        roots: found.roots.get(&node.netns).cloned().unwrap_or_default(),
    })
}

/// A source's state for each node, dropped with the node.
#[derive(Debug, Default)]
pub(super) struct PerNode<T>(HashMap<NetNsId, T>);

impl<T: Default> PerNode<T> {
    /// The report of `source` about the pods of each node.
    pub(super) fn reports(
        &mut self,
        source: Source,
        found: &Discovered,
        mut read: impl FnMut(&mut T, &NodeFiles) -> (Status, Vec<PodFact>),
    ) -> Vec<Report> {
        let nodes: Vec<_> = nodes(found).collect();
        self.0
            .retain(|netns, _| nodes.iter().any(|node| node.netns == *netns));
        let report = |node: &NodeFiles| {
            let (status, pods) = read(self.0.entry(node.netns).or_default(), node);
            Report {
                pods,
                ..Report::new(source, Some(node.netns), status)
            }
        };
        nodes.iter().map(report).collect()
    }
}

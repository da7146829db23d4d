//! What each source of names implements and works with.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    runtime::Runtime,
    sync::{Notify, watch},
    time::sleep,
};

use super::report::Report;
use crate::{discover::Discovered, sys::netns::NetNsId};

/// A source of names.
pub(crate) trait NameSource {
    /// Returns all that the source knows now. Called again after a change of interfaces or nodes, after
    /// [`Context::news`], and otherwise from time to time.
    fn read(&mut self, context: &Context, found: &Discovered) -> Vec<Report>;
}

/// A pod's name is written about 30 ms after its interface appears: after a change the sources are
/// read again soon ...
const SOON: Duration = Duration::from_millis(100);
/// ... and less and less often while nothing changes.
const SELDOM: Duration = Duration::from_secs(5);
/// News come in bursts, and every report holds everything.
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

/// What a source's thread works with.
pub(crate) struct Context {
    /// For sources that wait on sockets. It runs on this thread, while the source is not read.
    pub(crate) runtime: Runtime,
    /// Notified by a task of the source when there is something new to read.
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

    /// What discovery found last.
    pub(super) fn found(&mut self) -> Arc<Discovered> {
        self.found.borrow_and_update().clone()
    }

    /// Waits until it is worth reading again; false at the end.
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

/// What a source keeps for each node, and forgets with it.
#[derive(Debug, Default)]
pub(super) struct PerNode<T>(HashMap<NetNsId, T>);

impl<T: Default> PerNode<T> {
    /// A report for each node.
    pub(super) fn reports(
        &mut self,
        found: &Discovered,
        mut report: impl FnMut(&mut T, &NodeFiles) -> Report,
    ) -> Vec<Report> {
        let nodes: Vec<_> = nodes(found).collect();
        self.0
            .retain(|netns, _| nodes.iter().any(|node| node.netns == *netns));
        let nodes = nodes.iter();
        nodes
            .map(|node| report(self.0.entry(node.netns).or_default(), node))
            .collect()
    }
}

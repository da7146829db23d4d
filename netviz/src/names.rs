//! Sources of names, each read on a thread of its own.
//!
//! No source is needed, and none delays another one, the counters or the screen.

pub mod cilium;
pub mod cni;
pub mod containerd;
mod files;
pub mod kubelet;
pub(crate) mod kubernetes;
pub mod maps;
pub mod reconcile;
pub mod report;

use std::{
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{Notify, watch},
    time::sleep,
};

use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::{descriptors, netns::NetNsId, threads},
};
use report::Report;

/// A source of names.
pub(crate) trait NameSource {
    /// Returns all that the source knows now. Called again after a change of interfaces or nodes, after
    /// [`Context::news`], and otherwise from time to time.
    fn read(&mut self, context: &Context, found: &Discovered) -> Vec<Report>;
}

/// Makes a source on its own thread.
type Make = fn(&SourceOptions) -> Box<dyn NameSource>;

/// All sources, in the order in which they are believed.
const SOURCES: [(Source, Make); 6] = [
    (Source::CniCache, |_| Box::<cni::Caches>::default()),
    (Source::Runtime, |_| Box::<containerd::Bundles>::default()),
    (Source::Kubelet, |_| Box::<kubelet::Kubelet>::default()),
    (Source::CiliumMaps, |_| Box::new(maps::Maps)),
    (Source::Cilium, |options| {
        let services = options.services;
        Box::new(cilium::Agents { services })
    }),
    (Source::Kubernetes, |options| {
        Box::new(kubernetes::Kubernetes::new(options))
    }),
];

/// The sources that are read.
pub(crate) fn sources() -> impl Iterator<Item = Source> {
    SOURCES.into_iter().map(|(source, _)| source)
}

/// A pod's name is written about 30 ms after its interface appears: after a change the sources are
/// read again soon ...
const SOON: Duration = Duration::from_millis(100);
/// ... and less and less often while nothing changes.
const SELDOM: Duration = Duration::from_secs(5);
/// News come in bursts, and every report holds everything.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// The latest reports of all sources.
pub type Reports = Arc<Vec<Report>>;

/// Options from the command line.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// Where to find the Kubernetes API. The default is `KUBECONFIG`, `~/.kube/config`, or the pod's
    /// service account.
    pub kubeconfig: Option<PathBuf>,
    /// Read services, too.
    pub services: bool,
}

/// Runs the sources as long as discovery runs.
#[derive(Debug)]
pub struct Names {
    reports: watch::Receiver<Reports>,
}

impl Names {
    /// Reads all sources for the nodes in `found`, and again when they change.
    #[must_use]
    pub fn start(found: &watch::Receiver<Arc<Discovered>>, options: &SourceOptions) -> Self {
        let (board, reports) = watch::channel(Reports::default());
        let mut refused: Option<(io::Error, Vec<String>)> = None;
        for (source, make) in SOURCES {
            let (found, board, options) = (found.clone(), board.clone(), options.clone());
            let started = thread::Builder::new()
                .name(format!("names-{source}"))
                .spawn(move || run(source, || make(&options), found, &board));
            if let Err(error) = started {
                let names = &mut refused.get_or_insert((error, Vec::new())).1;
                names.push(source.to_string());
            }
        }
        if let Some((error, names)) = refused {
            let does = format!("asks for names (those of {})", names.join(", "));
            log::warn!("{}", threads::refused(&does, &error));
        }
        Self { reports }
    }

    /// The latest reports, and a way to wait for the next ones.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Reports> {
        self.reports.clone()
    }
}

/// Reads a source until discovery ends. The reports of one that panics are withdrawn.
fn run(
    source: Source,
    make: impl FnOnce() -> Box<dyn NameSource>,
    found: watch::Receiver<Arc<Discovered>>,
    board: &watch::Sender<Reports>,
) {
    let runtime = match descriptors::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return log::warn!("cannot ask {source} for names: {error}"),
    };
    let mut context = Context {
        runtime,
        news: Arc::default(),
        found,
        pause: SOON,
    };
    let read = || {
        let mut names = make();
        loop {
            let found = context.found.borrow_and_update().clone();
            let reports = names.read(&context, &found);
            publish(board, source, reports);
            if !context.wait() {
                return;
            }
        }
    };
    if catch_unwind(AssertUnwindSafe(read)).is_err() {
        let status = Status::failed("crashed (bug in netviz, see stderr)");
        publish(board, source, vec![Report::new(source, None, status)]);
    }
}

/// Replaces the reports of `source`.
fn publish(board: &watch::Sender<Reports>, source: Source, reports: Vec<Report>) {
    board.send_if_modified(|all| {
        let others = all.iter().filter(|report| report.source != source);
        let mut new: Vec<Report> = others.cloned().chain(reports).collect();
        new.sort_by_key(|report| (report.source, report.node));
        let changed = **all != new;
        if changed {
            *all = Arc::new(new);
        }
        changed
    });
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
    /// Waits until it is worth reading again; false at the end.
    fn wait(&mut self) -> bool {
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
fn nodes(found: &Discovered) -> impl Iterator<Item = NodeFiles> {
    found.cluster.nodes.iter().map(|node| NodeFiles {
        netns: node.netns,
        roots: found.roots.get(&node.netns).cloned().unwrap_or_default(),
    })
}

/// What a source keeps for each node, and forgets with it.
#[derive(Debug, Default)]
struct PerNode<T>(HashMap<NetNsId, T>);

impl<T: Default> PerNode<T> {
    /// A report for each node.
    fn reports(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_listed_in_the_order_in_which_they_are_believed() {
        assert!(SOURCES.is_sorted_by_key(|(source, _)| *source));
    }

    #[test]
    fn the_reports_of_a_source_that_panics_are_withdrawn() {
        struct Panics(bool);
        impl NameSource for Panics {
            fn read(&mut self, _: &Context, _: &Discovered) -> Vec<Report> {
                assert!(!std::mem::replace(&mut self.0, true), "on purpose");
                vec![Report::new(Source::Kubelet, Some(NetNsId(1)), Status::OK)]
            }
        }
        let (_found, receiver) = watch::channel(Arc::new(Discovered::default()));
        let (board, reports) = watch::channel(Reports::default());
        let other = Report::new(Source::CniCache, None, Status::OK);
        publish(&board, Source::CniCache, vec![other.clone()]);
        run(
            Source::Kubelet,
            || Box::new(Panics(false)),
            receiver,
            &board,
        );
        let left = reports.borrow();
        assert_eq!(left.len(), 2);
        assert_eq!((&left[0], left[1].source), (&other, Source::Kubelet));
        assert!(matches!(&left[1].status, Status::Failed { .. }), "{left:?}");
    }
}

//! Sources of names, each asked on a thread of its own.
//!
//! None of them is needed, and none can stall another one, the counting or the screen: whatever a
//! source does, the others' reports and the doors are shown without it.

pub mod cilium;
pub mod cni;
pub mod containerd;
mod files;
pub mod kubelet;
pub(crate) mod kubernetes;
pub mod maps;
pub mod reconcile;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    discover::Discovered,
    model::{Report, Source, Status},
    sys::{descriptors, netns::NetNsId, threads},
};

/// A pod's name is written some 30 ms after its interface came: soon after a change is asked again …
const SOON: Duration = Duration::from_millis(100);
/// … and ever more seldom while nothing happens.
const SELDOM: Duration = Duration::from_secs(5);

/// Every source that is read besides the kernel.
pub(crate) const SOURCES: [Source; 6] = [
    Source::CniCache,
    Source::Runtime,
    Source::Kubelet,
    Source::CiliumMaps,
    Source::Cilium,
    Source::Kubernetes,
];

/// What every source says at this moment, in no order.
pub type Reports = Arc<Vec<Report>>;

/// What the person asked for.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// Where to find the Kubernetes API; otherwise `KUBECONFIG`, the pod's service account, or the
    /// node's own files.
    pub kubeconfig: Option<PathBuf>,
    /// Services are to be told of, too.
    pub services: bool,
}

/// Runs the sources until the watch that it follows has ended.
#[derive(Debug)]
pub struct Names {
    reports: watch::Receiver<Reports>,
}

impl Names {
    /// Asks all sources about what `found` tells, and again whenever that changes.
    #[must_use]
    pub fn start(found: &watch::Receiver<Arc<Discovered>>, options: &SourceOptions) -> Self {
        let (board, reports) = watch::channel(Reports::default());
        let board = Arc::new(board);
        let mut refused: Option<(io::Error, Vec<&str>)> = None;
        for (name, source, ask) in sources(options) {
            let (found, board) = (found.clone(), Arc::clone(&board));
            let started = thread::Builder::new()
                .name(format!("names-{name}"))
                .spawn(move || {
                    if let Some(context) = Context::new(found, Arc::clone(&board)) {
                        run(source, ask, context, &board);
                    }
                });
            if let Err(error) = started {
                refused.get_or_insert((error, Vec::new())).1.push(name);
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

type Ask = Box<dyn FnOnce(Context) + Send>;

/// Until the end; what ends before that by a mistake says nothing any more that is old by now.
fn run(source: Source, ask: Ask, context: Context, board: &watch::Sender<Reports>) {
    if catch_unwind(AssertUnwindSafe(|| ask(context))).is_err() {
        let why = "ended by a mistake in netviz, which is told on standard error";
        let report = Report::new(source, None, Status::failed(why));
        publish(board, source, vec![report]);
    }
}

/// Says what `source` knows, in place of what it said before.
fn publish(board: &watch::Sender<Reports>, source: Source, reports: Vec<Report>) {
    board.send_if_modified(|all| {
        let mut new: Vec<Report> = all
            .iter()
            .filter(|report| report.source != source)
            .cloned()
            .collect();
        new.extend(reports);
        new.sort_by_key(|report| (report.source, report.node));
        let changed = **all != new;
        if changed {
            *all = Arc::new(new);
        }
        changed
    });
}

/// Every source: the name of its thread (15 bytes are seen), and what it does there.
fn sources(options: &SourceOptions) -> Vec<(&'static str, Source, Ask)> {
    let options = options.clone();
    let services = options.services;
    vec![
        ("cni", Source::CniCache, Box::new(cni::run)),
        ("runtime", Source::Runtime, Box::new(containerd::run)),
        ("kubelet", Source::Kubelet, Box::new(kubelet::run)),
        ("maps", Source::CiliumMaps, Box::new(maps::run)),
        (
            "cilium",
            Source::Cilium,
            Box::new(move |context| cilium::run(context, services)),
        ),
        (
            "kube",
            Source::Kubernetes,
            Box::new(move |context| kubernetes::run(context, &options)),
        ),
    ]
}

/// A node as a source needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Its network namespace.
    pub(crate) netns: NetNsId,
    /// Its hostname.
    pub(crate) name: String,
    /// Where its files can be read, the surest first.
    pub(crate) roots: Vec<PathBuf>,
}

/// What a source's thread works with.
pub(crate) struct Context {
    /// For those that wait on sockets. Blocks this thread alone.
    pub(crate) runtime: tokio::runtime::Runtime,
    found: watch::Receiver<Arc<Discovered>>,
    board: Arc<watch::Sender<Reports>>,
    pause: Duration,
}

impl Context {
    fn new(
        found: watch::Receiver<Arc<Discovered>>,
        board: Arc<watch::Sender<Reports>>,
    ) -> Option<Self> {
        let runtime = descriptors::runtime()
            .inspect_err(|error| log::warn!("cannot ask for names: {error}"))
            .ok()?;
        Some(Self {
            runtime,
            found,
            board,
            pause: SOON,
        })
    }

    /// The nodes that are there now.
    pub(crate) fn sites(&mut self) -> Vec<Site> {
        let found = self.found.borrow_and_update();
        let site = |node: &crate::model::Node| Site {
            netns: node.netns,
            name: node.name.raw().to_owned(),
            roots: found.roots.get(&node.netns).cloned().unwrap_or_default(),
        };
        found.cluster.nodes.iter().map(site).collect()
    }

    /// All that was found, for sources that compare.
    pub(crate) fn found(&self) -> Arc<Discovered> {
        self.found.borrow().clone()
    }

    /// Says what `source` knows, in place of what it said before.
    pub(crate) fn publish(&self, source: Source, reports: Vec<Report>) {
        publish(&self.board, source, reports);
    }

    /// Asks again and again: at once when interfaces or nodes change, otherwise ever more seldom.
    pub(crate) fn poll(
        mut self,
        source: Source,
        mut ask: impl FnMut(&tokio::runtime::Runtime, &[Site]) -> Vec<Report>,
    ) {
        loop {
            let sites = self.sites();
            let reports = ask(&self.runtime, &sites);
            self.publish(source, reports);
            if !self.wait() {
                return;
            }
        }
    }

    /// Waits until it is worth asking again; false at the end.
    pub(crate) fn wait(&mut self) -> bool {
        let until = Instant::now() + self.pause;
        let found = &mut self.found;
        let changed = self
            .runtime
            .block_on(async { tokio::time::timeout_at(until.into(), found.changed()).await });
        match changed {
            Ok(Ok(())) => self.pause = SOON,
            Ok(Err(_)) => return false,
            Err(_) => self.pause = (self.pause * 2).min(SELDOM),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_panics_takes_back_what_it_said() {
        let (_found, receiver) = watch::channel(Arc::new(Discovered::default()));
        let (board, reports) = watch::channel(Reports::default());
        let board = Arc::new(board);
        let context = Context::new(receiver, Arc::clone(&board)).expect("a runtime");
        let other = Report::new(Source::CniCache, None, Status::OK);
        publish(&board, Source::CniCache, vec![other.clone()]);
        let ask = |context: Context| {
            let report = Report::new(Source::Kubelet, Some(NetNsId(1)), Status::OK);
            context.publish(Source::Kubelet, vec![report]);
            panic!("on purpose");
        };
        run(Source::Kubelet, Box::new(ask), context, &board);
        let said = reports.borrow();
        assert_eq!(said.len(), 2);
        assert_eq!(said[0], other);
        let trouble =
            matches!(&said[1].status, Status::Failed { reason: why } if why.starts_with("ended"));
        assert!(trouble && said[1].source == Source::Kubelet, "{said:?}");
    }
}

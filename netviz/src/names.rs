//! Sources of names, each read on its own thread.
//!
//! No source is needed, and none delays another one, the counters or the screen.

pub mod cilium;
pub mod cni;
pub mod containerd;
mod files;
pub mod kubelet;
pub mod kubernetes;
pub mod maps;
pub mod policies;
pub mod reconcile;
pub mod report;
mod source;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use report::Report;
pub use source::SourceOptions;
use source::{Context, NameSource};
use tokio::sync::watch;

use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::{descriptors, threads},
};

/// Makes a source on its own thread.
type Make = fn(&SourceOptions) -> Box<dyn NameSource>;

/// All sources, by precedence.
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

/// The latest reports of all sources.
pub type Reports = Arc<Vec<Report>>;

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
    let mut context = Context::new(runtime, found);
    let read = || {
        let mut names = make();
        loop {
            let found = context.found();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::netns::NetNsId;

    #[test]
    fn sources_are_listed_by_precedence() {
        assert!(SOURCES.is_sorted_by_key(|(source, _)| *source));
    }

    #[test]
    fn reports_of_a_panicking_source_are_withdrawn() {
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

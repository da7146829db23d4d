//! The one loop: a feed's snapshots go to a sink until one of them ends.

use std::{future::pending, ops::ControlFlow, sync::Arc};

use anyhow::Result;

use super::output::Output;
use crate::{
    cli::Exit,
    count::Progress,
    feed::Feed,
    model::{Reason, Snapshot, State},
    views::{
        filter::Filter,
        order::{Sort, sort},
    },
};

/// Shows snapshots.
pub trait Sink {
    /// Shows a snapshot; breaks when the reader wants no more.
    ///
    /// # Errors
    /// When it cannot be shown.
    fn show(&mut self, snapshot: Arc<Snapshot>) -> impl Future<Output = Result<ControlFlow<()>>>;

    /// Waits for a key and applies it; breaks when the reader wants no more. Nothing is lost when
    /// the future is dropped.
    ///
    /// # Errors
    /// When the result cannot be shown.
    fn input(&mut self) -> impl Future<Output = Result<ControlFlow<()>>> {
        pending()
    }
}

/// Shows every snapshot of `feed` until the feed ends, the reader wants no more, or `stop` resolves.
pub async fn drive(
    feed: &mut impl Feed,
    sink: &mut impl Sink,
    mut stop: impl AsyncFnMut(),
) -> Result<()> {
    let mut stopped = false;
    while !stopped {
        let snapshot = tokio::select! {
            // Keys first: they do not wait for a reading.
            biased;
            () = stop() => {
                stopped = true;
                feed.last().await?
            }
            flow = sink.input() => match flow? {
                ControlFlow::Continue(()) => continue,
                ControlFlow::Break(()) => break,
            },
            snapshot = feed.next() => snapshot?,
        };
        let Some(snapshot) = snapshot else {
            break;
        };
        let flow = tokio::select! {
            flow = sink.show(snapshot) => flow?,
            () = stop() => break,
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// The part of a snapshot to show, and its order.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Leaves out what is not asked for.
    pub filter: Filter,
    /// The order of the veth pairs.
    pub sort: Sort,
}

impl Shown {
    pub(super) fn of(&self, snapshot: Arc<Snapshot>) -> Snapshot {
        let mut snapshot = Arc::unwrap_or_clone(snapshot);
        self.filter.apply(&mut snapshot);
        sort(&mut snapshot, self.sort);
        snapshot
    }
}

/// Prints what `print` makes of each snapshot.
pub struct Printer<P> {
    output: Output,
    shown: Shown,
    print: P,
    /// Whether an interface of the last snapshot could not be observed.
    blind: bool,
}

impl<P: FnMut(&Snapshot) -> Result<Vec<u8>>> Printer<P> {
    /// A printer of the part `shown` of each snapshot.
    pub fn new(output: Output, shown: Shown, print: P) -> Self {
        Self {
            output,
            shown,
            print,
            blind: false,
        }
    }
}

impl<P> Printer<P> {
    /// The exit code of a command that printed its only document.
    pub fn exit(&self) -> Exit {
        match self.blind {
            true => Exit::Unclear,
            false => Exit::Success,
        }
    }
}

impl<P: FnMut(&Snapshot) -> Result<Vec<u8>>> Sink for Printer<P> {
    async fn show(&mut self, snapshot: Arc<Snapshot>) -> Result<ControlFlow<()>> {
        let shown = self.shown.of(snapshot);
        self.blind = shown.doors.iter().any(|door| door.state == State::Blind);
        let bytes = (self.print)(&shown)?;
        self.output.write(bytes).await
    }
}

/// How far attaching has come, for a person; `None` when it is complete.
pub(super) fn attaching(progress: Progress) -> Option<String> {
    let Progress { settled, wanted } = progress;
    (!progress.complete()).then(|| format!("attaching: {settled} of {wanted} doors"))
}

/// How far attaching had come when `snapshot` was taken.
pub(super) fn progress(snapshot: &Snapshot) -> Progress {
    let doors = snapshot.doors.iter();
    let wanted = doors.filter(|door| door.state != State::Gone);
    let pending = |reason: &Option<Reason>| *reason == Some(Reason::Pending);
    Progress {
        settled: wanted.clone().filter(|door| !pending(&door.reason)).count(),
        wanted: wanted.count(),
    }
}

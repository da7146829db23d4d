//! Reports packets at the doors: what `netviz verify` observes.
//!
//! As for counting, every door gets a copy of the object, so that the ring buffer of a record names the
//! door. One thread attaches, reads the ring buffers, and at the end detaches: nothing is left when
//! [`Crossings`] ends, however it ends.

mod collector;
mod pair;
mod record;
mod watcher;

use std::{collections::HashMap, sync::Arc, time::Duration};

use netviz_ebpf::crossing::Seen;
use tokio::sync::{mpsc, oneshot};

use crate::{
    attach::{AttachOptions, TraceError, engine::Engine, expedite::Expedite},
    discover::Discovered,
    model::{Chain, Door, DoorId},
    sys::threads::{Stop, Worker},
    verify::observation::Hidden,
};
pub(crate) use collector::Collector;
pub use collector::Marks;
pub use pair::{AddressPair, Totals, Window};
pub use record::Sighting;
use watcher::Watcher;

/// What the thread reports.
#[derive(Debug)]
pub(crate) enum News<T = Seen> {
    /// Packets, in the order of each door, not of time.
    Seen(Vec<Sighting<T>>),
}

/// The state when all doors are attached that can be.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// The other programs at the hooks of each watched door, ingress and egress.
    pub(crate) chains: HashMap<DoorId, [Option<Chain>; 2]>,
    /// Doors that cannot be watched.
    pub(crate) hidden: Vec<Hidden>,
    /// When that was, on the kernel's monotonic clock.
    pub(crate) at: Duration,
}

/// The state at the end.
#[derive(Debug)]
pub(crate) struct Summary<T: Collector = Marks> {
    /// Doors that were not watched all the time.
    pub(crate) hidden: Vec<Hidden>,
    /// Packets for which the ring buffer had no room, by door.
    pub(crate) missed: HashMap<DoorId, u64>,
    /// The last packets.
    pub(crate) seen: Vec<Sighting<T::Record>>,
    /// The totals of the doors.
    pub(crate) balances: HashMap<DoorId, T::Totals>,
}

impl<T: Collector> Default for Summary<T> {
    fn default() -> Self {
        Self {
            hidden: Vec::new(),
            missed: HashMap::new(),
            seen: Vec::new(),
            balances: HashMap::new(),
        }
    }
}

/// A running watch over packets. Detaches everything when it is dropped.
#[derive(Debug)]
pub(crate) struct Crossings<T: Collector = Marks>(Worker<Summary<T>>);

/// A watch, its state once all doors are attached, and what it reports.
pub(crate) type Watching<T> = (
    Crossings<T>,
    oneshot::Receiver<Ready>,
    mpsc::UnboundedReceiver<News<<T as Collector>::Record>>,
);

/// Starts to attach to `doors`, in this order.
///
/// # Errors
/// When the thread cannot be started, or the machine's RCU switch not be set.
pub(crate) fn watch<T: Collector>(
    found: Arc<Discovered>,
    doors: Vec<Door>,
    collector: T,
    options: AttachOptions,
) -> Result<Watching<T>, TraceError> {
    let expedite = options.fast.then(Expedite::new).transpose()?;
    let (ready, is_ready) = oneshot::channel();
    let (sender, news) = mpsc::unbounded_channel();
    let work = move |stop: &Stop| {
        let engine = Engine::new(&collector, options.mode, expedite, found);
        Watcher::new(&collector, engine).run(&doors, stop, ready, &sender)
    };
    let worker =
        Worker::start("netviz-watch", "watches packets", work).map_err(TraceError::Thread)?;
    Ok((Crossings(worker), is_ready, news))
}

impl<T: Collector> Crossings<T> {
    /// Reads the last packets, and detaches.
    #[must_use]
    pub(crate) fn finish(self) -> Summary<T> {
        self.0.finish().unwrap_or_default()
    }
}

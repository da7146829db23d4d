//! Tells of packets at the doors: what `netviz verify` sees.
//!
//! As for counting, every door gets a copy of the object, so that the door is known by the ring
//! buffer that tells of it. One thread attaches, then takes out of the ring buffers what comes, and
//! at the end detaches: nothing of this is left when [`Crossings`] has ended, however it ends.

mod collector;
mod hook_watch;
mod pair;
mod record;
mod worker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use netviz_ebpf::crossing::Seen;
use tokio::sync::{mpsc, oneshot};

use crate::{
    attach::TraceError,
    attach::{AttachOptions, expedite::Expedite},
    discover::Discovered,
    model::{Chain, Door, DoorId},
    sys::threads,
    verify::observation::Hidden,
};
pub use collector::{Collector, Marks};
pub use pair::{AddressPair, Maps, Totals, Window};
pub use record::Sighting;
use worker::Worker;

/// What the thread has to say.
#[derive(Debug)]
pub enum News<T = Seen> {
    /// Packets, in the order of each door, not of time.
    Seen(Vec<Sighting<T>>),
}

/// Everything stands where it can.
#[derive(Debug, Default)]
pub struct Ready {
    /// Who else is on the hooks of each watched door, ingress and egress.
    pub chains: HashMap<DoorId, [Option<Chain>; 2]>,
    /// Doors that cannot be watched.
    pub hidden: Vec<Hidden>,
    /// When that was, on the kernel's monotonic clock.
    pub at: Duration,
}

/// What is known at the end.
#[derive(Debug)]
pub struct Summary<T: Collector = Marks> {
    /// Doors that were not watched all the time.
    pub hidden: Vec<Hidden>,
    /// Packets for which there was no room, by door.
    pub missed: HashMap<DoorId, u64>,
    /// What was seen last.
    pub seen: Vec<Sighting<T::Record>>,
    /// What the doors say otherwise.
    pub balances: HashMap<DoorId, T::Totals>,
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
pub struct Crossings<T: Collector = Marks>(threads::Worker<Summary<T>>);

/// What a watch gives: itself, when it stands, and what it sees.
pub type Watching<T> = (
    Crossings<T>,
    oneshot::Receiver<Ready>,
    mpsc::UnboundedReceiver<News<<T as Collector>::Record>>,
);

/// Starts to attach to `doors`, in this order.
///
/// # Errors
/// When the thread cannot be started or the machine's RCU switch not be set.
pub fn watch<T: Collector>(
    found: Arc<Discovered>,
    doors: Vec<Door>,
    target: T,
    options: AttachOptions,
) -> Result<Watching<T>, TraceError> {
    let expedite = options.fast.then(Expedite::new).transpose()?;
    let (stand, standing) = oneshot::channel();
    let (tell, news) = mpsc::unbounded_channel();
    let worker = Worker::new(found, options.mode, expedite);
    let work = move |stop: &threads::Stop| worker.run(doors, &target, stop, stand, &tell);
    let worker = threads::Worker::start("netviz-watch", "looks out at the doors", work)
        .map_err(TraceError::Thread)?;
    Ok((Crossings(worker), standing, news))
}

impl<T: Collector> Crossings<T> {
    /// Takes the last sightings, and detaches.
    #[must_use]
    pub fn finish(self) -> Summary<T> {
        self.0.finish().unwrap_or_default()
    }
}

//! netviz as its commands use it: a watch, and a tracer that follows it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use netviz::{
    attach::AttachOptions,
    count::{FlowDoors, FlowOptions, Tracer},
    discover::{Discovered, Selection, Watch},
    model::{AttachState, Counts, DoorFlows, DoorId, DoorSample, Sample},
    sys::netns::NetNsId,
};
use tokio::{runtime::Runtime, sync::watch::Receiver};

use crate::cli::wait::extended;

/// A tcx attachment takes 9 ms, on a machine with other load.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);

/// A running observation; detaches everything on drop.
pub struct Observation {
    runtime: Runtime,
    tracer: Tracer,
    receiver: Receiver<Arc<Discovered>>,
    /// The last discovery.
    pub found: Arc<Discovered>,
    _watch: Watch,
}

impl Observation {
    /// Attaches to the doors of these namespaces, and waits until all are settled.
    pub fn start(namespaces: Vec<String>, options: AttachOptions) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        // A test interface has an address; without Cilium, that would make it an uplink.
        let selection = Selection::new(namespaces, false, &["veth*".into()], &[])?;
        let watch = Watch::start(selection).context("finding interfaces")?;
        let mut receiver = watch.subscribe();
        let found = receiver.borrow_and_update().clone();
        let mut tracer = Tracer::start(options)?;
        tracer.want(&found);
        let mut observation = Self {
            runtime,
            tracer,
            receiver,
            found,
            _watch: watch,
        };
        let complete = observation.until(extended(ATTACH_LIMIT), |tracer, _| {
            tracer.progress().complete()
        })?;
        ensure!(complete, "not attached after {ATTACH_LIMIT:?}");
        for (id, door) in observation.tracer.sample().doors {
            ensure!(
                door.meter == AttachState::Counting,
                "door {id:?} is not counted: {:?}",
                door.meter
            );
        }
        Ok(observation)
    }

    /// Applies events of the attaching thread until `done` returns true; false at the `limit`.
    pub fn until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Tracer, &Sample) -> bool,
    ) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            self.follow()?;
            let sample = self.tracer.sample();
            if done(&self.tracer, &sample) {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let step = left.min(Duration::from_millis(20));
            let Self {
                runtime, tracer, ..
            } = self;
            match runtime.block_on(async { tokio::time::timeout(step, tracer.changed()).await }) {
                Ok(alive) => ensure!(alive, "the attaching thread ended"),
                Err(_elapsed) => {}
            }
        }
    }

    /// Applies new discoveries.
    fn follow(&mut self) -> Result<()> {
        if self.receiver.has_changed()? {
            self.found = self.receiver.borrow_and_update().clone();
            self.tracer.want(&self.found);
        }
        Ok(())
    }

    /// Makes netviz find no nodes, although they exist.
    pub fn forget_nodes(&mut self) {
        self.found = Arc::default();
        self.tracer.want(&self.found);
    }

    /// Counts the flows of `doors`, and only theirs, and waits until the programs are switched.
    pub fn count_flows(&mut self, doors: FlowDoors, room: u32) -> Result<()> {
        let is_on = doors != FlowDoors::None;
        self.tracer.count_flows(doors, FlowOptions { room })?;
        let switched = self.until(extended(ATTACH_LIMIT), |tracer, sample| {
            let mut flows = sample.doors.keys().map(|id| tracer.flows(*id, sample));
            match is_on {
                true => tracer.progress().complete(),
                false => flows.all(|flows| flows.is_none()),
            }
        })?;
        ensure!(switched, "not switched after {ATTACH_LIMIT:?}");
        Ok(())
    }

    /// Reads the flows, and returns those of one door.
    pub fn flows(&mut self, netns: NetNsId, index: u32) -> Option<DoorFlows> {
        self.tracer.read_flows();
        let sample = self.tracer.sample();
        self.tracer.flows(DoorId::new(netns, index), &sample)
    }

    /// Returns all counters.
    pub fn sample(&mut self) -> Sample {
        self.tracer.sample()
    }

    /// Returns one door.
    pub fn door(&mut self, netns: NetNsId, index: u32) -> DoorSample {
        let id = DoorId::new(netns, index);
        let mut doors = self.tracer.sample().doors;
        doors
            .remove(&id)
            .unwrap_or_else(|| panic!("netviz has no door {id:?}"))
    }

    /// Returns the counters of one door, ingress and egress.
    pub fn counts(&mut self, netns: NetNsId, index: u32) -> [Counts; 2] {
        let door = self.door(netns, index);
        [door.ingress, door.egress].map(|counts| counts.expect("a counted door"))
    }
}

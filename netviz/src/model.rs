//! Plain data: what is on the node, what was counted, and both together at one moment.
//!
//! Nothing here knows netlink, `/proc` or eBPF; everything can be built by hand in a test.

mod cluster;
mod corridor;
mod door;
mod id;
mod names;
mod safe;
mod sample;
mod service;
mod snapshot;

pub use cluster::{Cluster, Node, SourceStatus};
pub use corridor::{Corridor, Flow, Flows, Ledger};
pub use door::{Addresses, Door, Peer, Role, Side};
pub use id::{DoorId, NetNsId, Space};
pub use names::{
    Datapath, Disagreement, Lookup, NodeFact, Pod, PodFact, Report, Source, Status, is_link_local,
    plain, qualified,
};
pub(crate) use safe::is_harmless;
pub use safe::safe;
pub use sample::{Chain, Counts, Direction, DoorSample, Gap, Meter, Sample};
pub use service::{Service, ServicePort};
pub use snapshot::{
    CorridorState, DoorState, PENDING, Passage, Programs, Rates, SCHEMA, Snapshot, State, Traffic,
};

//! Plain data: what is on the node, what was counted, and both together at one moment.
//!
//! Nothing here knows netlink, `/proc` or eBPF; everything can be built by hand in a test.

mod cilium_drop;
mod cluster;
mod datapath;
mod directory;
mod door;
mod flow;
mod hook;
mod id;
mod link;
mod list;
mod names;
mod natural;
mod pair;
mod reason;
mod sample;
mod service;
mod snapshot;
mod source;
mod suggest;
mod untrusted;
mod words;

pub use cilium_drop::CiliumDrop;
pub use cluster::{Cluster, Node};
pub use datapath::{
    AttachMode, Datapath, Encryption, HostRouting, KubeProxyReplacement, Masquerading, Routing,
    Tunnel,
};
pub use directory::{Directory, OtherNode, ServiceEntry};
pub use door::{CILIUM_HOST, Door, Peer, Role, Side};
pub use flow::{
    DoorFlows, Flow, FlowCounts, FlowKey, FlowMemory, Outer, OutsideFlows, TcpFlags, Transport,
    TunnelKey,
};
pub use hook::{Chain, Direction};
pub use id::{DoorId, NetNsId, Netns};
pub use link::{LinkKind, LinkState, MacvlanMode};
pub use list::{list, mac_text};
pub use names::{Disagreement, Owner, Pod, has_network, is_link_local};
pub use natural::natural_order;
pub use pair::Pair;
pub(crate) use reason::RAISE_FILES;
pub use reason::{Operation, Reason};
pub use sample::{AttachState, Counts, DoorSample, Gap, Sample};
pub use service::{Service, ServicePort};
pub use snapshot::{
    DoorState, Lower, PairDirection, PairView, Programs, Rates, SCHEMA, Snapshot, State, Traffic,
    rounded,
};
pub use source::{Source, SourceStatus, Status};
pub use suggest::{near, nearest};
pub(crate) use untrusted::is_harmless;
pub use untrusted::{Untrusted, qualified, safe};

//! The laboratory: the two-node cluster of the blog post in network namespaces, forwarding as
//! Cilium forwards in five modes.
//!
//! Everything lives in namespaces that the laboratory made: each node is a process with a network,
//! UTS and mount namespace of its own, each pod one inside its node, the wire between the nodes a
//! third. All of them end when the owner's end of a pipe closes, so that even SIGKILL leaves
//! nothing behind. Nothing of the machine is touched, no program is called.
//!
//! A node has the files of a Kind node about its pods, in a `/run` and a `/var` of its own, so that
//! names are found as on a real one.
//!
//! The ClusterIP service ([`Lab::resolve`]) is translated by whoever sends, before the packet
//! exists, as Cilium's socket load balancer does it in the socket: its address is seen at no door.
//! There is no cgroup program, so a foreign process in a pod does not get the translation.

mod cluster;
mod datapath;
mod demo;
mod echo;
mod files;
mod icmp;
mod lifecycle;
mod logs;
mod options;
mod pause;
mod plan;
mod sysctl;
pub mod traffic;
mod wiring;

pub use demo::Traffic;
pub use lifecycle::Lab;
pub use options::{Attach, Mode, Options};
pub use plan::{Door, Network, Node, Place, Pod, PodKind};

/// Where every pod and node echoes UDP datagrams.
pub const UDP_PORT: u16 = 47_777;
/// Where every pod and node echoes TCP streams.
pub const TCP_PORT: u16 = 47_778;
/// The ClusterIP of the laboratory's one service; see [`Lab::resolve`].
pub const SERVICE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 96, 0, 100);

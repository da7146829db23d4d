//! The lab: the two-node cluster of the blog post in network namespaces, which forwards as Cilium does in
//! five modes.
//!
//! The lab creates all of its namespaces. A node is a process with its own network, UTS and mount
//! namespaces. A pod is a process in its node's mount namespace, and the network between the nodes is a
//! third kind. All processes end when the owner's end of a pipe closes, so nothing remains even after
//! SIGKILL. The lab changes nothing on the machine and runs no other program.
//!
//! Each node has its own `/run` and `/var` with the files that a Kind node has about its pods, so netviz
//! finds their names as on a real node.
//!
//! The ClusterIP service is translated in one of two places, as in Cilium. The lab's own traffic calls
//! [`Lab::resolve`] before it sends, as Cilium's socket load balancer translates in the socket: no door
//! sees the service's address. Packets of other processes in a pod are translated at the pod's `lxc*`, and
//! their replies where they are delivered to the pod, as Cilium does without kube-proxy replacement or with
//! `bpf-lb-sock-hostns-only`. Nothing translates on a node itself: there is no kube-proxy.

mod datapath;
mod demo;
mod echo;
mod files;
mod lifecycle;
mod logs;
mod options;
mod plan;
mod sysctl;
pub mod traffic;
mod wiring;

pub use demo::Traffic;
pub use lifecycle::Lab;
pub use options::{Attach, Mode, Options};
pub use plan::{Door, Node, Place, Pod, PodKind};

/// The UDP port of the echo server in every pod and node.
pub const UDP_PORT: u16 = 47_777;
/// The TCP port of the echo server in every pod and node.
pub const TCP_PORT: u16 = 47_778;
/// The ClusterIP of the lab's only service, with the ports [`UDP_PORT`] and [`SERVICE_TCP_PORT`]. Its
/// backend is a `netshoot` of the first node. See [`Lab::resolve`].
pub const SERVICE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 96, 0, 100);
/// The TCP port of [`SERVICE`]; that of its backend is [`TCP_PORT`].
pub const SERVICE_TCP_PORT: u16 = 80;

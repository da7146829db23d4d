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
//! The ClusterIP service is translated in one of two places, as in Cilium. The laboratory's own traffic
//! asks [`Lab::resolve`] before there is a packet, as Cilium's socket load balancer does it in the
//! socket: the service's address is seen at no door. For anybody else in a pod there is no cgroup program;
//! his packets are translated at the pod's `lxc*`, and the answers where they are handed to
//! the pod, as Cilium does it without kube-proxy replacement or with `bpf-lb-sock-hostns-only`. On a
//! node itself nobody translates: there is no kube-proxy.

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

/// Where every pod and node echoes UDP datagrams.
pub const UDP_PORT: u16 = 47_777;
/// Where every pod and node echoes TCP streams.
pub const TCP_PORT: u16 = 47_778;
/// The ClusterIP of the laboratory's one service, which takes datagrams at [`UDP_PORT`] and streams at
/// [`SERVICE_TCP_PORT`]; its backend is a `netshoot` of the first node. See [`Lab::resolve`].
pub const SERVICE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 96, 0, 100);
/// Where [`SERVICE`] takes streams; its backend takes them at [`TCP_PORT`].
pub const SERVICE_TCP_PORT: u16 = 80;

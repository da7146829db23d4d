//! Options of a lab.

use std::fmt;

use clap::ValueEnum;

/// Cilium's routing modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Mode {
    /// Tunnel, legacy host routing: Kind's default.
    #[default]
    Vxlan,
    /// Tunnel, BPF host routing.
    VxlanHostRouting,
    /// Native routing, legacy host routing.
    Native,
    /// Native routing, BPF host routing.
    NativeHostRouting,
    /// Native routing, legacy host routing, a route for each endpoint.
    NativeEndpointRoutes,
}

impl Mode {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// Between nodes, packets travel in VXLAN.
    #[must_use]
    pub fn tunnels(self) -> bool {
        matches!(self, Self::Vxlan | Self::VxlanHostRouting)
    }

    /// Packets bypass the node's stack where they can (BPF host routing).
    #[must_use]
    pub fn bypasses_stack(self) -> bool {
        matches!(self, Self::VxlanHostRouting | Self::NativeHostRouting)
    }

    /// Each pod has its own route.
    #[must_use]
    pub fn routes_each_endpoint(self) -> bool {
        matches!(self, Self::NativeEndpointRoutes)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// How the forwarding programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Attach {
    /// By TCX, if the kernel has it.
    #[default]
    Auto,
    /// By TCX links, at the tail.
    Tcx,
    /// As clsact filters, priority 1, handle 1.
    Clsact,
}

/// Options of a lab.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How packets are routed.
    pub mode: Mode,
    /// How programs are attached.
    pub attach: Attach,
    /// IPv6 in addition to IPv4. Without it IPv6 is off, and only the lab's own packets cross the doors.
    pub ipv6: bool,
    /// Additional pods on each node, called `extra-1` and so on.
    pub extra_pods_per_node: u16,
}

//! What a laboratory can be.

use std::fmt;

/// Routing mode, as Cilium has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
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
    pub const ALL: [Self; 5] = [
        Self::Vxlan,
        Self::VxlanHostRouting,
        Self::Native,
        Self::NativeHostRouting,
        Self::NativeEndpointRoutes,
    ];

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
        f.write_str(match self {
            Self::Vxlan => "vxlan",
            Self::VxlanHostRouting => "vxlan-host-routing",
            Self::Native => "native",
            Self::NativeHostRouting => "native-host-routing",
            Self::NativeEndpointRoutes => "native-endpoint-routes",
        })
    }
}

/// How the forwarding programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Attach {
    /// By TCX where the kernel has it.
    #[default]
    Auto,
    /// By TCX links, at the tail.
    Tcx,
    /// As clsact filters, priority 1, handle 1.
    Clsact,
}

/// What the laboratory is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How packets are routed.
    pub mode: Mode,
    /// How programs are attached.
    pub attach: Attach,
    /// IPv6 beside IPv4. Without it IPv6 is off, and nothing but the laboratory's own packets
    /// crosses any door.
    pub ipv6: bool,
    /// How many more pods each node gets; they are called `extra-1` and so on.
    pub extra_pods_per_node: u16,
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_mode_is_displayed_as_it_is_asked_for() {
        assert_eq!(Mode::value_variants(), Mode::ALL);
        for mode in Mode::ALL {
            assert_eq!(Mode::from_str(&mode.to_string(), false), Ok(mode));
        }
    }
}

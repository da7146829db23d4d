//! Kinds and states of network interfaces, as the kernel reports them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// The kernel's link kind, `IFLA_INFO_KIND`.
    LinkKind {
        /// One end of a veth pair.
        Veth = "veth",
        /// One end of a netkit pair (Linux 6.7).
        Netkit = "netkit",
        /// A VXLAN tunnel.
        Vxlan = "vxlan",
        /// A Geneve tunnel.
        Geneve = "geneve",
        /// A bridge.
        Bridge = "bridge",
        /// Bonded interfaces.
        Bond = "bond",
        /// Teamed interfaces.
        Team = "team",
        /// A VLAN of an interface.
        Vlan = "vlan",
        /// A macvlan of an interface.
        Macvlan = "macvlan",
        /// An ipvlan of an interface.
        Ipvlan = "ipvlan",
    }
}

/// How a macvlan interface reaches the others of its device, `IFLA_MACVLAN_MODE`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// By the switch behind the device, which must send frames back to where they came from.
    Vepa,
    /// Directly, if they are in this mode as well.
    Bridge,
    /// It is the only one of its device.
    Passthru,
    /// It receives from listed Ethernet addresses only.
    Source,
}

impl fmt::Display for MacvlanMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Bridge => "bridge",
            Self::Passthru => "passthru",
            Self::Source => "source",
        })
    }
}

impl LinkKind {
    /// Whether such interfaces carry packets inside of other packets, to other hosts.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        const OTHERS: [&str; 7] = [
            "ipip",
            "sit",
            "gre",
            "gretap",
            "ip6tnl",
            "ip6gre",
            "ip6gretap",
        ];
        match self {
            Self::Vxlan | Self::Geneve => true,
            Self::Other(kind) => OTHERS.contains(&kind.as_str()),
            _ => false,
        }
    }

    /// Whether such interfaces come in pairs.
    #[must_use]
    pub fn is_pair(&self) -> bool {
        matches!(self, Self::Veth | Self::Netkit)
    }
}

/// The kernel's operational state (RFC 2863), `IFLA_OPERSTATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// The driver does not report one.
    Unknown,
    /// The hardware is missing.
    NotPresent,
    /// Down.
    Down,
    /// Up, while the interface below it, or the peer, is down.
    LowerLayerDown,
    /// In a test mode.
    Testing,
    /// Waits for an external event.
    Dormant,
    /// Passes packets.
    Up,
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

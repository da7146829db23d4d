//! Kinds and states of network interfaces, as the kernel reports them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kernel's link kind, `IFLA_INFO_KIND`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum LinkKind {
    /// One end of a veth pair.
    Veth,
    /// One end of a netkit pair (Linux 6.7).
    Netkit,
    /// A VXLAN tunnel.
    Vxlan,
    /// A Geneve tunnel.
    Geneve,
    /// A bridge.
    Bridge,
    /// Bonded interfaces.
    Bond,
    /// Teamed interfaces.
    Team,
    /// A VLAN of an interface.
    Vlan,
    /// A macvlan of an interface.
    Macvlan,
    /// An ipvlan of an interface.
    Ipvlan,
    /// Any other kind.
    Other(String),
}

impl LinkKind {
    const NAMES: [(Self, &str); 10] = [
        (Self::Veth, "veth"),
        (Self::Netkit, "netkit"),
        (Self::Vxlan, "vxlan"),
        (Self::Geneve, "geneve"),
        (Self::Bridge, "bridge"),
        (Self::Bond, "bond"),
        (Self::Team, "team"),
        (Self::Vlan, "vlan"),
        (Self::Macvlan, "macvlan"),
        (Self::Ipvlan, "ipvlan"),
    ];

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

impl From<String> for LinkKind {
    fn from(text: String) -> Self {
        let mut known = Self::NAMES.into_iter();
        let known = known.find(|(_, name)| *name == text);
        known.map_or(Self::Other(text), |(kind, _)| kind)
    }
}

impl From<&str> for LinkKind {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<LinkKind> for String {
    fn from(kind: LinkKind) -> Self {
        if let LinkKind::Other(text) = kind {
            return text;
        }
        let mut known = LinkKind::NAMES.into_iter();
        let known = known.find(|(other, _)| *other == kind);
        known.map(|(_, name)| name.into()).unwrap_or_default()
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from(self.clone()))
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
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        })
    }
}

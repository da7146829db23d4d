//! The protocols of probes.

use std::{fmt, net::IpAddr};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a probe is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    ValueEnum,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// An echo request, answered by every kernel.
    #[default]
    Icmp,
    /// A datagram: a listener has to echo it, or the port has to be closed.
    Udp,
    /// A SYN, marked in an option; answered by a SYN-ACK or a reset. No connection is opened.
    Tcp,
}

impl Protocol {
    /// The IP protocol number on the way to `to`.
    pub const fn number(self, to: IpAddr) -> u8 {
        match (self, to) {
            (Self::Icmp, IpAddr::V4(_)) => 1,
            (Self::Icmp, IpAddr::V6(_)) => 58,
            (Self::Udp, _) => 17,
            (Self::Tcp, _) => 6,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Icmp => "icmp",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

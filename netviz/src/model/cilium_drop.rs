//! Packets that Cilium dropped, and its reasons.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hook::Direction;

/// Packets that Cilium dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CiliumDrop {
    /// The reason in words: `policy denied`.
    pub reason: String,
    /// Where Cilium dropped them, as seen from the endpoint; `null` if it does not count that.
    pub direction: Option<Direction>,
    /// How many.
    pub packets: u64,
    /// Whether a policy is the reason.
    pub by_policy: bool,
}

impl CiliumDrop {
    /// Packets that Cilium dropped for the reason with this code.
    #[must_use]
    pub fn new(code: u8, direction: Option<Direction>, packets: u64) -> Self {
        Self {
            reason: reason(code).map_or_else(|| format!("its reason {code}"), Into::into),
            direction,
            packets,
            by_policy: BY_POLICY.contains(&code),
        }
    }
}

impl fmt::Display for CiliumDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.direction {
            Some(direction) => write!(f, ", {direction}"),
            None => Ok(()),
        }
    }
}

/// Dropped by a policy, or by one of its deny rules.
const BY_POLICY: [u8; 2] = [133, 181];

/// Codes keep their meaning from version to version (`pkg/monitor/api/drop.go`).
fn reason(code: u8) -> Option<&'static str> {
    Some(match code {
        132 => "invalid source address",
        133 => "policy denied",
        134 => "invalid packet",
        135 => "conntrack: truncated or invalid header",
        136 => "fragmentation needed",
        137 => "conntrack: unknown L4 protocol",
        139 => "unsupported L3 protocol",
        140 => "missed tail call",
        141 => "error writing to packet",
        142 => "unknown L4 protocol",
        147 => "no tunnel key",
        150 => "unknown L3 target address",
        151 => "stale or unroutable address",
        155 => "conntrack: map insertion failed",
        157 => "IP fragmentation not supported",
        158 => "service backend not found",
        160 => "no tunnel endpoint",
        162 => "rate limit of the bandwidth manager",
        163 => "unknown conntrack state",
        164 => "local host unreachable",
        166 => "unsupported L2 protocol",
        167 | 168 => "no mapping for masquerading",
        169 => "FIB lookup failed",
        170 => "encapsulation prohibited",
        171 => "invalid identity",
        172 => "unknown sender",
        175 => "first fragment not found",
        176 => "forbidden ICMPv6 message",
        177 => "denied by the service's source ranges",
        181 => "policy denied by a deny rule",
        182 => "VLAN not allowed",
        189 => "authentication required",
        194 => "no egress gateway found",
        195 => "not encrypted",
        196 => "TTL exceeded",
        197 => "no node id found",
        198 => "rate limited",
        202 => "host datapath not ready",
        203 => "endpoint's policy program not there",
        204 => "no egress address configured",
        _ => return None,
    })
}

//! How many packets Cilium has dropped on a node, and why: its map `cilium_metrics`.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{find, open, unknown};
use crate::{model::Direction, sys::rooted_fs::Root};

const METRICS: &str = "cilium_metrics";
/// Bytes of a key and of a CPU's value, in versions 1.14 to 1.19.
const SIZES: (usize, usize) = (8, 16);
/// As many as the map has room for.
const ENTRIES: usize = 65_536;
/// Smaller codes are not drops (`DropMin` in `pkg/monitor/api/drop.go`).
const LEAST: u8 = 130;

/// Packets by reason code and direction: 1 ingress, 2 egress, 0 unknown.
pub type Drops = BTreeMap<(u8, u8), u64>;

/// All drops until now on the node with these roots. `None` if they cannot be read completely: a
/// difference to another reading would be wrong.
pub(crate) fn read(roots: &[PathBuf]) -> Option<Drops> {
    let file = find(&Root::open(roots).ok()?, METRICS)?;
    let map = open(METRICS, file).ok()?;
    if !map.is_per_cpu_hash(SIZES) {
        log::debug!("{}", unknown(METRICS, &map));
        return None;
    }
    let entries = map.sums::<{ SIZES.0 }, { SIZES.1 }>(ENTRIES, super::LIMIT, packets);
    let (entries, whole) = entries.ok()?;
    if !whole {
        log::warn!(
            "{METRICS} could not be read within {:?}: Cilium's drops are not reported",
            super::LIMIT
        );
        return None;
    }
    Some(drops(&entries))
}

/// The packets, at the beginning of one CPU's value.
#[must_use]
pub fn packets(value: &[u8; SIZES.1]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *value;
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// A key has the reason, the direction in two bits, and the line of Cilium's source.
#[must_use]
pub fn drops(entries: &[([u8; SIZES.0], u64)]) -> Drops {
    let mut drops = Drops::new();
    for (key, packets) in entries.iter().filter(|(key, _)| key[0] >= LEAST) {
        let sum = drops.entry((key[0], key[1] & 3)).or_default();
        *sum = sum.saturating_add(*packets);
    }
    drops
}

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

impl fmt::Display for CiliumDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.direction {
            Some(direction) => write!(f, ", {direction}"),
            None => Ok(()),
        }
    }
}

/// The drops between `before` and `after`, most packets first.
#[must_use]
pub fn between(before: &Drops, after: &Drops) -> Vec<CiliumDrop> {
    let more = |(key, now): (&(u8, u8), &u64)| {
        let then = before.get(key).copied().unwrap_or_default();
        Some((now.checked_sub(then).filter(|more| *more > 0)?, *key))
    };
    let mut more: Vec<_> = after.iter().filter_map(more).collect();
    more.sort_by_key(|(packets, key)| (std::cmp::Reverse(*packets), *key));
    let drop = |(packets, (code, direction)): (u64, (u8, u8))| CiliumDrop {
        reason: reason(code).map_or_else(|| format!("its reason {code}"), Into::into),
        direction: match direction {
            1 => Some(Direction::Ingress),
            2 => Some(Direction::Egress),
            _ => None,
        },
        packets,
        by_policy: BY_POLICY.contains(&code),
    };
    more.into_iter().map(drop).collect()
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

#[cfg(test)]
mod tests {
    use super::{Drops, between, drops};

    #[test]
    fn lines_of_the_source_are_put_together_and_what_is_forwarded_is_left_out() {
        let key = |reason, direction, line| [reason, direction, line, 0, 1, 0, 0, 0];
        let found = drops(&[
            (key(0, 1, 7), 1000),
            (key(3, 2, 7), 1000),
            (key(133, 1, 7), 4),
            (key(133, 1, 8), 6),
            (key(133, 2, 8), 1),
        ]);
        assert_eq!(found, Drops::from([((133, 1), 10), ((133, 2), 1)]));
    }

    #[test]
    fn only_what_came_meanwhile_is_said_and_most_of_it_first() {
        let before = Drops::from([((133, 1), 5), ((196, 2), 7)]);
        let after = Drops::from([((133, 1), 6), ((196, 2), 7), ((181, 2), 3), ((250, 0), 2)]);
        let words = |drop: &super::CiliumDrop| format!("{drop}: {}", drop.packets);
        let said: Vec<_> = between(&before, &after).iter().map(words).collect();
        let expected = [
            "policy denied by a deny rule, egress: 3",
            "its reason 250: 2",
            "policy denied, ingress: 1",
        ];
        assert_eq!(said, expected);
        assert!(between(&after, &before).is_empty());
    }
}

//! Cilium's counters of dropped packets: its map `cilium_metrics`.

use std::{collections::BTreeMap, path::PathBuf};

use aya::maps::MapType;

use super::{find, open, unknown};
use crate::{
    model::{CiliumDrop, Direction},
    sys::rooted_fs::Root,
};

const METRICS: &str = "cilium_metrics";
/// Bytes of a key and of a CPU's value, in versions 1.14 to 1.19.
const SIZES: (usize, usize) = (8, 16);
/// The capacity of the map.
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
    if !map.is(MapType::PerCpuHash, SIZES) {
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

/// The drops between `before` and `after`, most packets first.
#[must_use]
pub fn between(before: &Drops, after: &Drops) -> Vec<CiliumDrop> {
    let more = |(key, now): (&(u8, u8), &u64)| {
        let then = before.get(key).copied().unwrap_or_default();
        Some((now.checked_sub(then).filter(|more| *more > 0)?, *key))
    };
    let mut more: Vec<_> = after.iter().filter_map(more).collect();
    more.sort_by_key(|(packets, key)| (std::cmp::Reverse(*packets), *key));
    let drop = |(packets, (code, direction)): (u64, (u8, u8))| {
        let direction = match direction {
            1 => Some(Direction::Ingress),
            2 => Some(Direction::Egress),
            _ => None,
        };
        CiliumDrop::new(code, direction, packets)
    };
    more.into_iter().map(drop).collect()
}

#[cfg(test)]
mod tests {
    use super::{CiliumDrop, Drops, between, drops};

    #[test]
    fn drops_are_summed_by_reason_without_forwarded_packets() {
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
    fn new_drops_are_reported_most_first() {
        let before = Drops::from([((133, 1), 5), ((196, 2), 7)]);
        let after = Drops::from([((133, 1), 6), ((196, 2), 7), ((181, 2), 3), ((250, 0), 2)]);
        let words = |drop: &CiliumDrop| format!("{drop}: {}", drop.packets);
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

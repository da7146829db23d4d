//! Compares the counts of every door with those measured on another day: `fixtures/cilium`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use netviz::sys::netns::NetNs;
use netviz_tests::{
    bpf::hook_counters::Hook,
    cilium::{
        cilium_lab::{CiliumLab, Counts, Node, Sending, Watched},
        oracle::{self, Case, Sender, TestCluster as _},
    },
};

const PACKETS: u16 = 50;
/// Cilium's agents and health endpoints, and ARP requests, send packets at any time. It is unlikely
/// that they add packets in every try.
const TRIES: usize = 8;

pub(crate) fn match_measured_counts(cilium: &CiliumLab) -> Result<()> {
    let mut watched = Watched::start(cilium)?;
    let cases = oracle::cases(cilium.mode.oracle)?;
    let nodes = oracle::nodes(&cases, &watched);
    let mut differences = Vec::new();
    for case in &cases {
        for protocol in ["udp", "icmp"] {
            if !case.of(protocol).is_empty() {
                let name = format!("{} ({protocol})", case.name);
                let said =
                    compare(cilium, &mut watched, &nodes, case, protocol).context(name.clone())?;
                differences.extend(said.map(|said| format!("{name}: {said}")));
            }
        }
    }
    ensure!(differences.is_empty(), "\n{}", differences.join("\n"));
    Ok(())
}

/// Returns the differences that occurred in every try; a packet missing in one try is not offset by
/// an extra one in another.
fn compare(
    cilium: &CiliumLab,
    watched: &mut Watched<'_>,
    nodes: &BTreeMap<String, String>,
    case: &Case,
    protocol: &str,
) -> Result<Option<String>> {
    let expected = oracle::expected(&case.of(protocol), PACKETS, watched, nodes)?;
    let (home, netns) = sender(cilium, watched, case, nodes)?;
    let what = |packets| {
        let to = case.destination(watched, &home.name)?;
        anyhow::Ok(Sending {
            protocol,
            to,
            packets,
        })
    };
    // The first packets also resolve neighbours.
    let (first, what) = (what(1)?, what(PACKETS)?);
    cilium.send(home, netns, first)?;
    let mut last = None;
    for _ in 0..TRIES {
        let before = watched.counts()?;
        let answered = cilium.send(home, netns, what)?;
        let after = watched.counts()?;
        if answered != PACKETS {
            return Ok(Some(format!("{answered} of {PACKETS} answered")));
        }
        let wanted = |hook: &Hook| expected.get(hook).map_or(0, |count| count.head);
        let seen: Counts = after
            .into_iter()
            .map(|(hook, now)| {
                let seen = now - before[&hook];
                (hook, seen)
            })
            .collect();
        if let Some(hook) = expected.keys().find(|hook| !seen.contains_key(*hook)) {
            return Ok(Some(format!("netviz has no {hook:?}")));
        }
        if let Some((hook, seen)) = seen.iter().find(|(hook, seen)| **seen < wanted(hook)) {
            return Ok(Some(format!(
                "{hook:?} saw {seen}, of {} then",
                wanted(hook)
            )));
        }
        let more: Vec<_> = seen
            .iter()
            .filter(|(hook, seen)| **seen != wanted(hook))
            .map(|(hook, seen)| format!("{hook:?} saw {seen}, not {}", wanted(hook)))
            .collect();
        if more.is_empty() {
            return Ok(None);
        }
        last = Some(more.join("; "));
    }
    Ok(last)
}

fn sender<'a>(
    cilium: &'a CiliumLab,
    watched: &Watched<'_>,
    case: &Case,
    nodes: &BTreeMap<String, String>,
) -> Result<(&'a Node, &'a NetNs)> {
    match case.sender(nodes) {
        Sender::Node(name) => {
            let node = cilium.node(&name)?;
            Ok((node, &node.netns))
        }
        Sender::Pod(name) => {
            let home = watched
                .home(&name)
                .with_context(|| format!("no pod {name}"))?;
            Ok((cilium.node(&home)?, &cilium.pod(&name)?.netns))
        }
    }
}

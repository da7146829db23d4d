//! How the sources fared, one line each.

use std::collections::BTreeMap;

use crate::model::{Cluster, Report, Source, SourceStatus, Status};

/// One status for each source, over all nodes.
pub(super) fn of(cluster: &Cluster, reports: &[&Report]) -> Vec<SourceStatus> {
    let mut sources: BTreeMap<Source, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        sources.entry(report.source).or_default().push(report);
    }
    let status = |(source, reports): (Source, Vec<&Report>)| SourceStatus {
        name: source.name().into(),
        status: together(cluster, &reports),
    };
    sources.into_iter().map(status).collect()
}

/// `ok`, `absent`, what failed, or how many of the nodes answered.
fn together(cluster: &Cluster, reports: &[&Report]) -> String {
    if let Some(why) = failures(cluster, reports) {
        return why;
    }
    let answers: Vec<_> = reports
        .iter()
        .filter_map(|report| match &report.status {
            Status::Ok(word) => Some(word.as_deref()),
            _ => None,
        })
        .collect();
    let mut words: Vec<&str> = answers.iter().copied().flatten().collect();
    words.sort_unstable();
    words.dedup();
    match answers.len() {
        0 => "absent".into(),
        some if some < reports.len() => format!("ok on {some} of {} nodes", reports.len()),
        _ if words.is_empty() => "ok".into(),
        _ => format!("ok ({})", words.join(", ")),
    }
}

/// Nodes that are named, of those at which a source failed in one way.
const NAMED: usize = 3;

/// `no answer in 2 s (worker), nobody listens at its socket (worker2, worker3)`
fn failures(cluster: &Cluster, reports: &[&Report]) -> Option<String> {
    let mut failures: Vec<(&str, Vec<usize>)> = Vec::new();
    let failed = reports.iter().filter_map(|report| match &report.status {
        Status::Failed(why) => Some((report.node, why.as_str())),
        _ => None,
    });
    for (netns, why) in failed {
        let mut nodes = cluster.nodes.iter();
        let node = nodes.position(|node| Some(node.netns) == netns);
        match failures.iter_mut().find(|(other, _)| *other == why) {
            Some((_, nodes)) => nodes.extend(node),
            None => failures.push((why, node.into_iter().collect())),
        }
    }
    for (_, nodes) in &mut failures {
        nodes.sort_unstable();
    }
    failures.sort_by(|a, b| a.1.cmp(&b.1));
    let said = |(why, nodes): &(&str, Vec<usize>)| {
        // With one node there is no doubt which.
        if nodes.is_empty() || cluster.nodes.len() == 1 {
            return (*why).to_owned();
        }
        let names = nodes.iter().take(NAMED);
        let names: Vec<_> = names
            .map(|node| cluster.nodes[*node].name.as_str())
            .collect();
        match nodes.len().saturating_sub(NAMED) {
            0 => format!("{why} ({})", names.join(", ")),
            more => format!("{why} ({} and {more} more)", names.join(", ")),
        }
    };
    let said: Vec<_> = failures.iter().map(said).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

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
    let failed = reports.iter().find_map(|report| match &report.status {
        Status::Failed(why) => Some((report.node, why)),
        _ => None,
    });
    if let Some((netns, why)) = failed {
        let node = cluster.nodes.iter().find(|node| Some(node.netns) == netns);
        // With one node there is no doubt which.
        return match node.filter(|_| cluster.nodes.len() > 1) {
            Some(node) => format!("{why} ({})", node.name),
            None => why.clone(),
        };
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

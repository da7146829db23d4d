//! The sources of names, one line each.

use super::text::{list as join, safe};
use crate::model::{Snapshot, Source, SourceStatus, Status, Untrusted};

/// Nodes to list for one failure.
const NODES: usize = 3;

/// The statuses of one source on all nodes.
enum Merged {
    /// It answered on all nodes.
    Ok(String),
    Absent,
    /// It failed or is missing on some nodes.
    Bad(String),
}

/// `kernel, cni cache, cilium agent 1.19; kubernetes: no answer in 5 s; absent: kubelet`
pub(super) fn line(snapshot: &Snapshot) -> String {
    let (mut good, mut bad, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for (source, merged) in merged(snapshot) {
        match merged {
            Merged::Ok(detail) => good.push(format!("{source} {detail}").trim_end().to_owned()),
            Merged::Absent => absent.push(source),
            Merged::Bad(text) => bad.push(format!("{source}: {text}")),
        }
    }
    let absent = (!absent.is_empty()).then(|| format!("absent: {}", join(&absent, ", ")));
    let parts = [good.join(", ")].into_iter().chain(bad).chain(absent);
    safe(&join(parts, "; "))
}

/// `cilium: ok (agent 1.19.0)`, one for each source. Not escaped.
pub(super) fn list(snapshot: &Snapshot) -> Vec<String> {
    let text = |(source, merged)| match merged {
        Merged::Ok(detail) if detail.is_empty() => format!("{source}: ok"),
        Merged::Ok(detail) => format!("{source}: ok ({detail})"),
        Merged::Absent => format!("{source}: absent"),
        Merged::Bad(text) => format!("{source}: {text}"),
    };
    merged(snapshot).into_iter().map(text).collect()
}

fn merged(snapshot: &Snapshot) -> Vec<(Source, Merged)> {
    let one_node = snapshot.nodes.len() == 1;
    let same = |a: &SourceStatus, b: &SourceStatus| a.source == b.source;
    let sources = snapshot.sources.chunk_by(same);
    sources
        .map(|statuses| (statuses[0].source, merge(statuses, one_node)))
        .collect()
}

fn merge(statuses: &[SourceStatus], one_node: bool) -> Merged {
    let failures = failures(statuses, one_node);
    if !failures.is_empty() {
        return Merged::Bad(failures.join(", "));
    }
    let answers = statuses.iter().filter_map(|it| match &it.status {
        Status::Ok { detail } => Some(detail.as_deref()),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let mut details: Vec<&str> = answers.iter().copied().flatten().collect();
    details.sort_unstable();
    details.dedup();
    match (answers.len(), statuses.len()) {
        (0, _) => Merged::Absent,
        (some, all) if some < all => Merged::Bad(format!("ok on {some} of {all} nodes")),
        _ => Merged::Ok(details.join(", ")),
    }
}

/// `no answer in 2 s (worker)`, `connection refused (worker2, worker3)`
fn failures(statuses: &[SourceStatus], one_node: bool) -> Vec<String> {
    let mut failures: Vec<(&str, Vec<&Untrusted>)> = Vec::new();
    for status in statuses {
        let Status::Failed { reason } = &status.status else {
            continue;
        };
        let node = status.node.as_ref().filter(|_| !one_node);
        match failures.iter_mut().find(|(other, _)| other == reason) {
            Some((_, nodes)) => nodes.extend(node),
            None => failures.push((reason, node.into_iter().collect())),
        }
    }
    let text = |(reason, nodes): (&str, Vec<&Untrusted>)| {
        let named = &nodes[..nodes.len().min(NODES)];
        match (join(named, ", "), nodes.len() - named.len()) {
            (names, _) if names.is_empty() => reason.to_owned(),
            (names, 0) => format!("{reason} ({names})"),
            (names, more) => format!("{reason} ({names} and {more} more)"),
        }
    };
    failures.into_iter().map(text).collect()
}

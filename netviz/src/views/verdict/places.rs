//! Places in words: an interface, and the node or the pod that it is in.

use crate::{
    model::{Side, Untrusted},
    verify::{Verdict, Way},
};

/// `node mycluster-worker`, `pod default/busybox`
pub(super) fn owner(node: &Untrusted, pod: Option<&Untrusted>, side: Side) -> String {
    match (side, pod) {
        (Side::Pod, Some(pod)) => format!("pod {pod}"),
        (Side::Pod, None) => format!("a pod of node {node}"),
        (Side::Node, _) if node.is_empty() => "the node".into(),
        (Side::Node, _) => format!("node {node}"),
        (Side::Host, _) => format!("the machine of node {node}"),
    }
}

/// `on` or `in` an owner.
pub(super) fn preposition(side: Side) -> &'static str {
    match side {
        Side::Pod => "in",
        Side::Node | Side::Host => "on",
    }
}

/// `cilium_vxlan ▲ (mycluster-worker)`, `eth0 ▼ (pod default/busybox)`.
pub(super) fn label(verdict: &Verdict, way: Way, place: usize) -> String {
    let Some(row) = verdict.rows(way).get(place) else {
        return "an unknown door".into();
    };
    let owner = match row.side {
        Side::Node => row.node.to_string(),
        _ => owner(&row.node, row.pod.as_ref(), row.side),
    };
    format!("{} {} ({owner})", row.interface, row.direction.sign())
}

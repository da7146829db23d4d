//! Pods in a node's own network, such as kube-proxy and the Cilium agent. They have no door, so they
//! are searched for among all processes.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use super::cgroup::{Living, uid_of};
use crate::{
    discover::Discovered,
    sys::{
        netns::NetNsId,
        processes::{namespace, processes},
    },
};

/// Between two searches: each takes milliseconds, and these pods rarely change.
const INTERVAL: Duration = Duration::from_secs(10);

/// The result of the last search.
#[derive(Debug, Default)]
pub(super) struct HostNetworkPods {
    read_at: Option<Instant>,
    nodes: HashSet<NetNsId>,
    found: BTreeSet<Living>,
}

impl HostNetworkPods {
    /// Searches again if the last search is old, or the nodes have changed.
    pub(super) fn refresh(&mut self, found: &Discovered) {
        let nodes: HashSet<_> = found.cluster.nodes.iter().map(|node| node.netns).collect();
        let recent = self.read_at.is_some_and(|at| at.elapsed() < INTERVAL);
        if recent && nodes == self.nodes {
            return;
        }
        let host_network = |process: i32| {
            let process = format!("/proc/{process}");
            let netns = NetNsId(namespace(&format!("{process}/ns/net")).ok()?);
            // A process that ends meanwhile is in no pod.
            nodes
                .contains(&netns)
                .then(|| uid_of(&process))?
                .map(|uid| (netns, uid))
        };
        let Ok(processes) = processes() else {
            return;
        };
        self.found = processes.into_iter().filter_map(host_network).collect();
        self.nodes = nodes;
        self.read_at = Some(Instant::now());
    }

    /// The pods of a node, without those behind its doors: CRI-O's monitor of a container is in the
    /// cgroup of its pod and in the network of the node.
    pub(super) fn of(&self, node: NetNsId, behind_doors: &[Living]) -> Vec<Living> {
        let elsewhere = |uid: &String| behind_doors.iter().any(|(_, other)| other == uid);
        let here = self.found.iter().filter(|(netns, _)| *netns == node);
        here.filter(|(_, uid)| !elsewhere(uid)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_behind_a_door_is_not_in_the_host_network() {
        let (node, other, pod) = (NetNsId(1), NetNsId(2), NetNsId(3));
        let living = |netns, uid: &str| (netns, uid.to_owned());
        let pods = HostNetworkPods {
            found: [
                living(node, "agent"),
                living(node, "pod"),
                living(other, "proxy"),
            ]
            .into(),
            ..HostNetworkPods::default()
        };
        let behind = [living(pod, "pod")];
        assert_eq!(pods.of(node, &behind), [living(node, "agent")]);
        assert_eq!(pods.of(other, &behind), [living(other, "proxy")]);
        assert_eq!(pods.of(pod, &behind), []);
    }
}

//! Pods in a node's own network, such as kube-proxy and the Cilium agent. No door leads to them, so
//! they are looked for among all processes.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use super::{Living, uid_of};
use crate::{
    discover::{
        Discovered,
        namespaces::{namespace, processes},
    },
    sys::netns::NetNsId,
};

/// How often: a look at every process of the machine takes milliseconds, and these pods stay.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was found when it was last looked.
#[derive(Debug, Default)]
pub(super) struct Residents {
    looked: Option<Instant>,
    nodes: HashSet<NetNsId>,
    found: BTreeSet<Living>,
}

impl Residents {
    /// Looks again where it is time to, or where there are other nodes than before.
    pub(super) fn look(&mut self, found: &Discovered) {
        let nodes: HashSet<_> = found.cluster.nodes.iter().map(|node| node.netns).collect();
        let recent = self.looked.is_some_and(|at| at.elapsed() < INTERVAL);
        if recent && nodes == self.nodes {
            return;
        }
        let resident = |process: i32| {
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
        self.found = processes.into_iter().filter_map(resident).collect();
        self.nodes = nodes;
        self.looked = Some(Instant::now());
    }

    /// Those of a node, without the pods that live behind its doors: CRI-O's monitor of a container
    /// is in the cgroup of its pod and in the network of the node.
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
    fn a_pod_behind_a_door_is_no_resident() {
        let (node, other, pod) = (NetNsId(1), NetNsId(2), NetNsId(3));
        let living = |netns, uid: &str| (netns, uid.to_owned());
        let residents = Residents {
            found: [
                living(node, "agent"),
                living(node, "pod"),
                living(other, "proxy"),
            ]
            .into(),
            ..Residents::default()
        };
        let behind = [living(pod, "pod")];
        assert_eq!(residents.of(node, &behind), [living(node, "agent")]);
        assert_eq!(residents.of(other, &behind), [living(other, "proxy")]);
        assert_eq!(residents.of(pod, &behind), []);
    }
}

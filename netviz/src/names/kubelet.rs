//! kubelet's files for each pod: a cgroup with the pod's uid in its path, and a directory for its logs
//! with uid and name in its own name.
//!
//! The directories outlive the pod, so they only translate uids to names. A pod exists while a process
//! is in its cgroup: then it has its name even if libcni's cache and containerd's bundles are lost.

pub mod cgroup;
mod host_network_pods;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

pub use cgroup::Living;
use cgroup::uid_of;
use host_network_pods::HostNetworkPods;

use super::{
    files::{self, Listed},
    report::{PodFact, Report},
    source::{Context, NameSource, PerNode},
};
use crate::{
    discover::Discovered,
    model::{Role, Side, Source, Status},
    sys::{
        entrance::Entrance,
        netns::NetNsId,
        processes::namespace,
        rooted_fs::{Root, Stamp},
    },
};

/// Where the logs are.
const DIRECTORY: &str = "var/log/pods";
/// More containers than any pod has.
const CONTAINERS: usize = 256;

/// The logs of all nodes, and the pods in the nodes' own network.
#[derive(Default)]
pub(super) struct Kubelet {
    logs: PerNode<Logs>,
    host_network: HostNetworkPods,
}

impl NameSource for Kubelet {
    fn read(&mut self, _: &Context, found: &Discovered) -> Vec<Report> {
        self.host_network.refresh(found);
        let host_network = &self.host_network;
        self.logs.reports(Source::Kubelet, found, |logs, node| {
            let mut living = living(found, node.netns);
            living.extend(host_network.of(node.netns, &living));
            logs.read(node.netns, &node.roots, &living)
        })
    }
}

/// The namespaces behind a node's doors in which a pod has a process.
fn living(found: &Discovered, node: NetNsId) -> Vec<Living> {
    let doors = found.cluster.doors.iter().filter(|door| {
        let pod = matches!(door.role, Role::Pod | Role::Veth);
        let nodes = &found.cluster.nodes;
        pod && door.side == Side::Pod && nodes.get(door.node).is_some_and(|it| it.netns == node)
    });
    let mut spaces: Vec<NetNsId> = doors.filter_map(|door| door.id.netns.known()).collect();
    spaces.sort();
    spaces.dedup();
    let living = spaces.into_iter().filter_map(|netns| {
        let entrances = found.entrances.get(&netns)?;
        let uid = entrances.iter().find_map(|entrance| uid(entrance, netns))?;
        Some((netns, uid))
    });
    living.collect()
}

/// The uid of the pod of the process whose namespace `netns` is entered at `entrance`.
fn uid(entrance: &Entrance, netns: NetNsId) -> Option<String> {
    let Entrance::Process(pid) = entrance else {
        return None;
    };
    let process = format!("/proc/{pid}");
    let uid = uid_of(&process)?;
    // Another process may have this id by now.
    let same = namespace(&format!("{process}/ns/net")).ok()? == netns.0;
    same.then_some(uid)
}

/// The directories of one node's logs.
#[derive(Debug, Default)]
pub struct Logs {
    /// Containers by the pod's directory, which is read again when it changes.
    containers: HashMap<PathBuf, (Stamp, Vec<String>)>,
}

impl Logs {
    /// The names of the pods in `living`, on the node with this network namespace and these roots.
    pub fn read(
        &mut self,
        node: NetNsId,
        roots: &[PathBuf],
        living: &[Living],
    ) -> (Status, Vec<PodFact>) {
        let listed = match files::list(roots, DIRECTORY) {
            Ok(listed) => listed,
            Err(status) => return (status, Vec::new()),
        };
        if living.is_empty() {
            return (Status::Absent, Vec::new());
        }
        let names: HashMap<String, (&PathBuf, [String; 2])> =
            listed.paths.iter().filter_map(|path| parse(path)).collect();
        self.containers
            .retain(|path, _| listed.paths.binary_search(path).is_ok());
        let facts = living.iter().filter_map(|(netns, uid)| {
            let (path, [namespace, name]) = names.get(uid)?;
            Some(PodFact {
                namespace: Some(namespace.clone()),
                name: Some(name.clone()),
                uid: Some(uid.clone()),
                containers: self.containers(&listed, path),
                netns: Some(*netns),
                host_network: *netns == node,
                ..PodFact::default()
            })
        });
        let pods = facts.collect();
        let detail = listed.cut();
        (Status::Ok { detail }, pods)
    }

    /// Each container has its own directory.
    fn containers(&mut self, listed: &Listed, path: &PathBuf) -> Vec<String> {
        let Ok(stamp) = listed.root.stamp(path) else {
            return Vec::new();
        };
        match self.containers.get(path) {
            Some((same, containers)) if *same == stamp => containers.clone(),
            _ => {
                let containers = containers(&listed.root, path);
                self.containers
                    .insert(path.clone(), (stamp, containers.clone()));
                containers
            }
        }
    }
}

fn containers(root: &Root, path: &Path) -> Vec<String> {
    let (paths, _) = root.list(path, CONTAINERS).unwrap_or_default();
    let names = paths.iter().filter_map(|path| path.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// `<namespace>_<name>_<uid>`: none of the three has an underscore.
fn parse(path: &PathBuf) -> Option<(String, (&PathBuf, [String; 2]))> {
    let file = path.file_name()?.to_str()?;
    let mut parts = file.split('_');
    let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !namespace.is_empty() && !name.is_empty();
    let names = [namespace.to_owned(), name.to_owned()];
    (whole && cgroup::is_uid(uid)).then(|| (uid.to_owned(), (path, names)))
}

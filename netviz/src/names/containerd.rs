//! containerd's bundles: the containers of each pod, and pods in the node's own network.
//!
//! A bundle exists as long as its task, and is gone within two seconds after it: the freshest source.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    cni::on_node,
    files::{self, Files},
    report::{PodFact, Report},
    source::{Context, NameSource, PerNode},
};
use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::netns::NetNsId,
};

/// Where containerd keeps the bundles of Kubernetes' containers: its default, that of k3s and RKE2, of k0s,
/// of MicroK8s.
const DIRECTORIES: [&str; 4] = [
    "run/containerd/io.containerd.runtime.v2.task/k8s.io",
    "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io",
    "run/k0s/containerd/io.containerd.runtime.v2.task/k8s.io",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io",
];

/// A bundle's `config.json`: of a sandbox, or of a container in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Id of the sandbox.
    pub sandbox: String,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Name of the pod.
    pub name: Option<String>,
    /// Uid of the pod.
    pub uid: Option<String>,
    /// Name of the container; `None` for the sandbox itself.
    pub container: Option<String>,
    /// Its network, as far as this file has it.
    pub network: Network,
}

/// The network namespace of a bundle's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Mounted at this path on the node.
    Mounted(PathBuf),
    /// The node's own.
    Node,
    /// Another process's: that of the container's sandbox.
    Joined,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    annotations: HashMap<String, String>,
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

/// Reads a bundle; `None` for one that was not made for Kubernetes.
///
/// # Errors
/// When it is not JSON, usually because it is being written.
pub fn parse(data: &[u8]) -> Result<Option<Bundle>, serde_json::Error> {
    let mut config: Config = serde_json::from_slice(data)?;
    let mut take = |key: &str| {
        let value = config
            .annotations
            .remove(&format!("io.kubernetes.cri.{key}"));
        value.filter(|value| !value.is_empty())
    };
    let Some(sandbox) = take("sandbox-id") else {
        return Ok(None);
    };
    let namespaces = config.linux.map(|linux| linux.namespaces);
    Ok(Some(Bundle {
        sandbox,
        namespace: take("sandbox-namespace"),
        name: take("sandbox-name"),
        uid: take("sandbox-uid"),
        container: take("container-name"),
        network: network(&namespaces.unwrap_or_default()),
    }))
}

fn network(namespaces: &[Namespace]) -> Network {
    let own = namespaces
        .iter()
        .find(|namespace| namespace.kind == "network");
    match own {
        None => Network::Node,
        Some(own) => on_node(&own.path).map_or(Network::Joined, Network::Mounted),
    }
}

/// The pods of a node whose own namespace is `node`: each sandbox with the containers in it.
#[must_use]
pub fn pods<'a>(
    bundles: impl IntoIterator<Item = &'a Bundle>,
    node: NetNsId,
    mounted: impl Fn(&Path) -> Option<NetNsId>,
) -> Vec<PodFact> {
    let mut pods: BTreeMap<&str, PodFact> = BTreeMap::new();
    for bundle in bundles {
        let pod = pods.entry(&bundle.sandbox).or_default();
        pod.namespace = pod.namespace.take().or_else(|| bundle.namespace.clone());
        pod.name = pod.name.take().or_else(|| bundle.name.clone());
        pod.uid = pod.uid.take().or_else(|| bundle.uid.clone());
        pod.containers.extend(bundle.container.clone());
        match (&bundle.network, &bundle.container) {
            (Network::Mounted(path), _) => pod.netns = mounted(path),
            (Network::Node, None) => {
                pod.host_network = true;
                pod.netns = Some(node);
            }
            _ => {}
        }
    }
    let mut pods: Vec<PodFact> = pods.into_values().collect();
    // A pod without its namespace is gone.
    pods.retain(|pod| pod.netns.is_some());
    for pod in &mut pods {
        pod.containers.sort();
    }
    pods
}

/// The bundles of all nodes.
#[derive(Default)]
pub(super) struct Bundles(PerNode<Files<Bundle>>);

impl NameSource for Bundles {
    fn read(&mut self, _: &Context, found: &Discovered) -> Vec<Report> {
        self.0.reports(Source::Runtime, found, |cache, node| {
            read(cache, node.netns, &node.roots)
        })
    }
}

fn read(cache: &mut Files<Bundle>, node: NetNsId, roots: &[PathBuf]) -> (Status, Vec<PodFact>) {
    let mut all = Vec::new();
    for directory in DIRECTORIES {
        match files::list(roots, directory) {
            Ok(listed) => all.push(listed),
            Err(Status::Absent) => {}
            Err(status) => return (status, Vec::new()),
        }
    }
    let Some(listed) = all.iter().max_by_key(|listed| listed.cut().is_some()) else {
        return (Status::Absent, Vec::new());
    };
    let bundles = all.iter().flat_map(|listed| &listed.paths);
    let mut paths: Vec<_> = bundles.map(|bundle| bundle.join("config.json")).collect();
    paths.sort();
    cache.refresh(&listed.root, &paths, parse);
    let pods = pods(cache.found(), node, |path| listed.root.namespace(path));
    let detail = cache.complaint(listed);
    (Status::Ok { detail }, pods)
}

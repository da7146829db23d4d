//! containerd's bundles: the containers of each pod, and pods in the node's own network.
//!
//! A bundle is there as long as its task, and gone within two seconds after it: the freshest source.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Context,
    cni::on_node,
    files::{self, Files},
};
use crate::{
    model::{PodFact, Report, Source, Status},
    sys::netns::NetNsId,
};

/// Where containerd keeps the bundles of Kubernetes' containers.
const DIRECTORY: &str = "run/containerd/io.containerd.runtime.v2.task/k8s.io";

/// What a bundle's `config.json` says: of a sandbox, or of a container in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Id of the sandbox that it is, or is in.
    pub sandbox: String,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Name of the pod.
    pub name: Option<String>,
    /// Uid of the pod.
    pub uid: Option<String>,
    /// Name of the container; `None` for the sandbox itself.
    pub container: Option<String>,
    /// The network that it lives in, as far as this file says.
    pub network: Network,
}

/// Where a bundle's processes have their network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// In the namespace that is mounted there, on the node.
    Mounted(PathBuf),
    /// In the node's own.
    Node,
    /// Elsewhere: a container joins its sandbox by a process.
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

/// Reads a bundle; `None` where it was not made for Kubernetes.
///
/// # Errors
/// When it is no JSON: as a rule because it is being written.
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
    // One whose namespace has gone is not there any more.
    pods.retain(|pod| pod.netns.is_some());
    for pod in &mut pods {
        pod.containers.sort();
    }
    pods
}

/// Reads the bundles of all nodes until the end.
pub(super) fn run(context: Context) {
    let mut caches: HashMap<NetNsId, Files<Bundle>> = HashMap::new();
    context.poll(Source::Runtime, move |_, sites| {
        caches.retain(|netns, _| sites.iter().any(|site| site.netns == *netns));
        let report = |site: &super::Site| {
            let cache = caches
                .entry(site.netns)
                .or_insert_with(|| Files::new(parse));
            let (status, pods) = read(cache, site.netns, &site.roots);
            Report {
                pods,
                ..Report::new(Source::Runtime, Some(site.netns), status)
            }
        };
        sites.iter().map(report).collect()
    });
}

fn read(cache: &mut Files<Bundle>, node: NetNsId, roots: &[PathBuf]) -> (Status, Vec<PodFact>) {
    let listed = match files::list(roots, DIRECTORY) {
        Ok(listed) => listed,
        Err(status) => return (status, Vec::new()),
    };
    let paths: Vec<_> = listed
        .paths
        .iter()
        .map(|bundle| bundle.join("config.json"))
        .collect();
    cache.refresh(&listed.root, &paths);
    let pods = pods(cache.found(), node, |path| listed.root.namespace(path));
    (
        Status::Ok {
            detail: cache.complaint(&listed),
        },
        pods,
    )
}

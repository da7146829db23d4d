//! libcni's result cache: which pod has which network namespace, without any API.
//!
//! The runtime writes one file for each interface of a pod after the plugin has answered, about 30 ms
//! after it made the namespace, and removes it with the pod. A power cut leaves the file behind: an
//! entry is valid only while a namespace is mounted at its path.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use ipnet::IpNet;

use super::{
    files::{self, Files},
    report::{PodFact, Report},
    source::{Context, NameSource, PerNode},
};
use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::{entrance::Entrance, netns::NetNsId},
};

/// Where libcni keeps it.
const DIRECTORY: &str = "var/lib/cni/results";

/// One entry: an interface that a plugin made for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Where its network namespace is mounted, on the node.
    pub sandbox: PathBuf,
    /// The pod, without the inode of its namespace.
    pub pod: PodFact,
}

/// Reads an entry; `None` for the loopback interface, and for anything but a Kubernetes pod.
///
/// # Errors
/// When it is not JSON, usually because it is being written.
pub fn parse(data: &[u8]) -> Result<Option<Attachment>, serde_json::Error> {
    let file: CacheFile = serde_json::from_slice(data)?;
    if file.if_name == "lo" {
        return Ok(None);
    }
    Ok(attachment(file))
}

fn attachment(file: CacheFile) -> Option<Attachment> {
    let argument = |key: &str| {
        let mut pairs = file.cni_args.iter();
        let value = pairs.find(|(name, _)| name == key)?.1.clone();
        Some(value).filter(|value| !value.is_empty())
    };
    let own = file
        .result
        .interfaces
        .iter()
        .find(|interface| !interface.sandbox.is_empty());
    let sandbox = own.map_or(file.netns.as_str(), |interface| &interface.sandbox);
    let addresses = file.result.ips.iter();
    let addresses = addresses.filter_map(|ip| Some(ip.address.parse::<IpNet>().ok()?.addr()));
    let pod = PodFact {
        namespace: argument("K8S_POD_NAMESPACE"),
        name: Some(argument("K8S_POD_NAME")?),
        uid: argument("K8S_POD_UID"),
        addresses: addresses.collect(),
        mac: own
            .map(|interface| interface.mac.to_ascii_lowercase())
            .filter(|mac| !mac.is_empty()),
        ..PodFact::default()
    };
    Some(Attachment {
        sandbox: on_node(sandbox)?,
        pod,
    })
}

/// From the node's root. `/var/run` is `/run`; no runtime mounts namespaces elsewhere.
pub(super) fn on_node(sandbox: &str) -> Option<PathBuf> {
    let path = Path::new(sandbox);
    let name = path
        .strip_prefix("/var/run/netns")
        .or_else(|_| path.strip_prefix("/run/netns"))
        .ok()?;
    let mut parts = name.components();
    let one = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    one.then(|| Path::new("run/netns").join(name))
}

/// The pods whose namespace `mounted` finds at its path.
#[must_use]
pub fn living(
    attachments: impl IntoIterator<Item = Attachment>,
    mounted: impl Fn(&Path) -> Option<NetNsId>,
) -> Vec<PodFact> {
    let alive = attachments.into_iter().filter_map(|attachment| {
        Some(PodFact {
            netns: Some(mounted(&attachment.sandbox)?),
            ..attachment.pod
        })
    });
    alive.collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheFile {
    #[serde(default)]
    if_name: String,
    /// From libcni 1.2 on.
    #[serde(default)]
    netns: String,
    #[serde(default)]
    cni_args: Vec<(String, String)>,
    #[serde(default)]
    result: CniResult,
}

#[derive(Default, Deserialize)]
struct CniResult {
    #[serde(default)]
    interfaces: Vec<Interface>,
    #[serde(default)]
    ips: Vec<Ip>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    mac: String,
    #[serde(default)]
    sandbox: String,
}

#[derive(Deserialize)]
struct Ip {
    #[serde(default)]
    address: String,
}

/// The caches of all nodes.
#[derive(Default)]
pub(super) struct Caches(PerNode<Cache>);

impl NameSource for Caches {
    fn read(&mut self, _: &Context, found: &Discovered) -> Vec<Report> {
        self.0.reports(Source::CniCache, found, |cache, node| {
            let (status, mut pods) = cache.read(&node.roots);
            for pod in &mut pods {
                pod.condition = orphaned(pod, found);
            }
            (status, pods)
        })
    }
}

/// The files of one node; an unchanged one is not read again.
#[derive(Debug, Default)]
pub struct Cache(Files<Attachment>);

impl Cache {
    /// The valid entries of the node with these roots.
    pub fn read(&mut self, roots: &[PathBuf]) -> (Status, Vec<PodFact>) {
        let listed = match files::list(roots, DIRECTORY) {
            Ok(listed) => listed,
            Err(status) => return (status, Vec::new()),
        };
        self.0.refresh(&listed.root, &listed.paths, parse);
        let attachments = self.0.found().cloned();
        let mut pods = living(attachments, |path| listed.root.namespace(path));
        pods.sort_by(|a, b| {
            (a.netns, &a.namespace, &a.name).cmp(&(b.netns, &b.namespace, &b.name))
        });
        let detail = self.0.complaint(&listed);
        (Status::Ok { detail }, pods)
    }
}

/// A mounted namespace without a process: its pod was killed, or its record was lost.
fn orphaned(pod: &PodFact, found: &Discovered) -> Option<String> {
    let entrances = found.entrances.get(&pod.netns?)?;
    let process = |entrance: &Entrance| matches!(entrance, Entrance::Process(_));
    let inhabited = entrances.iter().any(process);
    (!inhabited).then(|| "no process is left in it".into())
}

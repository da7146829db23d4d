//! The files that a Kind node has about its pods: libcni's cache, containerd's bundles, kubelet's
//! logs. They are in directories that are mounted for this node only.
//!
//! The blog's pods without a name have no files, so netviz finds no name for them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::plan::{Node, Pod, PodKind, fingerprint};
use crate::model::mac_text;

const RESULTS: &str = "var/lib/cni/results";
const BUNDLES: &str = "run/containerd/io.containerd.runtime.v2.task/k8s.io";
const LOGS: &str = "var/log/pods";
/// Configuration of the network, as libcni keeps it beside each result.
const NETWORK: &str = r#"{"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni"}]}"#;

/// One pod's files on its node.
pub(super) struct Files<'a> {
    root: PathBuf,
    node: &'a Node,
    pod: &'a Pod,
    netns: &'a str,
}

impl<'a> Files<'a> {
    /// The files of a running pod; `None` if it has none.
    pub(super) fn of(node: &'a Node, pod: &'a Pod) -> Option<Self> {
        let named = matches!(pod.kind, PodKind::Listed | PodKind::Extra);
        let netns = pod.netns_name.as_deref().filter(|_| named)?;
        Some(Self {
            root: PathBuf::from(format!("/proc/{}/root", node.pid)),
            node,
            pod,
            netns,
        })
    }

    /// Writes the files in the order in which a node writes them.
    pub(super) fn write(&self) -> io::Result<()> {
        write(&self.logs().join(self.container()).join("0.log"), "")?;
        write(&self.result("cni-loopback", "lo"), &self.loopback())?;
        write(&self.result("cilium", "eth0"), &self.attachment())?;
        for (id, config) in [
            (self.sandbox(), self.sandbox_bundle()),
            (self.id("container"), self.container_bundle()),
        ] {
            write(&self.bundle(&id).join("config.json"), &config.to_string())?;
        }
        Ok(())
    }

    /// Removes the files as a node does: the logs remain.
    pub(super) fn remove(&self) -> io::Result<()> {
        for id in [self.id("container"), self.sandbox()] {
            gone(fs::remove_dir_all(self.bundle(&id)))?;
        }
        gone(fs::remove_file(self.result("cilium", "eth0")))?;
        gone(fs::remove_file(self.result("cni-loopback", "lo")))
    }

    fn result(&self, network: &str, interface: &str) -> PathBuf {
        let file = format!("{network}-{}-{interface}", self.sandbox());
        self.root.join(RESULTS).join(file)
    }

    fn bundle(&self, id: &str) -> PathBuf {
        self.root.join(BUNDLES).join(id)
    }

    fn logs(&self) -> PathBuf {
        let (pod, uid) = (self.pod, self.uid());
        let directory = format!("{}_{}_{uid}", pod.namespace, pod.name);
        self.root.join(LOGS).join(directory)
    }

    /// 64 hexadecimal digits that no other pod has, not even a later one with the same name.
    fn id(&self, of: &str) -> String {
        let part = |part| {
            let pod = self.pod;
            let text = format!("{of} {part} {} {} {}", pod.node, pod.name, pod.pid);
            format!("{:016x}", fingerprint(&text))
        };
        (0..4).map(part).collect()
    }

    fn sandbox(&self) -> String {
        self.id("sandbox")
    }

    fn uid(&self) -> String {
        let id = self.id("uid");
        format!(
            "{}-{}-4{}-8{}-{}",
            &id[..8],
            &id[8..12],
            &id[12..15],
            &id[15..18],
            &id[18..30]
        )
    }

    /// The container's name: that of its image.
    fn container(&self) -> &str {
        self.pod.name.split('-').next().unwrap_or(&self.pod.name)
    }

    fn netns_path(&self) -> String {
        format!("/var/run/netns/{}", self.netns)
    }

    fn loopback(&self) -> String {
        let interfaces = json!([
            {"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": self.netns_path()},
        ]);
        let result = json!({
            "cniVersion": "0.3.1",
            "interfaces": interfaces,
            "ips": [{"version": "4", "interface": 0, "address": "127.0.0.1/8"}],
            "dns": {},
        });
        self.cache("cni-loopback", "lo", &result)
    }

    fn attachment(&self) -> String {
        let (pod, gateway) = (self.pod, self.node.router_address);
        let result = json!({
            "cniVersion": "0.3.1",
            "interfaces": [
                {"name": pod.interface.name, "mac": mac_text(&pod.interface.mac)},
                {"name": pod.eth0.name, "mac": mac_text(&pod.eth0.mac), "sandbox": self.netns_path()},
            ],
            "ips": [{
                "version": "4",
                "interface": 1,
                "address": format!("{}/32", pod.address),
                "gateway": gateway,
            }],
            "routes": [{"dst": format!("{gateway}/32")}, {"dst": "0.0.0.0/0", "gw": gateway}],
            "dns": {},
        });
        self.cache("cilium", "eth0", &result)
    }

    fn cache(&self, network: &str, interface: &str, result: &Value) -> String {
        json!({
            "kind": "cniCacheV1",
            "containerId": self.sandbox(),
            "config": STANDARD.encode(NETWORK),
            "ifName": interface,
            "networkName": network,
            "cniArgs": [
                ["IgnoreUnknown", "1"],
                ["K8S_POD_NAMESPACE", self.pod.namespace],
                ["K8S_POD_NAME", self.pod.name],
                ["K8S_POD_INFRA_CONTAINER_ID", self.sandbox()],
                ["K8S_POD_UID", self.uid()],
            ],
            "result": result,
        })
        .to_string()
    }

    fn sandbox_bundle(&self) -> Value {
        let annotations = self.annotations("sandbox", None);
        bundle(&annotations, &self.netns_path())
    }

    fn container_bundle(&self) -> Value {
        let annotations = self.annotations("container", Some(self.container()));
        bundle(&annotations, &format!("/proc/{}/ns/net", self.pod.pid))
    }

    fn annotations(&self, kind: &str, container: Option<&str>) -> Value {
        let mut annotations = json!({
            "io.kubernetes.cri.container-type": kind,
            "io.kubernetes.cri.sandbox-id": self.sandbox(),
            "io.kubernetes.cri.sandbox-name": self.pod.name,
            "io.kubernetes.cri.sandbox-namespace": self.pod.namespace,
            "io.kubernetes.cri.sandbox-uid": self.uid(),
        });
        if let Some(container) = container {
            annotations["io.kubernetes.cri.container-name"] = container.into();
        }
        annotations
    }
}

fn bundle(annotations: &Value, network: &str) -> Value {
    json!({
        "ociVersion": "1.0.2-dev",
        "annotations": annotations,
        "linux": {"namespaces": [
            {"type": "pid"},
            {"type": "uts"},
            {"type": "mount"},
            {"type": "network", "path": network},
        ]},
    })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)
}

/// Ignores that a file does not exist.
fn gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

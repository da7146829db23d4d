//! A running Cilium: a cluster that external scripts start.
//!
//! `CILIUM_LAB` names a directory with `up.sh MODE`, `down.sh` and `agent.sh start|stop|restart
//! NODE`. After `up.sh`, `run/NODE.pid` contains for each node the ID of a process in its
//! namespaces and cgroup. Each pod is a network namespace `/run/netns/pod-NAME`; pods and nodes run
//! an echo server on UDP port 47777. With `run/kubeconfig`, the nodes reach the API server.

mod send;
mod watched;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use netviz::sys::netns::NetNs;

pub use send::{Sending, Sent, enter_cgroup, send_if_asked};
pub use watched::{Counts, Watched};

/// Names the directory.
pub const VARIABLE: &str = "CILIUM_LAB";

/// A configuration of Cilium: its letter for `up.sh`, and its name in `fixtures/cilium`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Argument of `up.sh`.
    pub letter: &'static str,
    /// Name in `fixtures/cilium`.
    pub oracle: &'static str,
    /// Summary of the agent's answers.
    pub summary: &'static str,
}

impl Mode {
    /// All measured modes.
    pub const ALL: [Self; 8] = [
        Self::new("a", "vxlan", "vxlan, legacy host routing"),
        Self::new("al", "vxlan-clsact", "vxlan, legacy host routing"),
        Self::new("b", "vxlan-host-routing", "vxlan, BPF host routing"),
        Self::new("c", "native-host-routing", "native, BPF host routing"),
        Self::new("d", "native", "native, legacy host routing"),
        Self::new(
            "d2",
            "native-endpoint-routes",
            "native, legacy host routing, endpoint routes",
        ),
        Self::new("e", "vxlan-ipv6", "vxlan, legacy host routing"),
        Self::new("eb", "vxlan-host-routing-ipv6", "vxlan, BPF host routing"),
    ];

    const fn new(letter: &'static str, oracle: &'static str, summary: &'static str) -> Self {
        Self {
            letter,
            oracle,
            summary,
        }
    }
}

/// A node of a running Cilium.
#[derive(Debug)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: String,
    /// ID of a process in it.
    pub pid: i32,
    /// Its network namespace.
    pub netns: NetNs,
}

/// A pod of a running Cilium.
#[derive(Debug)]
pub struct Pod {
    /// Its name in Kubernetes, in the namespace `default`.
    pub name: String,
    /// Its network namespace.
    pub netns: NetNs,
}

/// A running cluster; stopped on drop.
#[derive(Debug)]
pub struct CiliumLab {
    directory: PathBuf,
    /// Its configuration.
    pub mode: Mode,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Its pods.
    pub pods: Vec<Pod>,
}

/// Returns the directory, if there is one.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    env::var_os(VARIABLE)
        .filter(|directory| !directory.is_empty())
        .map(PathBuf::from)
}

impl CiliumLab {
    /// Starts the cluster, after stopping a running one.
    pub fn up(directory: &Path, mode: Mode) -> Result<Self> {
        script(directory, "down.sh", &[])?;
        let up = script(directory, "up.sh", &[mode.letter]).and_then(|()| {
            Ok(Self {
                directory: directory.into(),
                mode,
                nodes: nodes(&directory.join("run"))?,
                pods: pods()?,
            })
        });
        if up.is_err() {
            // A partly started cluster would break everything after it.
            script(directory, "down.sh", &[])?;
        }
        up
    }

    /// `agent.sh ACTION NODE`.
    pub fn agent(&self, action: &str, node: &Node) -> Result<()> {
        script(&self.directory, "agent.sh", &[action, &node.name])
    }

    /// Returns the kubeconfig with which nodes reach the API server.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("run/kubeconfig")
    }

    /// Runs kubectl in a node's network, with `input` as stdin.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Result<()> {
        let node = self.nodes.first().context("no node")?;
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = node.netns.run(|| command.spawn())?.context("kubectl")?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "kubectl {}: {text}",
            args.join(" ")
        );
        Ok(())
    }

    /// Returns a node by name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.name == name)
            .with_context(|| format!("no node {name}"))
    }

    /// Returns a pod by name.
    pub fn pod(&self, name: &str) -> Result<&Pod> {
        let mut pods = self.pods.iter();
        pods.find(|pod| pod.name == name)
            .with_context(|| format!("no pod {name}"))
    }

    /// Returns the nodes as arguments of `--netns`.
    #[must_use]
    pub fn netns(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.pid.to_string()).collect()
    }
}

impl Drop for CiliumLab {
    fn drop(&mut self) {
        if let Err(error) = script(&self.directory, "down.sh", &[]) {
            eprintln!("{error:#}");
        }
    }
}

/// Runs a script to its end. Its background processes keep the output open, so the output is a
/// file.
fn script(directory: &Path, name: &str, args: &[&str]) -> Result<()> {
    let path = directory.join(name);
    let text = tempfile::NamedTempFile::new().context("a file for the output")?;
    let status = Command::new(&path)
        .args(args)
        .stdin(Stdio::null())
        .stdout(text.reopen()?)
        .stderr(text.reopen()?)
        .status()
        .with_context(|| format!("cannot run {}", path.display()))?;
    if !status.success() {
        let text = fs::read_to_string(text.path()).unwrap_or_default();
        bail!("{name} {} ended with {status}: {text}", args.join(" "));
    }
    Ok(())
}

fn nodes(run: &Path) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(run).with_context(|| run.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        // Other IDs have two dots: NODE.agent.pid.
        let Some(name) = name.and_then(|name| name.strip_suffix(".pid")) else {
            continue;
        };
        let pid: i32 = fs::read_to_string(&path)?.trim().parse()?;
        let netns = NetNs::of_process(pid).with_context(|| path.display().to_string())?;
        let is_node = netns.run(|| nix::net::if_::if_nametoindex("cilium_host").is_ok())?;
        if is_node && !name.contains('.') {
            nodes.push(Node {
                name: name.into(),
                pid,
                netns,
            });
        }
    }
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(nodes)
}

fn pods() -> Result<Vec<Pod>> {
    let mut pods = Vec::new();
    for entry in fs::read_dir("/run/netns").context("/run/netns")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.and_then(|name| name.strip_prefix("pod-")) {
            let netns = NetNs::open(&path).with_context(|| path.display().to_string())?;
            pods.push(Pod {
                name: name.into(),
                netns,
            });
        }
    }
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pods)
}

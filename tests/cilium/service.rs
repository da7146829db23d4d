//! `netviz verify` to a TCP service that Cilium translates in the sockets of its nodes' cgroups: netviz's
//! socket is of that cgroup, and no process is.

use std::{collections::BTreeMap, fs, net::IpAddr, process::Stdio, time::Duration};

use anyhow::{Result, ensure};
use netviz_tests::{
    cilium::cilium_lab::CiliumLab,
    cli::{netviz::Running, verify::parse, wait::wait_until},
};
use nix::sys::signal::Signal;

use crate::verify::{Cast, netviz, report};

const NAME: &str = "netviz-tcp";
const ADDRESS: &str = "10.96.0.177";
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn translated_in_sockets(cilium: &CiliumLab) -> Result<()> {
    let cast = Cast::of(cilium)?;
    if !cast.service {
        return Ok(());
    }
    let _service = Service::apply(cilium, cast.other_address)?;
    for from in [&cast.from, &cast.home] {
        let args = [from.as_str(), ADDRESS, "--port", "80"];
        // The agents need a moment for a new service.
        let mut last = String::new();
        let verified = wait_until(LIMIT, || {
            let before = cgroups();
            let Ok(output) = netviz(cilium, &args).output() else {
                return false;
            };
            let result = parse(&output);
            last = format!("{} {}", report(&result), moved(&before).unwrap_or_default());
            let to = result.json["to"]["pod"].as_str();
            result.verdict() == "verified" && to == Some(&cast.other) && moved(&before).is_none()
        });
        ensure!(verified, "{}: {last}", args.join(" "));
    }
    killed(cilium, &cast)
}

/// Killed while it sends, it leaves nothing in the cgroup, either.
fn killed(cilium: &CiliumLab, cast: &Cast) -> Result<()> {
    let before = cgroups();
    let args = [
        cast.from.as_str(),
        ADDRESS,
        "--port",
        "80",
        "--count",
        "500",
    ];
    let mut command = netviz(cilium, &args);
    let mut running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let pid = running.child.id();
    let sends = || {
        let threads = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten();
        let names = threads.filter_map(|it| fs::read_to_string(it.ok()?.path().join("comm")).ok());
        names.into_iter().any(|name| name.trim() == "netviz-probe")
    };
    ensure!(wait_until(LIMIT, sends), "it sends nothing");
    running.signal(Signal::SIGKILL);
    running.child.wait()?;
    let gone = wait_until(LIMIT, || moved(&before).is_none());
    ensure!(gone, "{}", moved(&before).unwrap_or_default());
    Ok(())
}

/// The cgroup of every process.
fn cgroups() -> BTreeMap<i32, String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let cgroup = fs::read_to_string(entry.path().join("cgroup")).ok()?;
        Some((pid, cgroup))
    };
    processes.filter_map(of).collect()
}

/// Processes that are in another cgroup than before, or new in one of a node of the lab.
fn moved(before: &BTreeMap<i32, String>) -> Option<String> {
    let moved = cgroups()
        .into_iter()
        .filter(|(pid, cgroup)| match before.get(pid) {
            Some(known) => known != cgroup,
            None => is_netviz(*pid) && cgroup.contains("/lab/"),
        });
    let moved: Vec<_> = moved
        .map(|(pid, cgroup)| format!("{pid}: {cgroup}"))
        .collect();
    (!moved.is_empty()).then(|| moved.join(", "))
}

fn is_netviz(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("netviz"))
}

/// A TCP service with one pod behind it; removed on drop.
struct Service<'a>(&'a CiliumLab);

impl<'a> Service<'a> {
    fn apply(cilium: &'a CiliumLab, address: IpAddr) -> Result<Self> {
        let service = serde_json::json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {"clusterIP": ADDRESS, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 47777}]},
        });
        let slice = serde_json::json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": NAME, "namespace": "default", "labels": {"kubernetes.io/service-name": NAME}},
            "ports": [{"name": "http", "port": 47777, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        });
        let created = Self(cilium);
        for object in [service, slice] {
            let args = ["create", "--validate=false", "-f", "-"];
            cilium.kubectl(&args, &object.to_string())?;
        }
        Ok(created)
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        for kind in ["endpointslice", "service"] {
            if let Err(error) = self.0.kubectl(&["delete", kind, NAME], "") {
                eprintln!("{error:#}");
            }
        }
    }
}

//! Names from the real agent and the real API server.

use std::{os::unix::process::CommandExt as _, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use netviz_tests::{
    cilium::cilium_lab::{CiliumLab, Node, Pod},
    cli::{netviz::command, wait},
};
use serde_json::Value;

/// netviz waits one second for a source before it prints without it; a starting agent needs longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn from_the_agent(cilium: &CiliumLab) -> Result<()> {
    let seen = run(&mut doors(cilium))?;
    for node in &cilium.nodes {
        let stderr = find(&seen, "nodes", "netns", &node.netns.id().0.into())?;
        ensure!(stderr["name"] == node.name.as_str(), "{stderr}");
        ensure!(
            summary(&stderr["datapath"]) == cilium.mode.summary,
            "{stderr}"
        );
        let ranges = stderr["pod_cidrs"].as_array().map_or(0, Vec::len);
        let families = if cilium.mode.letter.starts_with('e') {
            2
        } else {
            1
        };
        ensure!(ranges == families, "{stderr}");
    }
    for pod in &cilium.pods {
        named(&seen, pod, "cilium")?;
        let stderr = find(&seen, "pods", "name", &pod.name.as_str().into())?;
        ensure!(stderr["endpoint"].as_u64() > Some(0), "{stderr}");
        ensure!(stderr["identity"].as_u64() > Some(255), "{stderr}");
        let labels = stderr["labels"].to_string();
        ensure!(labels.contains("k8s:app="), "{stderr}");
    }
    check_no_disagreements(&seen)
}

pub(crate) fn from_the_api(cilium: &CiliumLab) -> Result<()> {
    // With running agents, the API reports the same pods.
    let node = cilium.nodes.first().context("no node")?;
    let seen = run(&mut with_api(cilium, node))?;
    for pod in &cilium.pods {
        named(&seen, pod, "cilium")?;
        let stderr = find(&seen, "pods", "name", &pod.name.as_str().into())?;
        let sources = stderr["sources"].to_string();
        ensure!(sources.contains("kubernetes"), "{stderr}");
    }
    check_no_disagreements(&seen)?;
    // Without agents, only the API names the pods.
    for node in &cilium.nodes {
        cilium.agent("stop", node)?;
    }
    let alone = run(&mut with_api(cilium, node)).and_then(|seen| {
        let of_api = |pod| named(&seen, pod, "kubernetes");
        cilium.pods.iter().try_for_each(of_api)?;
        check_no_disagreements(&seen)
    });
    for node in &cilium.nodes {
        cilium.agent("start", node)?;
    }
    wait::until("the agents answer again", PATIENCE, || {
        from_the_agent(cilium)
    });
    alone
}

fn doors(cilium: &CiliumLab) -> Command {
    let mut command = command(&["doors", "--once", "-o", "json"]);
    command.env("NETVIZ_NETNS", cilium.netns().join(","));
    command
}

/// Runs in a node's network, because the machine cannot reach the API server.
fn with_api(cilium: &CiliumLab, node: &Node) -> Command {
    let mut command = doors(cilium);
    command.arg("--kubeconfig").arg(cilium.kubeconfig());
    let netns = std::fs::File::open(format!("/proc/{}/ns/net", node.pid));
    // SAFETY: only setns(2), on a descriptor that was opened before the fork.
    unsafe {
        command.pre_exec(move || {
            let netns = netns.as_ref().map_err(|error| error.kind())?;
            Ok(nix::sched::setns(
                netns,
                nix::sched::CloneFlags::CLONE_NEWNET,
            )?)
        });
    }
    command
}

fn run(command: &mut Command) -> Result<Value> {
    let output = command.output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "netviz: {}: {stderr}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("netviz printed no JSON")
}

fn find<'a>(seen: &'a Value, list: &str, key: &str, value: &Value) -> Result<&'a Value> {
    let all = seen[list]
        .as_array()
        .with_context(|| format!("no {list}"))?;
    let found = all.iter().find(|item| item[key] == *value);
    found.with_context(|| format!("none of the {list} has the {key} {value}: {}", seen[list]))
}

/// Checks that both ends of the pod's veth pair have its name, from that source.
fn named(seen: &Value, pod: &Pod, source: &str) -> Result<()> {
    let own = find(seen, "doors", "netns", &pod.netns.id().0.into())?;
    let all = seen["doors"].as_array().into_iter().flatten();
    let ends = all.filter(|door| door["pod"] == pod.name.as_str());
    ensure!(
        ends.clone().count() == 2,
        "{} does not have two ends",
        pod.name
    );
    for end in ends.chain([own]) {
        let wanted = (pod.name.as_str(), "default", source);
        let is = (&end["pod"], &end["namespace"], &end["named_by"]);
        ensure!(
            is.0 == wanted.0 && is.1 == wanted.1 && is.2 == wanted.2,
            "{wanted:?}: {end}"
        );
    }
    Ok(())
}

fn check_no_disagreements(seen: &Value) -> Result<()> {
    let none = seen["disagreements"].as_array().is_some_and(Vec::is_empty);
    ensure!(none, "{}", seen["disagreements"]);
    Ok(())
}

fn summary(datapath: &Value) -> String {
    let text = |key| datapath[key].as_str();
    let mut args = vec![
        text("tunnel").or(text("routing")).unwrap_or("-").to_owned(),
        format!("{} host routing", text("host_routing").unwrap_or("-")),
    ];
    if datapath["endpoint_routes"] == true {
        args.push("endpoint routes".into());
    }
    args.join(", ")
}

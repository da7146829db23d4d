//! Two clusters on one machine with equal names and addresses, as two Kind clusters have: a verdict is
//! about the pod that was named, never about its twin.

use std::collections::BTreeSet;

use netviz::lab::{Lab, Options, Pod, PodKind};
use netviz_tests::{
    bpf::skip,
    cli::{
        netviz::{command, nodes},
        verify::{VerifyOutput, parse},
    },
};
use serde_json::Value;

struct TwoClusters([Lab; 2]);

impl TwoClusters {
    fn up() -> Self {
        Self([(), ()].map(|()| Lab::up(&Options::default()).unwrap()))
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let quick = ["verify", "--fast-attach", "--timeout", "300ms"];
        let all = [&quick[..], args].concat();
        let netns = self.0.each_ref().map(nodes).join(",");
        let mut command = command(&all);
        command.env("NETVIZ_NETNS", netns).output().unwrap()
    }

    fn verify(&self, from: &str, to: &str) -> VerifyOutput {
        parse(&self.run(&["--count", "3", "-o", "json", from, to]))
    }

    /// Returns how to name a pod of one cluster: node names and addresses are equal, so that only the
    /// node's network namespace is different.
    fn label(&self, cluster: usize, pod: &Pod) -> String {
        let lab = &self.0[cluster];
        let node = lab.nodes().iter().find(|node| node.name == pod.node);
        let netns = lab.netns(node.unwrap()).unwrap().id().0;
        format!("{}@{netns}:{}/{}", pod.node, pod.namespace, pod.name)
    }

    /// Returns two pods of the first node, and one of the other.
    fn pods(&self) -> [&Pod; 3] {
        let pods = self.0[0].pods().iter();
        let pods: Vec<_> = pods.filter(|pod| pod.kind == PodKind::Listed).collect();
        let b = pods[1..].iter().find(|pod| pod.node == pods[0].node);
        let c = pods.iter().find(|pod| pod.node != pods[0].node);
        [pods[0], b.unwrap(), c.unwrap()]
    }
}

#[test]
fn verdict_is_about_the_pod_that_was_named() {
    if skip::without_tcx() {
        return;
    }
    let clusters = TwoClusters::up();
    let [a, b, c] = clusters.pods();
    let labels = |pod| [0, 1].map(|cluster| clusters.label(cluster, pod));
    let [from, near, far] = [a, b, c].map(labels);
    // A name that two pods have, and an address, is refused; the error shows what to write.
    for name in [a.name.clone(), format!("pod/{}", a.name)] {
        let refused = clusters.verify(&name, &far[0]);
        assert_eq!(refused.code, Some(2), "{:#}", refused.json);
        for label in &from {
            assert!(
                refused.stderr.contains(label.as_str()),
                "{}",
                refused.stderr
            );
        }
    }
    let refused = clusters.verify(&from[0], &c.address.to_string());
    assert_eq!(refused.code, Some(2), "{:#}", refused.json);
    for label in &far {
        let (node, _) = label.split_once(':').unwrap();
        let text = format!("{node}:{} ({}/{})", c.address, c.namespace, c.name);
        assert!(refused.stderr.contains(&text), "{}", refused.stderr);
    }
    let node = clusters.verify(&format!("node/{}", a.node), &far[0]);
    assert!(node.stderr.contains("2 nodes are named"), "{}", node.stderr);
    // By names of its own, each cluster's pods reach each other.
    for cluster in [0, 1] {
        for to in [&near, &far] {
            let result = clusters.verify(&from[cluster], &to[cluster]);
            assert_eq!(
                result.verdict(),
                "verified",
                "{} {:#}",
                result.stderr,
                result.json
            );
            assert_eq!(result.json["from"]["name"], from[cluster].as_str());
            assert_eq!(result.json["to"]["name"], to[cluster].as_str());
        }
    }
    // The other cluster's pod has the same address: its twin receives the packets and answers.
    for to in [&near[1], &far[1]] {
        let result = clusters.verify(&from[0], to);
        assert_eq!(
            (result.verdict(), result.code),
            ("lost", Some(1)),
            "{:#}",
            result.json
        );
        assert_eq!(
            (&result.json["delivered"], &result.json["replied"]),
            (&0.into(), &0.into())
        );
        assert!(
            result.causes().contains("received them and answered 3"),
            "{}",
            result.causes()
        );
    }
    let own = clusters.verify(&from[0], &from[1]);
    assert_eq!(own.verdict(), "lost", "{:#}", own.json);
    assert!(own.causes().contains("do not leave it"), "{}", own.causes());
}

#[test]
fn every_pod_of_both_clusters_is_tested() {
    if skip::without_tcx() {
        return;
    }
    let clusters = TwoClusters::up();
    let output = clusters.run(&["--all-pairs", "--count", "1", "-o", "jsonl"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> = text
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Each cluster has four pods with names.
    assert_eq!(verdicts.len(), 8 * 7, "{stderr}");
    let name = |verdict: &Value, end: &str| verdict[end]["name"].as_str().unwrap().to_owned();
    let pairs: BTreeSet<_> = verdicts
        .iter()
        .map(|it| (name(it, "from"), name(it, "to")))
        .collect();
    assert_eq!(pairs.len(), 8 * 7, "{pairs:?}");
    let netns: Vec<_> = clusters
        .0
        .iter()
        .map(|lab| {
            let nodes = lab.nodes().iter();
            nodes
                .map(|node| lab.netns(node).unwrap().id().0.to_string())
                .collect::<Vec<_>>()
        })
        .collect();
    let cluster_of = |name: &str| {
        netns
            .iter()
            .position(|all| all.iter().any(|it| name.contains(it.as_str())))
            .unwrap()
    };
    for verdict in &verdicts {
        let is_one = cluster_of(&name(verdict, "from")) == cluster_of(&name(verdict, "to"));
        let expected = if is_one { "verified" } else { "lost" };
        assert_eq!(verdict["verdict"], expected, "{stderr} {verdict:#}");
    }
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    // A selector of a file finds the pods of both, and keeps them apart.
    let [a, _, c] = clusters.pods();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("paths.yaml");
    let tests = format!(
        "tests:\n- {{name: web, from: '{}', to: {{pods: {}}}, count: 2}}\n",
        clusters.label(1, a),
        c.name
    );
    std::fs::write(&file, tests).unwrap();
    let output = clusters.run(&["-f", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("2 tests: 1 passed, 1 failed"), "{text}");
    let failed = format!(
        "  web: {} -> {}: expected verified, got lost",
        clusters.label(1, a),
        clusters.label(0, c)
    );
    assert!(text.contains(&failed), "{text}");
}

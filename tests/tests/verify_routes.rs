//! `netviz verify` between nodes without Cilium: the kernel's routes are the expected path.

use std::process::Command;

use netviz_tests::{
    bpf::skip,
    cli::{
        netviz::command,
        verify::{VerifyOutput, parse},
    },
    netns::{
        links::MacVlanMode,
        plain_cluster::{Network, PlainCluster, pod_address},
    },
};

/// Node and number of a pod.
type Pod = (usize, usize);

fn verify(cluster: &PlainCluster, network: Network, from: Pod, to: Pod) -> VerifyOutput {
    let address = |(node, pod)| pod_address(network, node, pod).to_string();
    run(cluster, &[&address(from), &address(to)])
}

fn run(cluster: &PlainCluster, args: &[&str]) -> VerifyOutput {
    let quick = ["--fast-attach", "--count", "4", "--interval", "5ms"];
    let args = [&["verify", "-o", "json"], args, &quick[..]].concat();
    let output = command(&args).env("NETVIZ_NETNS", cluster.names()).output();
    parse(&output.unwrap())
}

/// Checks that all packets took `path` and the mirrored way back.
fn check(network: Network, from: Pod, to: Pod, path: &[&str]) {
    let cluster = PlainCluster::new(network).unwrap();
    let output = verify(&cluster, network, from, to);
    assert_eq!(
        output.verdict(),
        "verified",
        "{:#}\n{}",
        output.json,
        output.stderr
    );
    assert_eq!(output.crossed("request"), path);
    let rows = output.json["request"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["expected"] == true), "{rows:#?}");
    assert_eq!(output.json["mode_source"], "routes");
}

#[test]
fn routed_pods_of_one_node() {
    let path = ["▲ eth0", "▼ veth00", "▲ veth01", "▼ eth0"];
    check(Network::Routed, (0, 0), (0, 1), &path);
}

#[test]
fn routed_pods_of_two_nodes() {
    let path = [
        "▲ eth0",
        "▼ veth00",
        "▲ eth0",
        "▼ veth-node0",
        "▲ veth-node1",
        "▼ eth0",
        "▲ veth11",
        "▼ eth0",
    ];
    check(Network::Routed, (0, 0), (1, 1), &path);
}

/// The bridge passes frames from port to port, past its own hooks.
#[test]
fn bridged_pods_of_one_node() {
    let path = ["▲ eth0", "▼ veth00", "▲ veth01", "▼ eth0"];
    check(Network::Vxlan, (0, 0), (0, 1), &path);
}

#[test]
fn bridged_pods_of_two_nodes_with_a_tunnel() {
    let path = [
        "▲ eth0",
        "▼ veth00",
        "▼ cni0",
        "▲ flannel.1",
        "▲ eth0",
        "▼ veth-node0",
        "▲ veth-node1",
        "▼ eth0",
        "▼ flannel.1",
        "▲ cni0",
        "▲ veth11",
        "▼ eth0",
    ];
    check(Network::Vxlan, (0, 0), (1, 1), &path);
}

#[test]
fn macvlan_pods_of_one_node() {
    check(
        Network::Macvlan(MacVlanMode::Bridge),
        (0, 0),
        (0, 1),
        &["▲ eth0", "▼ eth0", "▼ eth0"],
    );
}

#[test]
fn macvlan_pods_of_two_nodes() {
    let path = [
        "▲ eth0",
        "▲ eth0",
        "▼ veth-node0",
        "▲ veth-node1",
        "▼ eth0",
        "▼ eth0",
    ];
    check(Network::Macvlan(MacVlanMode::Bridge), (0, 0), (1, 1), &path);
}

/// kube-proxy chooses a pod for each connection.
#[test]
fn service_of_two_pods() {
    if skip::without_programs(&["iptables"]) {
        return;
    }
    let network = Network::Routed;
    let cluster = PlainCluster::new(network).unwrap();
    let address = |node, pod| pod_address(network, node, pod).to_string();
    let (from, near, far) = (address(0, 0), address(0, 1), address(1, 1));
    let rule = |choice: &[&str], to: &str| {
        let service = ["-t", "nat", "-A", "PREROUTING", "-d", "10.96.0.50"];
        let target = ["-j", "DNAT", "--to-destination", to];
        let args = [&service[..], choice, &target].concat();
        let status = cluster.nodes[0].run(|| Command::new("iptables").args(args).status());
        assert!(status.unwrap().success());
    };
    let every_other = [
        "-m",
        "statistic",
        "--mode",
        "nth",
        "--every",
        "2",
        "--packet",
        "0",
    ];
    rule(&every_other, &near);
    rule(&[], &far);
    // The pods refuse the connections, so that each SYN begins a new one; datagrams have several sockets.
    for proto in ["tcp", "udp"] {
        let output = run(&cluster, &[&from, "10.96.0.50:80", "--proto", proto]);
        let what = format!("{proto}: {:#}\n{}", output.json, output.stderr);
        assert_eq!(output.verdict(), "verified", "{what}");
        let notes = output.json["notes"].to_string();
        let shares = [(&near, &far), (&far, &near)];
        let shares = shares.map(|(a, b)| format!("10.96.0.50 was delivered: 2 to {a}, 2 to {b}"));
        assert!(shares.iter().any(|it| notes.contains(it)), "{what}");
        for way in ["request", "reply"] {
            let rows = output.json[way].as_array().unwrap();
            // Both doors of the near pod, and six on the way to the far one.
            let own = |row: &&serde_json::Value| row["seen"] == 2 && row["of"] == 2;
            assert_eq!(rows.iter().filter(own).count(), 8, "{what}");
            assert!(rows.iter().all(|row| row["expected"] == true), "{what}");
        }
    }
}

//! `netviz verify` between nodes without Cilium: the kernel's routes are the expected path.

use netviz_tests::{
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
    let (from, to) = (address(from), address(to));
    let quick = ["--fast-attach", "--count", "4", "--interval", "5ms"];
    let args = [&["verify", "-o", "json", &from, &to], &quick[..]].concat();
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

//! Discovery finds exactly the planned doors of the lab.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use aya::programs::tc::qdisc_add_clsact;
use netviz::{
    discover::{Selection, Watch, scan},
    lab::{Lab, Mode, Options},
    model::{Cluster, Door, Role, Side},
    sys::{
        netlink::{NewLink, NewRoute},
        netns::NetNsId,
    },
};
use netviz_tests::{
    bpf::{filters::delete_clsact, skip},
    builders::snapshot_builder::net,
    cli::{
        lab_doors::{Known, found, planned},
        netviz::{command, command_for, nodes},
        wait::{notify_limit, wait_until},
    },
    netns::{
        TestNetns, add_pair,
        cgroup::Cgroup,
        join,
        links::{MacVlanMode, TunPair, add_macvlan},
    },
};
use serde_json::Value;

fn lab(mode: Mode) -> Lab {
    let options = Options {
        mode,
        ..Options::default()
    };
    Lab::up(&options).unwrap_or_else(|error| panic!("{error:#}"))
}

fn select(namespaces: &[String], all: bool, include: &[&str], exclude: &[&str]) -> Selection {
    let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).into()).collect::<Vec<_>>();
    Selection::new(namespaces.to_vec(), all, &owned(include), &owned(exclude)).unwrap()
}

fn pids(lab: &Lab) -> Vec<String> {
    lab.nodes()
        .iter()
        .map(|node| node.pid.to_string())
        .collect()
}

/// Returns the namespace between the nodes, which is not in the plan: the peer of both uplinks.
fn wire(cluster: &Cluster) -> NetNsId {
    let ids: BTreeSet<_> = cluster
        .doors
        .iter()
        .filter(|door| door.side == Side::Host)
        .map(|door| door.id.netns.known().unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(cluster.nodes.iter().all(|node| !ids.contains(&node.netns)));
    *ids.first().unwrap()
}

#[test]
fn finds_exactly_the_planned_doors() {
    for mode in [Mode::Vxlan, Mode::NativeEndpointRoutes] {
        let lab = lab(mode);
        let start = Instant::now();
        let cluster = scan(&select(&pids(&lab), false, &[], &[])).unwrap().cluster;
        println!(
            "{mode}: {} doors in {:?}",
            cluster.doors.len(),
            start.elapsed()
        );
        assert_eq!(found(&cluster), planned(&lab, wire(&cluster)));
        assert_eq!(cluster.doors.len(), if mode.tunnels() { 26 } else { 24 });
        // All except the tunnels are veth pairs.
        assert_eq!(cluster.pairs().len(), 12);
        let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.raw()).collect();
        assert_eq!(names, ["mycluster-worker", "mycluster-worker2"]);
        for (node, planned) in cluster.nodes.iter().zip(lab.nodes()) {
            assert!(node.cilium);
            assert_eq!(node.addresses, [net(&format!("{}/16", planned.address))]);
            assert_eq!(node.netns, lab.netns(planned).unwrap().id());
        }
        lab.down().unwrap();
    }
}

#[test]
fn all_include_exclude() {
    let lab = lab(Mode::Vxlan);
    let names = |all, include: &[&str], exclude: &[&str]| {
        let cluster = scan(&select(&pids(&lab)[..1], all, include, exclude))
            .unwrap()
            .cluster;
        cluster
            .doors
            .into_iter()
            .map(|door| (door.interface, door.role))
            .collect::<Vec<_>>()
    };
    let usual = names(false, &[], &[]);
    assert_eq!(usual.len(), 13);
    let lo = ("lo".to_owned(), Role::Other);
    assert!(!usual.contains(&lo));
    assert_eq!(names(true, &[], &[]).len(), 14);
    assert!(names(true, &[], &[]).contains(&lo));
    assert_eq!(names(false, &["l?"], &[]), names(true, &[], &[]));
    assert_eq!(
        names(false, &[], &["lxc*", "cilium_{net,host}"]).len(),
        13 - 4 - 2
    );
    assert_eq!(names(true, &["lo"], &["*"]), []);
    lab.down().unwrap();
}

/// Returns the doors in JSON, without fields that differ between two runs.
fn doors(snapshot: &Value) -> BTreeSet<String> {
    let doors = snapshot["doors"].as_array().unwrap().iter();
    doors
        .map(|door| {
            [
                "node",
                "interface",
                "ifindex",
                "netns",
                "peer_interface",
                "peer_ifindex",
                "mac",
                "pod",
            ]
            .map(|name| door[name].to_string())
            .join(" ")
        })
        .collect()
}

fn as_json(known: &Known) -> String {
    let peer = known.peer.as_ref();
    let door = serde_json::json!([
        known.node,
        known.interface,
        known.ifindex,
        known.netns.0,
        peer.map(|peer| &peer.2),
        peer.map(|peer| peer.1),
        known.mac,
        known.pod,
    ]);
    let parts: Vec<_> = door
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    parts.join(" ")
}

fn json(mut command: Command) -> Value {
    let output = command
        .args(["doors", "--once", "--watch", "50ms", "-o", "json"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    assert_eq!(complaint, "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes a program start in namespaces of another process.
fn enter(command: &mut Command, pid: i32, kinds: &[&str]) {
    let open = |kind| File::open(format!("/proc/{pid}/ns/{kind}")).unwrap();
    let namespaces: Vec<_> = kinds.iter().map(open).collect();
    let enter = move || {
        for namespace in &namespaces {
            nix::sched::setns(namespace, nix::sched::CloneFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: only system calls, on open descriptors.
    unsafe { command.pre_exec(enter) };
}

#[test]
fn inside_a_node_only_that_node_is_found() {
    let lab = lab(Mode::Vxlan);
    let wire = wire(&scan(&select(&pids(&lab), false, &[], &[])).unwrap().cluster);
    for node in lab.nodes() {
        let mut netviz = command(&[]);
        enter(&mut netviz, node.pid, &["mnt", "uts", "net"]);
        let snapshot = json(netviz);
        assert_eq!(snapshot["nodes"].as_array().unwrap().len(), 1);
        let expected: BTreeSet<_> = planned(&lab, wire)
            .iter()
            .filter(|door| door.node == node.name)
            .map(as_json)
            .collect();
        assert_eq!(expected.len(), 13);
        assert_eq!(doors(&snapshot), expected);
    }
    lab.down().unwrap();
}

#[test]
fn node_by_pid_by_path_and_by_both() {
    let lab = lab(Mode::Vxlan);
    let [one, two] = &pids(&lab)[..] else {
        panic!("two nodes")
    };
    let by = |names: &[&str]| {
        let mut netviz = command(&[]);
        netviz.env("NETVIZ_NETNS", names.join(","));
        json(netviz)
    };
    let path = format!("/proc/{one}/ns/net");
    let by_process = by(&[one]);
    assert_eq!(by_process["doors"].as_array().unwrap().len(), 13);
    assert_eq!(doors(&by(&[&path])), doors(&by_process));
    // Two names of one namespace are one node.
    let twice = by(&[&path, one]);
    assert_eq!(twice["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(doors(&twice), doors(&by_process));
    let both = by(&[one, two]);
    assert_eq!(both["doors"].as_array().unwrap().len(), 26);
    // Also through a mounted file, as container runtimes create it.
    let pod = lab
        .pods()
        .iter()
        .find(|pod| pod.node == lab.nodes()[0].name)
        .unwrap();
    let mounted = format!(
        "/proc/{one}/root/run/netns/{}",
        pod.netns_name.as_ref().unwrap()
    );
    let output = command(&["doors", "--once", "--watch", "50ms", "-o", "json", "--all"])
        .env("NETVIZ_NETNS", &mounted)
        .output()
        .unwrap();
    let inside: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = inside["doors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|door| door["interface"].clone())
        .collect();
    // The pod's own two, and the peer of eth0.
    assert_eq!(names, ["eth0", pod.interface.name.as_str(), "lo"]);
    lab.down().unwrap();
}

/// Starts a process that idles until its stdin is closed, which `wait` does.
fn idle(pid: i32, kinds: &[&str]) -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    enter(&mut command, pid, kinds);
    command.spawn().unwrap()
}

/// The last assigned process ID; a write determines where the search for the next one starts.
const LAST_ID: &str = "/proc/sys/kernel/ns_last_pid";

/// Starts idle processes until one has a suitable ID: another process may take the next free one
/// after `last`.
fn idle_at(last: i32, wanted: impl Fn(i32) -> bool, pid: i32, kinds: &[&str]) -> Child {
    for _ in 0..20 {
        fs::write(LAST_ID, last.to_string()).unwrap();
        let mut child = idle(pid, kinds);
        if wanted(child.id().cast_signed()) {
            return child;
        }
        child.wait().unwrap();
    }
    panic!("no suitable process id after {last}");
}

/// Process IDs wrap around. Then a restarted agent can have a lower ID than its node, and a process
/// that shares only the node's network a higher one.
#[test]
fn node_is_identified_by_its_oldest_process() {
    if skip::without_file(LAST_ID) || skip::without_programs(&["cat"]) {
        return;
    }
    let lab = lab(Mode::Vxlan);
    let node = &lab.nodes()[0];
    let mut container = idle_at(node.pid, |id| id > node.pid, node.pid, &["net"]);
    // The kernel reports start times in hundredths of a second.
    thread::sleep(Duration::from_millis(20));
    let own = ["mnt", "uts", "net"];
    let mut young = idle_at(1, |id| id < node.pid, node.pid, &own);
    let mut netviz = command(&[]);
    netviz.env("NETVIZ_NETNS", format!("/proc/{}/ns/net", node.pid));
    let snapshot = json(netviz);
    for child in [&mut container, &mut young] {
        child.wait().unwrap();
    }
    assert_eq!(snapshot["nodes"][0]["name"], node.name.as_str());
    lab.down().unwrap();
}

#[test]
fn wrong_namespace_is_one_line() {
    let lab = lab(Mode::Vxlan);
    for (name, wanted) in [
        ("no-such-namespace", "no such network namespace (looked at "),
        ("/no/such/path", "no such network namespace (looked at "),
        ("2147483646", "no such network namespace (looked at "),
        ("/etc/passwd", "is not a network namespace"),
        (
            &format!("/proc/{}/ns/uts", lab.nodes()[0].pid),
            "is not a network namespace",
        ),
    ] {
        let list = format!("{},{name}", nodes(&lab));
        let output = command(&["doors", "--once", "--netns", &list])
            .output()
            .unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(
            complaint.starts_with("netviz: --netns ") && complaint.contains(wanted),
            "{complaint}"
        );
        assert!(
            complaint.contains(&format!("--netns {name}: ")),
            "{complaint}"
        );
        assert_eq!(output.stdout, b"");
    }
    // Without an error, the binary counts all doors of the lab.
    assert_eq!(
        json(command_for(&lab, &[]))["doors"]
            .as_array()
            .unwrap()
            .len(),
        26
    );
    lab.down().unwrap();
}

/// If a thread cannot be created, whichever it is, netviz prints one line with the remedy and does
/// not panic.
#[test]
fn thread_limit_is_an_error_of_one_line() {
    if Cgroup::of_processes(1).is_none() {
        skip::because("no cgroup here limits processes");
        return;
    }
    let namespace = TestNetns::new().unwrap();
    add_pair(&mut namespace.netlink().unwrap(), 11).unwrap();
    let mut lacking = BTreeSet::new();
    let enough = (1..20).find(|most| {
        let group = Cgroup::of_processes(*most).unwrap();
        let mut netviz = command(&["doors", "--once", "--netns", &namespace.name()]);
        let procs = File::options().write(true).open(group.processes()).unwrap();
        // SAFETY: one system call, on an open descriptor.
        unsafe { netviz.pre_exec(move || Ok(nix::unistd::write(&procs, b"0").map(drop)?)) };
        let output = netviz.output().unwrap();
        if output.status.success() {
            return true;
        }
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{most}: {complaint}");
        for line in complaint.lines() {
            let what = line.strip_prefix("netviz: ");
            let does = what
                .and_then(|what| what.split_once("cannot start the thread that "))
                .and_then(|(_, what)| what.split_once(": "))
                .filter(|(_, why)| why.contains("raise pids.max"));
            let (does, _) = does.unwrap_or_else(|| panic!("{most}: {complaint}"));
            lacking.insert(does.to_owned());
        }
        false
    });
    assert!(enough.is_some(), "{lacking:?}");
    for does in ["enters network namespaces", "attaches"] {
        assert!(lacking.contains(does), "{lacking:?}");
    }
}

/// netviz keeps no state of deleted interfaces: a node gets a new one for each pod.
#[test]
fn filter_generations_are_dropped_with_their_interface() {
    let namespace = TestNetns::new().unwrap();
    let mut netlink = namespace.netlink().unwrap();
    let selection = select(&[namespace.name()], true, &[], &[]);
    let watch = Watch::start(selection).unwrap();
    let news = watch.subscribe();
    let own = |ifindex| (namespace.netns().id(), ifindex);
    let generation = |ifindex| news.borrow().filters.get(&own(ifindex)).copied();
    let mut last = None;
    for index in [51, 61, 51] {
        add_pair(&mut netlink, index).unwrap();
        let there = wait_until(notify_limit() * 10, || {
            let doors = &news.borrow().cluster.doors;
            doors.iter().any(|door| door.id.ifindex == index)
        });
        assert!(there, "{index}");
        // Deleting a qdisc deletes its filters, with a notification.
        let name = format!("veth{index}");
        namespace.run(|| qdisc_add_clsact(&name)).unwrap();
        delete_clsact(&mut netlink, index).unwrap();
        assert!(
            wait_until(notify_limit() * 10, || generation(index).is_some()),
            "{index}"
        );
        // The generation is new, although the index is not.
        assert!(last < generation(index));
        last = generation(index);
        netlink.delete_link(index).unwrap();
        let gone = wait_until(notify_limit() * 10, || news.borrow().filters.is_empty());
        assert!(gone, "{:?}", news.borrow().filters);
    }
}

/// Creates a pair without addresses, up, with the same index at both ends.
fn unnumbered(node: &TestNetns, name: &str, far: &TestNetns, far_name: &str, index: u32) {
    let link = |name, low| NewLink {
        name,
        index,
        mac: [2, 0x74, 1, 0, low, u8::try_from(index).unwrap()],
        arp: true,
    };
    let (near, peer) = (link(name, 1), link(far_name, 2));
    let mut netlink = node.netlink().unwrap();
    netlink
        .create_veth(&near, &peer, Some(far.netns()))
        .unwrap();
    netlink.set_up(index).unwrap();
    far.netlink().unwrap().set_up(index).unwrap();
}

/// CNI plugins name host ends as they like, and ptp gives each the address of the gateway.
#[test]
fn pods_of_every_cni_plugin_are_found_by_their_place() {
    let (node, pod) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    let mut netlink = node.netlink().unwrap();
    let host_ends = ["eni1a", "veth2b", "cali3c", "azv4d", "gke5e"];
    for (index, name) in (20..).zip(host_ends) {
        unnumbered(&node, name, &pod, &format!("eth{index}"), index);
    }
    let gateway = "10.244.0.1".parse().unwrap();
    netlink.add_address(20, gateway, 32).unwrap();
    netlink.add_address(21, gateway, 32).unwrap();
    let cluster = scan(&select(&[node.name()], false, &[], &[])).unwrap();
    let doors = cluster.cluster.doors.iter();
    let found: Vec<_> = doors
        .map(|door| (door.interface.as_str(), door.side, door.role))
        .collect();
    let pairs = (20..).zip(host_ends);
    let peers: Vec<_> = pairs
        .map(|(index, name)| (format!("eth{index}"), name))
        .collect();
    let expected: Vec<_> = peers
        .iter()
        .flat_map(|(peer, name)| [(peer.as_str(), Side::Pod), (*name, Side::Node)])
        .map(|(name, side)| (name, side, Role::Pod))
        .collect();
    assert_eq!(found, expected);
}

/// Namespace and name of a pod's interface, and the device below it.
type OfPod<'a> = (NetNsId, &'a str, Option<(NetNsId, u32)>);

/// The interfaces of pods in the order of the doors.
fn of_pods(cluster: &Cluster) -> Vec<OfPod<'_>> {
    let pods = cluster.doors.iter().filter(|door| door.side == Side::Pod);
    let lower = |door: &Door| {
        let lower = door.lower.as_ref()?;
        Some((lower.id.netns.known()?, lower.id.ifindex))
    };
    pods.map(|door| {
        (
            door.id.netns.known().unwrap(),
            door.interface.as_str(),
            lower(door),
        )
    })
    .collect()
}

/// No interface of the node leads to a macvlan pod, and the second network of a pod may be one.
#[test]
fn macvlan_pods_are_found_by_the_device_below() {
    let all = [(); 6].map(|()| TestNetns::new().unwrap());
    let [node, wire, pod, two, other, stranger] = all;
    let [eth0, _] = join(&node, &wire, 1).unwrap();
    unnumbered(&node, "veth2", &two, "eth0", 22);
    let selection = select(&[node.name()], false, &[], &[]);
    let watch = Watch::start(selection.clone()).unwrap();
    let news = watch.subscribe();
    let address = |host| ([10, 99, 1, host].into(), 24);
    add_macvlan(
        &node,
        (eth0.index, MacVlanMode::Bridge),
        &pod,
        ("eth0", 30),
        address(30),
    )
    .unwrap();
    add_macvlan(
        &node,
        (eth0.index, MacVlanMode::Bridge),
        &two,
        ("net1", 31),
        address(31),
    )
    .unwrap();
    // Of a namespace that is no node's.
    let [foreign, _] = join(&other, &wire, 3).unwrap();
    add_macvlan(
        &other,
        (foreign.index, MacVlanMode::Bridge),
        &stranger,
        ("eth0", 32),
        address(32),
    )
    .unwrap();
    let below = Some((node.netns().id(), eth0.index));
    let expected = [
        (two.netns().id(), "eth0", None),
        (two.netns().id(), "net1", below),
        (pod.netns().id(), "eth0", below),
    ];
    let found = scan(&selection).unwrap();
    assert_eq!(of_pods(&found.cluster), expected);
    assert!(found.entrances.contains_key(&pod.netns().id()));
    let roles = found
        .cluster
        .doors
        .iter()
        .filter(|door| door.side == Side::Pod);
    assert!(roles.clone().all(|door| door.role == Role::Pod));
    // netviz that runs finds them without a notification from the pod.
    let there = wait_until(notify_limit() * 10, || {
        of_pods(&news.borrow().cluster) == expected
    });
    assert!(there, "{:?}", of_pods(&news.borrow().cluster));
    drop(pod);
    let gone = wait_until(notify_limit() * 10, || {
        of_pods(&news.borrow().cluster).len() == 2
    });
    assert!(gone, "{:?}", of_pods(&news.borrow().cluster));
}

/// Nodes joined by WireGuard, Tailscale or another VPN have neither Ethernet nor a default route.
#[test]
fn links_between_nodes_are_uplinks_without_ethernet_and_default_route() {
    let nodes = [(); 2].map(|()| TestNetns::new().unwrap());
    let [pod, wire] = [(); 2].map(|()| TestNetns::new().unwrap());
    let addresses = [1, 2].map(|host| [10, 9, 0, host].into());
    let ends = [(&nodes[0], addresses[0]), (&nodes[1], addresses[1])];
    let _tunnel = TunPair::new("wg0", ends).unwrap();
    // A pod, without which uplinks are not shown; and an unnumbered veth that a route uses.
    unnumbered(&nodes[0], "cali1", &pod, "eth0", 40);
    unnumbered(&nodes[0], "to-router", &wire, "eth0", 41);
    let loopback = [10, 10, 0, 2].into();
    nodes[1]
        .netlink()
        .unwrap()
        .add_address(1, loopback, 32)
        .unwrap();
    let route = NewRoute::host(loopback, 41);
    nodes[0].netlink().unwrap().add_route(&route).unwrap();
    let names = nodes.each_ref().map(TestNetns::name);
    let found = scan(&select(&names, false, &[], &[])).unwrap().cluster;
    let of_first = found
        .doors
        .iter()
        .filter(|door| door.node == 0 && door.side == Side::Node);
    let roles: Vec<_> = of_first
        .map(|door| (door.interface.as_str(), door.role))
        .collect();
    let expected = [
        ("cali1", Role::Pod),
        ("wg0", Role::Uplink),
        ("to-router", Role::Uplink),
    ];
    assert_eq!(roles, expected);
    assert_eq!(found.nodes[0].addresses, [net("10.9.0.1/24")]);
}

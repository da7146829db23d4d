//! Names end to end: the lab's nodes have the files of a Kind node, and the real binary derives the
//! pods' names from them.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{ChildStdout, Stdio},
};

use assert_cmd::assert::OutputAssertExt as _;
use netviz::lab::{Lab, Options, PodKind};
use netviz_tests::cli::{
    netviz::{Running, command, command_for},
    wait::notify_limit,
};
use serde_json::Value;

fn lab() -> Lab {
    Lab::up(&Options::default()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Returns namespace, name and source of every door to a pod, by the node's end of the veth pair.
fn named(snapshot: &Value) -> BTreeSet<(String, String)> {
    let doors = snapshot["doors"].as_array().expect("doors");
    let ends = doors
        .iter()
        .filter(|door| door["role"] == "pod" && door["side"] == "node");
    let word = |door: &Value, key: &str| door[key].as_str().unwrap_or("-").to_owned();
    let name_and_source = |door: &Value| {
        let (namespace, pod) = (word(door, "namespace"), word(door, "pod"));
        let (interface, by) = (word(door, "interface"), word(door, "named_by"));
        (interface, format!("{namespace}/{pod} by {by}"))
    };
    ends.map(name_and_source).collect()
}

#[test]
fn pods_have_their_kubernetes_names() {
    let args = ["demo", "--quiet", "--", "netviz", "doors", "--once"];
    let output = command(&[&args[..], &["-o", "json"]].concat())
        .assert()
        .success();
    let snapshot: Value = serde_json::from_slice(&output.get_output().stdout).expect("JSON");
    let expected = [
        ("lxc174c023046ff", "networking101/busybox-c8bbbbb84-fmhwc"),
        ("lxc4a891387ff1a", "networking101/busybox-c8bbbbb84-t6ggh"),
        ("lxc73d2e1d7cf4f", "networking101/netshoot-7d996d7884-fwt8z"),
        ("lxce84a702bb02c", "networking101/netshoot-7d996d7884-gcxrm"),
    ];
    let files = |(interface, pod): (&str, &str)| (interface.into(), format!("{pod} by cni_cache"));
    // The blog does not name these pods, so no file does.
    let nameless = [
        ("lxc5b7b34955e61", "-/unnamed-0b438679 by kernel"),
        ("lxcdc5fb9751595", "-/unnamed-c0d4bea2 by kernel"),
    ];
    let kernel = |(interface, name): (&str, &str)| (interface.into(), name.into());
    let expected: BTreeSet<(String, String)> = expected
        .map(files)
        .into_iter()
        .chain(nameless.map(kernel))
        .collect();
    assert_eq!(named(&snapshot), expected);
    let sources = snapshot["sources"].as_array().expect("sources");
    let ok = |name: &str| {
        sources
            .iter()
            .any(|it| it["source"] == name && it["status"]["code"] == "ok")
    };
    assert!(
        ok("kernel") && ok("cni_cache") && ok("runtime"),
        "{sources:?}"
    );
    assert_eq!(snapshot["disagreements"], serde_json::json!([]));
    let pods = snapshot["pods"].as_array().expect("pods");
    let containers = |name: &str| {
        pods.iter()
            .find(|pod| pod["name"] == name)
            .map(|pod| &pod["containers"])
    };
    assert_eq!(
        containers("busybox-c8bbbbb84-t6ggh"),
        Some(&serde_json::json!(["busybox"]))
    );
    assert_eq!(pods.len(), 4);
}

#[test]
fn source_lines_name_their_files() {
    let args = ["demo", "--quiet", "--", "netviz", "doors", "--once"];
    let output = command(&args).assert().success();
    let table = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    let line = table.lines().last().expect("a table");
    assert!(
        line.contains("names: kernel, cni cache, containerd"),
        "{line}"
    );
}

/// Snapshots of a running netviz, one per line.
struct Stream {
    lines: std::io::Lines<BufReader<ChildStdout>>,
    _running: Running,
}

impl Stream {
    fn of(lab: &Lab) -> Self {
        let mut netviz = command_for(lab, &["doors", "-o", "jsonl", "--watch", "100ms"]);
        let mut running = Running::start(netviz.stdout(Stdio::piped()));
        let out = running.child.stdout.take().expect("a pipe");
        Self {
            lines: BufReader::new(out).lines(),
            _running: running,
        }
    }

    /// Returns the first result of `is` for a new snapshot; ends at the latest with the program's
    /// time limit.
    fn until<T>(&mut self, what: &str, is: impl Fn(&Value) -> Option<T>) -> T {
        let mut last = Value::Null;
        for line in &mut self.lines {
            last = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if let Some(answer) = is(&last) {
                return answer;
            }
        }
        panic!("{what} was never shown; last: {last:#}");
    }
}

/// Returns name and source of a pod's door in the namespace `netns`.
fn inside(snapshot: &Value, netns: u64) -> Option<(String, String)> {
    let mut doors = snapshot["doors"].as_array()?.iter();
    let door = doors.find(|door| door["netns"] == netns && door["state"] != "gone")?;
    let word = |key: &str| door[key].as_str().unwrap_or("-").to_owned();
    Some((
        format!("{}/{}", word("namespace"), word("pod")),
        word("named_by"),
    ))
}

#[test]
fn recreated_pod_is_named_at_its_new_namespace() {
    let mut lab = lab();
    let node = lab.nodes()[0].name.clone();
    let mut stream = Stream::of(&lab);
    let mut seen = BTreeSet::new();
    for round in 1..=3 {
        let pod = lab.add_pod(&node, "moving").expect("a pod").clone();
        let netns = lab.netns(&pod).expect("its namespace").id();
        let made = std::time::Instant::now();
        stream.until("the new pod under its name", |snapshot| {
            let found = inside(snapshot, netns.0)?;
            (found == ("default/moving".into(), "cni_cache".into())).then_some(())
        });
        // netviz reads its name at once, without waiting for the next interval.
        assert!(made.elapsed() < notify_limit() * 3, "{:?}", made.elapsed());
        seen.insert((netns, pod.pid));
        assert_eq!(seen.len(), round);
        lab.remove_pod("moving").expect("the pod exists");
        stream.until("the pod's end", |snapshot| {
            let pods = snapshot["pods"].as_array()?;
            let left = pods.iter().any(|pod| pod["name"] == "moving");
            (!left && inside(snapshot, netns.0).is_none()).then_some(())
        });
    }
    drop(stream);
    lab.down().expect("the lab is removed");
}

/// k3s and RKE2, k0s and MicroK8s run containerd with a directory of their own.
#[test]
fn containerd_of_other_distributions_is_found() {
    let lab = lab();
    let roots: Vec<_> = lab
        .nodes()
        .iter()
        .map(|node| PathBuf::from(format!("/proc/{}/root", node.pid)))
        .collect();
    let listed = lab.pods().iter().filter(|pod| pod.kind == PodKind::Listed);
    let expected: BTreeSet<_> = listed
        .map(|pod| {
            let name = format!("{}/{} by runtime", pod.namespace, pod.name);
            (pod.interface.name.clone(), name)
        })
        .collect();
    for root in &roots {
        std::fs::remove_dir_all(root.join("var/lib/cni/results")).expect("it existed");
    }
    let mut before = "run/containerd";
    for place in [
        "run/k3s/containerd",
        "run/k0s/containerd",
        "var/snap/microk8s/common/run/containerd",
    ] {
        for root in &roots {
            let (from, to) = (root.join(before), root.join(place));
            std::fs::create_dir_all(&to).expect("a directory");
            let tasks = "io.containerd.runtime.v2.task/k8s.io";
            for bundle in std::fs::read_dir(from.join(tasks)).expect("bundles") {
                let bundle = bundle.expect("a bundle");
                let target = to.join(tasks).join(bundle.file_name());
                std::fs::create_dir_all(&target).expect("a directory");
                std::fs::copy(
                    bundle.path().join("config.json"),
                    target.join("config.json"),
                )
                .expect("a copy");
            }
            std::fs::remove_dir_all(&from).expect("it existed");
        }
        before = place;
        let output =
            command_for(&lab, &["doors", "--once", "--watch", "50ms", "-o", "json"]).output();
        let snapshot: Value =
            serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
        let mut found = named(&snapshot);
        found.retain(|(_, name)| !name.ends_with(" by kernel"));
        assert_eq!(found, expected, "{place}");
        let status = |name: &str| {
            let sources = snapshot["sources"].as_array().expect("sources").iter();
            let its = sources.filter(|it| it["source"] == name);
            its.map(|it| it["status"]["code"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(status("runtime"), ["ok", "ok"], "{place}");
        assert_eq!(status("cni_cache"), ["absent", "absent"], "{place}");
    }
}

#[test]
fn lab_node_has_the_files_of_a_kind_node() {
    let lab = lab();
    for node in lab.nodes() {
        let list = |directory: &str| -> BTreeSet<String> {
            let path = format!("/proc/{}/root/{directory}", node.pid);
            let entries =
                std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            entries
                .map(|entry| {
                    entry
                        .expect("an entry")
                        .file_name()
                        .to_string_lossy()
                        .into_owned()
                })
                .collect()
        };
        let pods = lab.pods().iter().filter(|pod| pod.node == node.name);
        let listed = pods
            .clone()
            .filter(|pod| pod.kind == PodKind::Listed)
            .count();
        let results = list("var/lib/cni/results");
        assert_eq!(results.len(), 2 * listed);
        assert!(
            results
                .iter()
                .all(|file| file.starts_with("cilium-") || file.starts_with("cni-loopback-"))
        );
        let bundles = list("run/containerd/io.containerd.runtime.v2.task/k8s.io");
        assert_eq!(bundles.len(), 2 * listed);
        assert_eq!(list("var/log/pods").len(), listed);
        assert_eq!(list("run/netns").len(), pods.count());
    }
    lab.down().expect("the lab is removed");
}

/// A cgroup, removed on drop after its process has ended.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a cgroup like kubelet's in this machine's hierarchy, with a process.
    fn with(uid: &str, pid: i32) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("/proc");
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let path = words.next()?;
            (words.next()? == "cgroup2").then(|| PathBuf::from(path))
        });
        let id = format!("{pid:064x}");
        // One level, so that a test leaves at most one empty directory behind.
        let name = format!("netviz-test-pod{uid}.slice:cri-containerd:{id}");
        let path = mount.expect("cgroups, version 2").join(name);
        std::fs::create_dir(&path).expect("a cgroup");
        let cgroup = Self(path);
        std::fs::write(cgroup.0.join("cgroup.procs"), pid.to_string()).expect("a process");
        cgroup
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Returns what the sources report about a host-network pod of `node`.
fn host_network_pod<'a>(snapshot: &'a Value, node: u64, name: &str) -> Option<&'a Value> {
    let mut pods = snapshot["pods"].as_array()?.iter();
    pods.find(|pod| pod["name"] == name && pod["netns"] == node)
}

#[test]
fn host_network_pod_is_named_without_a_door() {
    let lab = lab();
    let node = lab.nodes()[0].clone();
    let root = PathBuf::from(format!("/proc/{}/root", node.pid));
    let netns = lab.netns(&node).expect("its namespace").id().0;
    let uid = "5b0c4a5e-7f0c-4c39-9b52-2f1b6a3de0c1";
    let logs = root.join(format!("var/log/pods/kube-system_kube-proxy-9vd2t_{uid}"));
    std::fs::create_dir_all(logs.join("kube-proxy")).expect("its directory");
    let cgroup = Cgroup::with(uid, node.pid);
    let mut stream = Stream::of(&lab);
    stream.until("the pod in the node's network", |snapshot| {
        let pod = host_network_pod(snapshot, netns, "kube-proxy-9vd2t")?;
        assert_eq!(pod["namespace"], "kube-system");
        assert_eq!(pod["containers"], serde_json::json!(["kube-proxy"]));
        assert_eq!(pod["sources"], serde_json::json!(["kubelet"]));
        let doors = snapshot["doors"].as_array()?;
        assert!(doors.iter().all(|door| door["pod"] != "kube-proxy-9vd2t"));
        Some(())
    });
    drop(stream);
    lab.down().expect("the lab is removed");
    drop(cgroup);
}

#[test]
fn pod_without_files_is_named_by_its_process() {
    let lab = lab();
    let pod = lab.pods().iter().find(|pod| pod.kind == PodKind::Listed);
    let pod = pod.expect("the blog has pods").clone();
    let node = lab.nodes().iter().find(|node| node.name == pod.node);
    let root = PathBuf::from(format!("/proc/{}/root", node.expect("its node").pid));
    let logs = std::fs::read_dir(root.join("var/log/pods")).expect("kubelet's directories");
    let begin = format!("{}_{}_", pod.namespace, pod.name);
    let uid = logs
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find_map(|name| Some(name.strip_prefix(&begin)?.to_owned()))
        .expect("the pod's directory");
    let cgroup = Cgroup::with(&uid, pod.pid);
    for directory in [
        "var/lib/cni/results",
        "run/containerd/io.containerd.runtime.v2.task/k8s.io",
    ] {
        std::fs::remove_dir_all(root.join(directory)).expect("it existed");
    }
    let netns = lab.netns(&pod).expect("its namespace").id();
    let mut stream = Stream::of(&lab);
    let label = format!("{}/{}", pod.namespace, pod.name);
    stream.until("the pod's name by its cgroup", |snapshot| {
        (inside(snapshot, netns.0)? == (label.clone(), "kubelet".into())).then_some(())
    });
    drop(stream);
    lab.down().expect("the lab is removed");
    drop(cgroup);
}

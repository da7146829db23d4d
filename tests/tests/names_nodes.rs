//! Files of six nodes with a running containerd: each source by itself names every namespace
//! correctly or not at all.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use netviz::{
    model::Status,
    names::report::PodFact,
    names::{
        cni, containerd,
        kubelet::{Living, Logs, cgroup},
    },
    sys::netns::NetNsId,
};

const LIVE: &str = "live";
const SYSTEMD: &str = "live-systemd-cgroup2";
const REPEATED: &str = "6-7-orphan-and-same-name-pod";

/// The node's own network namespace.
const NODE: NetNsId = NetNsId(1);

const BUSYBOX: &str = "networking101/busybox-c8bbbbb84-fmhwc";
const NETSHOOT: &str = "networking101/netshoot-7d996d7884-gcxrm";
const COREDNS: &str = "kube-system/coredns-787d4945fb-4xk2l";
const CRASH: &str = "networking101/crash-5d4f8b7c9d-zz7qk";

/// Namespace to name.
type Names = BTreeMap<u64, String>;

fn fixture(path: &str) -> PathBuf {
    netviz_tests::builders::fixtures::fixture("containerd").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(fixture(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn entries(path: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixture(path)).expect("a fixture");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn names(pods: &[PodFact]) -> Names {
    let inside = pods.iter().filter(|pod| !pod.host_network);
    inside
        .filter_map(|pod| Some((pod.netns?.0, pod.label()?)))
        .collect()
}

/// Returns the mounted namespaces: path on the node, inode.
fn mounted(node: &str) -> HashMap<PathBuf, NetNsId> {
    let line = |line: &str| {
        let path = line.split(' ').next()?.strip_prefix('/')?;
        let inode = line.split("ino=").nth(1)?.split(' ').next()?.parse().ok()?;
        Some((PathBuf::from(path), NetNsId(inode)))
    };
    let text = text(&format!("{node}/netns.stat.node.txt"));
    text.lines().filter_map(line).collect()
}

fn by_cache(node: &str, mounted: &HashMap<PathBuf, NetNsId>) -> Names {
    let files = entries(&format!("{node}/results"));
    let read = files
        .iter()
        .filter_map(|file| cni::parse(&fs::read(file).expect("a file")).expect("JSON"));
    names(&cni::living(read, |path| mounted.get(path).copied()))
}

fn by_bundles(node: &str, mounted: &HashMap<PathBuf, NetNsId>) -> (Names, Vec<PodFact>) {
    let files = entries(&format!("{node}/oci"));
    let read: Vec<_> = files
        .iter()
        .filter_map(|bundle| {
            let config = fs::read(bundle.join("config.json")).expect("a file");
            containerd::parse(&config).expect("JSON")
        })
        .collect();
    let pods = containerd::pods(&read, NODE, |path| mounted.get(path).copied());
    (names(&pods), pods)
}

/// Returns the pods' processes, as seen from the node or from its host.
fn processes(node: &str, seen_from: &str, mounted: &HashMap<PathBuf, NetNsId>) -> Vec<Living> {
    let living = entries(&format!("{node}/proc")).into_iter().map(|process| {
        let read = |file: &str| fs::read_to_string(process.join(file)).expect("a fixture");
        let links = read("ns.links");
        let link = links
            .lines()
            .find_map(|line| line.strip_prefix("net net:["));
        let inode = link.expect("a namespace").trim_end_matches(']').parse();
        let netns = NetNsId(inode.expect("an inode"));
        let member = cgroup::member(&read(&format!("cgroup.seen-from-{seen_from}")));
        let member = member.expect("only pods' processes are in the fixture");
        assert!(member.container.is_some_and(|id| id.len() == 64));
        // The node's own network is not in its /run/netns.
        let inside = mounted.values().any(|id| *id == netns);
        (if inside { netns } else { NODE }, member.uid)
    });
    living.collect()
}

/// Returns names from the pods' processes and the directories in `/var/log/pods`.
fn by_kubelet(node: &str, living: &[Living]) -> (Names, Vec<PodFact>) {
    let root = tempfile::tempdir().expect("a directory");
    let listing = text(&format!("{node}/var-log-pods.ls-lR.txt"));
    let directories = listing.lines().filter_map(|line| line.strip_suffix(':'));
    for directory in directories {
        let path = root.path().join(directory.trim_start_matches('/'));
        fs::create_dir_all(path).expect("a directory");
    }
    let (status, pods) = Logs::default().read(NODE, &[root.path().to_owned()], living);
    assert_eq!(status, Status::OK);
    (names(&pods), pods)
}

fn expected(pairs: &[(u64, &str)]) -> Names {
    pairs
        .iter()
        .map(|(inode, name)| (*inode, (*name).to_owned()))
        .collect()
}

/// Checks each source by itself, as seen from the node and from its host.
fn all_agree(node: &str, expected: &Names) {
    let mounted = mounted(node);
    assert_eq!(mounted.len(), expected.len(), "{node}");
    assert_eq!(&by_cache(node, &mounted), expected, "{node}: cni cache");
    assert_eq!(&by_bundles(node, &mounted).0, expected, "{node}: bundles");
    for side in ["node", "host"] {
        let living = processes(node, side, &mounted);
        let named = by_kubelet(node, &living).0;
        assert_eq!(&named, expected, "{node}: kubelet, from the {side}");
    }
}

#[test]
fn cgroupfs_driver() {
    let names = expected(&[
        (4_026_532_908, BUSYBOX),
        (4_026_532_987, NETSHOOT),
        (4_026_533_211, COREDNS),
        (4_026_533_288, CRASH),
    ]);
    all_agree(LIVE, &names);
}

#[test]
fn systemd_driver() {
    let names = expected(&[
        (4_026_532_476, BUSYBOX),
        (4_026_532_557, NETSHOOT),
        (4_026_532_934, COREDNS),
        (4_026_533_064, CRASH),
    ]);
    all_agree(SYSTEMD, &names);
}

#[test]
fn containers_are_named() {
    let mounted = mounted(LIVE);
    let containers = |pods: &[PodFact]| {
        let netshoot = pods
            .iter()
            .find(|pod| pod.label().as_deref() == Some(NETSHOOT));
        netshoot.expect("in the fixture").containers.clone()
    };
    let wanted = ["netshoot", "sidecar"];
    assert_eq!(containers(&by_bundles(LIVE, &mounted).1), wanted);
    let living = processes(LIVE, "host", &mounted);
    assert_eq!(containers(&by_kubelet(LIVE, &living).1), wanted);
}

#[test]
fn host_network_pods_are_recognized() {
    for node in [LIVE, SYSTEMD] {
        let mounted = mounted(node);
        let of_host = |pods: Vec<PodFact>| -> Vec<(Option<String>, Option<NetNsId>)> {
            let pods = pods.into_iter().filter(|pod| pod.host_network);
            let mut named: Vec<_> = pods.map(|pod| (pod.label(), pod.netns)).collect();
            named.sort();
            named.dedup();
            named
        };
        // One of them is static.
        let by_bundles = of_host(by_bundles(node, &mounted).1);
        assert_eq!(by_bundles.len(), 2, "{by_bundles:?}");
        for side in ["node", "host"] {
            let living = processes(node, side, &mounted);
            assert_eq!(of_host(by_kubelet(node, &living).1), by_bundles, "{node}");
        }
    }
}

#[test]
fn orphan_is_known_only_to_the_cache() {
    let mounted = mounted(REPEATED);
    let names = expected(&[
        (4_026_532_908, BUSYBOX),
        (4_026_533_211, COREDNS),
        (4_026_533_494, CRASH),
        (4_026_533_565, CRASH),
    ]);
    assert_eq!(by_cache(REPEATED, &mounted), names);
    // Its record was lost: neither a bundle nor a process exists.
    let mut running = names;
    running.remove(&4_026_533_494);
    assert_eq!(by_bundles(REPEATED, &mounted).0, running);
    let living = processes(REPEATED, "host", &mounted);
    assert_eq!(by_kubelet(REPEATED, &living).0, running);
}

#[test]
fn recreated_pod_is_at_its_new_namespace() {
    let mounted = mounted(REPEATED);
    let (running, pods) = by_bundles(REPEATED, &mounted);
    let at = |names: &Names| -> Vec<u64> {
        let crash = names.iter().filter(|(_, name)| *name == CRASH);
        crash.map(|(inode, _)| *inode).collect()
    };
    assert_eq!(at(&running), [4_026_533_565]);
    assert_eq!(at(&by_cache(REPEATED, &mounted)).len(), 2);
    // One log directory, one UID: only the process determines the namespace.
    let uids = pods
        .iter()
        .filter(|pod| pod.label().as_deref() == Some(CRASH));
    assert_eq!(uids.count(), 1);
}

#[test]
fn after_a_power_cut_nothing_is_named() {
    // What remained: the cache and the log directories. /run was empty, without processes.
    let nothing = HashMap::new();
    assert!(by_cache(REPEATED, &nothing).is_empty());
    assert!(by_bundles(REPEATED, &nothing).0.is_empty());
    let root = tempfile::tempdir().expect("a directory");
    let stale =
        "var/log/pods/networking101_crash-5d4f8b7c9d-zz7qk_e4a9b1d0-5c2f-4b1e-9c3a-6f7d8e9a0b1c";
    fs::create_dir_all(root.path().join(stale)).expect("a directory");
    let roots = [root.path().to_owned()];
    assert_eq!(
        Logs::default().read(NODE, &roots, &[]),
        (Status::Absent, vec![])
    );
}

#[test]
fn pod_with_a_slow_plugin_is_not_known_yet() {
    let text = text("4-slow-and-failing-plugin.txt");
    let moment = text
        .split("-- ")
        .find(|part| part.starts_with("1 s after RunPodSandbox"))
        .expect("in the fixture");
    let there: HashMap<PathBuf, NetNsId> = moment
        .lines()
        .skip(1)
        .filter_map(|line| {
            let (inode, name) = line.split_once(' ')?;
            let path = Path::new("run/netns").join(name);
            Some((path, NetNsId(inode.parse().ok()?)))
        })
        .collect();
    assert_eq!(there.len(), 5);
    let named = by_cache(SYSTEMD, &there);
    assert_eq!(named, by_cache(SYSTEMD, &mounted(SYSTEMD)));
    let unknown = there.values().filter(|id| !named.contains_key(&id.0));
    assert_eq!(unknown.collect::<Vec<_>>(), [&NetNsId(4_026_533_142)]);
}

#[test]
fn uid_is_found_at_any_position() {
    let uid = "5b0c4a5e-7f0c-4c39-9b52-2f1b6a3de0c1";
    let under = uid.replace('-', "_");
    let id = "7055b066bea560501d2f620c9d30c9ee08ee0f1194e4916dea375f2f6565bed6";
    let kind = "3f1c9a5f6f1e4b1d8f6ce7e9c1d1a2b3405c6d7e8f90123456789abcdef01234";
    for path in [
        format!("0::/kubepods/besteffort/pod{uid}/{id}"),
        format!("0::/docker/{kind}/kubelet/kubepods/pod{uid}/{id}"),
        format!(
            "11:cpu,cpuacct:/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{id}.scope"
        ),
        format!("0::/system.slice/kubepods-burstable-pod{under}.slice:cri-containerd:{id}"),
    ] {
        let member = cgroup::member(&path).expect("a pod's process");
        assert_eq!(member.uid, uid, "{path}");
        assert_eq!(member.container.as_deref(), Some(id), "{path}");
    }
    for path in [
        "",
        "0::/",
        "0::/../..",
        "garbage",
        "0::/kubepods/besteffort",
        "0::/user.slice/podman-1.scope",
        "0::/pod5b0c4a5e-7f0c-4c39-9b52/x",
        "0::/podé5b0c4a5e-7f0c-4c39-9b52-2f1b6a3de0c1",
    ] {
        assert_eq!(cgroup::member(path), None, "{path}");
    }
}

#[test]
fn hostile_directories_name_nothing() {
    let root = tempfile::tempdir().expect("a directory");
    let logs = root.path().join("var/log/pods");
    let uid = "5b0c4a5e-7f0c-4c39-9b52-2f1b6a3de0c1";
    for name in [
        "no-underscore".to_owned(),
        format!("a_b_c_{uid}"),
        format!("_b_{uid}"),
        format!("a__{uid}"),
        "a_b_../../etc".replace('/', "|"),
    ] {
        fs::create_dir_all(logs.join(name)).expect("a directory");
    }
    let roots = [root.path().to_owned()];
    let living = [(NetNsId(7), uid.to_owned())];
    assert_eq!(
        Logs::default().read(NODE, &roots, &living),
        (Status::OK, vec![])
    );
    let right = logs.join(format!("a_b_{uid}"));
    std::os::unix::fs::symlink("/etc", &right).expect("a link");
    // The name of a symlink is used, but its target outside the node is not followed.
    let (_, pods) = Logs::default().read(NODE, &roots, &living);
    assert_eq!(pods[0].label().as_deref(), Some("a/b"));
    assert_eq!(pods[0].containers, [""; 0]);
}

#[test]
fn truncated_directories_are_reported() {
    let root = tempfile::tempdir().expect("a directory");
    let results = root.path().join("var/lib/cni/results");
    fs::create_dir_all(&results).expect("a directory");
    for number in 0..10_001 {
        fs::write(results.join(format!("n-{number}-lo")), r#"{"ifName":"lo"}"#).expect("a file");
    }
    let (status, _) = cni::Cache::default().read(&[root.path().to_owned()]);
    let why = "/var/lib/cni/results has more than 10000 entries, the rest is not read";
    assert_eq!(
        status,
        Status::Ok {
            detail: Some(why.into())
        }
    );
    fs::remove_file(results.join("n-0-lo")).expect("a file");
    let (status, _) = cni::Cache::default().read(&[root.path().to_owned()]);
    assert_eq!(status, Status::OK);
}

#[test]
fn unreadable_files_are_reported() {
    let root = tempfile::tempdir().expect("a directory");
    let results = root.path().join("var/lib/cni/results");
    fs::create_dir_all(&results).expect("a directory");
    let status = |closed: &Path| {
        let mode = |mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(closed, mode).expect("its mode");
        };
        mode(0);
        let path = root.path().to_owned();
        let read = std::thread::spawn(move || {
            // With its capabilities, root may access everything.
            netviz::sys::privileges::keep_only(&[]);
            cni::Cache::default().read(&[path.join(".")]).0
        });
        let status = read.join().expect("the reader thread");
        mode(0o755);
        match status {
            Status::Failed { reason: why } => why,
            other => panic!("{other:?}"),
        }
    };
    let why = status(&results);
    let begin = "cannot read /var/lib/cni/results: ";
    assert!(
        why.starts_with(begin) && why.contains("ermission denied"),
        "{why}"
    );
    let why = status(root.path());
    assert!(why.starts_with("permission denied at "), "{why}");
}

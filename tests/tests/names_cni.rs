//! Pod names from libcni's result cache, as written by a running containerd.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::PathBuf,
    thread,
};

use netviz::{
    model::Status,
    names::cni::{Attachment, Cache, living, parse},
    names::report::PodFact,
    sys::netns::NetNsId,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
    unistd::mkfifo,
};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    netviz_tests::builders::fixtures::fixture("containerd").join(name)
}

fn attachments(name: &str) -> Vec<Attachment> {
    let files = fs::read_dir(fixture(name).join("results")).expect("a fixture");
    let files = files.map(|file| fs::read(file.expect("a file").path()).expect("a file"));
    let read = files.filter_map(|data| parse(&data).expect("JSON"));
    read.collect()
}

/// Returns the mounted namespaces: path on the node, inode.
fn mounted(name: &str) -> HashMap<PathBuf, NetNsId> {
    let text = fs::read_to_string(fixture(name).join("netns.stat.node.txt")).expect("a fixture");
    let line = |line: &str| {
        let path = line.split(' ').next()?.strip_prefix('/')?;
        let inode = line.split("ino=").nth(1)?.split(' ').next()?.parse().ok()?;
        Some((PathBuf::from(path), NetNsId(inode)))
    };
    text.lines().filter_map(line).collect()
}

/// Returns namespace and pod of the running pods.
fn named(name: &str) -> BTreeMap<u64, String> {
    let mounted = mounted(name);
    assert!(!mounted.is_empty(), "the fixture has no namespace");
    let pods = living(attachments(name), |path| mounted.get(path).copied());
    let label = |pod: &PodFact| Some((pod.netns?.0, pod.label()?));
    pods.iter().filter_map(label).collect()
}

#[test]
fn every_namespace_of_a_node_is_named() {
    let pod = |inode, label: &str| (inode, label.to_owned());
    let expected = [
        pod(4_026_532_908, "networking101/busybox-c8bbbbb84-fmhwc"),
        pod(4_026_532_987, "networking101/netshoot-7d996d7884-gcxrm"),
        pod(4_026_533_211, "kube-system/coredns-787d4945fb-4xk2l"),
        pod(4_026_533_288, "networking101/crash-5d4f8b7c9d-zz7qk"),
    ];
    assert_eq!(named("live"), BTreeMap::from(expected));
    let mounts = mounted("live-systemd-cgroup2");
    assert_eq!(named("live-systemd-cgroup2").len(), mounts.len());
}

#[test]
fn recreated_pod_has_two_namespaces() {
    let named = named("6-7-orphan-and-same-name-pod");
    let crash = "networking101/crash-5d4f8b7c9d-zz7qk";
    assert_eq!(named.get(&4_026_533_494).map(String::as_str), Some(crash));
    assert_eq!(named.get(&4_026_533_565).map(String::as_str), Some(crash));
    assert_eq!(named.len(), 4);
}

#[test]
fn after_a_power_cut_nothing_is_named() {
    // The cache is on disk, /run/netns is not.
    let left = attachments("live");
    assert_eq!(left.len(), 4);
    assert_eq!(living(left, |_| None), []);
}

#[test]
fn entry_has_addresses_and_uid() {
    let attachments = attachments("live");
    let mut pods = attachments.iter().map(|attachment| &attachment.pod);
    let crash = pods
        .find(|pod| pod.name.as_deref() == Some("crash-5d4f8b7c9d-zz7qk"))
        .expect("in the fixture");
    assert_eq!(
        crash.uid.as_deref(),
        Some("e4a9b1d0-5c2f-4b1e-9c3a-6f7d8e9a0b1c")
    );
    assert_eq!(
        crash.addresses,
        ["10.244.1.10"
            .parse::<std::net::IpAddr>()
            .expect("an address")]
    );
    assert_eq!(crash.mac.as_deref(), Some("32:a7:39:f7:40:21"));
}

#[test]
fn paths_out_of_the_root_are_refused() {
    for path in [
        "/etc/shadow",
        "/run/netns/../../etc/shadow",
        "/run/netns/a/b",
        "/run/netns/",
        "/proc/1/ns/net",
        "run/netns/a",
        "",
    ] {
        let file = serde_json::json!({
            "ifName": "eth0",
            "cniArgs": [["K8S_POD_NAME", "a"]],
            "result": {"interfaces": [{"name": "eth0", "sandbox": path}]},
        });
        let read = parse(file.to_string().as_bytes()).expect("JSON");
        assert_eq!(read, None, "{path:?}");
    }
}

/// A root directory with a cache.
struct Node {
    root: TempDir,
}

impl Node {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("var/lib/cni/results")).expect("a directory");
        fs::create_dir_all(root.path().join("run/netns")).expect("a directory");
        Self { root }
    }

    fn results(&self) -> PathBuf {
        self.root.path().join("var/lib/cni/results")
    }

    fn entry(&self, file: &str, pod: &str, sandbox: &str) {
        let entry = serde_json::json!({
            "ifName": "eth0",
            "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", pod]],
            "result": {"interfaces": [{"name": "eth0", "sandbox": sandbox}]},
        });
        fs::write(self.results().join(file), entry.to_string()).expect("a file");
    }

    fn read(&self, cache: &mut Cache) -> (Status, Vec<Option<String>>) {
        let (status, pods) = cache.read(&[self.root.path().to_owned()]);
        (status, pods.iter().map(PodFact::label).collect())
    }
}

#[test]
fn unreadable_files_are_reported_without_blocking() {
    let node = Node::new();
    let results = node.results();
    fs::write(results.join("half"), r#"{"ifName":"eth0","cniAr"#).expect("a file");
    fs::write(results.join("garbage"), [0xff; 100]).expect("a file");
    mkfifo(&results.join("fifo"), Mode::S_IRWXU).expect("a fifo");
    symlink("/etc/passwd", results.join("link")).expect("a link");
    fs::create_dir(results.join("directory")).expect("a directory");
    let large = fs::File::create(results.join("large")).expect("a file");
    large.set_len(100 * 1024 * 1024).expect("space");
    node.entry("gone", "a", "/run/netns/cni-gone");
    let (status, pods) = node.read(&mut Cache::default());
    assert_eq!(
        status,
        Status::Ok {
            detail: Some("6 unreadable of 7".into())
        }
    );
    assert_eq!(pods, []);
}

#[test]
fn missing_cache_is_no_error() {
    let empty = tempfile::tempdir().expect("a directory");
    let absent = (Status::Absent, vec![]);
    assert_eq!(Cache::default().read(&[empty.path().to_owned()]), absent);
    assert_eq!(Cache::default().read(&["/no/such/root".into()]), absent);
    assert_eq!(Cache::default().read(&[]), absent);
}

#[test]
fn mounted_namespace_is_named_while_it_exists() {
    // Mounted on a thread with private mounts.
    let test = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("needs root");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("needs root");
        let node = Node::new();
        let file = node.root.path().join("run/netns/cni-a");
        node.entry("a", "hostile\u{1b}[31m", "/var/run/netns/cni-a");
        let mut cache = Cache::default();
        // While a namespace is being created, its path is an ordinary file.
        fs::write(&file, "").expect("a file");
        assert_eq!(node.read(&mut cache).1, []);
        let own = "/proc/thread-self/ns/net";
        mount(Some(own), &file, none, MsFlags::MS_BIND, none).expect("needs root");
        let (status, pods) = cache.read(&[node.root.path().to_owned()]);
        assert_eq!(status, Status::OK);
        let inode = fs::metadata(own).expect("a namespace").ino();
        assert_eq!(pods[0].netns, Some(NetNsId(inode)));
        assert_eq!(pods[0].name.as_deref(), Some("hostile\u{1b}[31m"));
        // Rewritten in place, as libcni does: netviz must read the new name.
        node.entry("a", "renamed-pod", "/run/netns/cni-a");
        assert_eq!(
            node.read(&mut cache).1,
            [Some("default/renamed-pod".into())]
        );
        nix::mount::umount(&file).expect("mounted");
        assert_eq!(node.read(&mut cache).1, []);
        fs::remove_file(node.results().join("a")).expect("a file");
        assert_eq!(node.read(&mut cache), (Status::OK, vec![]));
    };
    thread::spawn(test).join().expect("the test");
}

//! Names from Cilium's maps: real maps with the bytes of a running Cilium's, pinned on a private
//! bpffs.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key};
use caps::Capability;
use netviz::{
    model::Status,
    names::report::{Lookup, PodFact, Report},
    names::{cilium::answers::Answers, maps},
    sys::{netns::NetNsId, privileges},
};
use netviz_tests::{builders::fixtures, cli::wait::notify_limit};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::Value;
use tempfile::TempDir;

const NODE: NetNsId = NetNsId(1);
const NO_PREALLOC: u32 = 1;

type Endpoints = HashMap<MapData, [u8; 20], [u8; 48]>;
type Addresses<const V: usize> = LpmTrie<MapData, [u8; 20], [u8; V]>;

fn fixture(path: &str) -> Value {
    serde_json::from_slice(&fs::read(fixtures::fixture(path)).expect("a fixture")).expect("JSON")
}

/// Parses keys and values of a map as printed by bpftool.
fn dump<const K: usize, const V: usize>(path: &str) -> Vec<([u8; K], [u8; V])> {
    fn bytes<const N: usize>(list: &Value) -> [u8; N] {
        let list = list.as_array().expect("a list").iter().map(|byte| {
            let text = byte.as_str().expect("a byte").trim_start_matches("0x");
            u8::from_str_radix(text, 16).expect("a byte")
        });
        let bytes: Vec<u8> = list.collect();
        bytes.try_into().expect("the size of the map")
    }
    let entries = fixture(path);
    let entries = entries.as_array().expect("entries").iter();
    entries
        .map(|entry| (bytes(&entry["key"]), bytes(&entry["value"])))
        .collect()
}

/// A node with privately pinned maps.
struct Node {
    root: TempDir,
}

impl Node {
    /// Runs `work` with a bpffs, on a thread with private mounts.
    fn with<T: Send>(work: impl FnOnce(&Self) -> T + Send) -> T {
        thread::scope(|scope| {
            let work = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS).expect("needs root");
                let none: Option<&str> = None;
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(none, "/", none, private, none).expect("needs root");
                let root = tempfile::tempdir().expect("a directory");
                let bpffs = root.path().join("sys/fs/bpf");
                fs::create_dir_all(&bpffs).expect("a directory");
                mount(none, &bpffs, Some("bpf"), MsFlags::empty(), none).expect("a bpffs");
                let node = Self { root };
                fs::create_dir_all(node.pin("")).expect("a directory");
                work(&node)
            });
            work.join().expect("the test")
        })
    }

    fn pin(&self, name: &str) -> PathBuf {
        self.root.path().join("sys/fs/bpf/tc/globals").join(name)
    }

    fn report(&self, addresses: &[IpAddr]) -> Report {
        maps::report(NODE, &[self.root.path().to_owned()], addresses)
    }

    fn endpoints(&self, entries: &[([u8; 20], [u8; 48])]) {
        let mut map = Endpoints::create(65_535, 0).expect("a map");
        for (key, value) in entries {
            map.insert(key, value, 0).expect("an entry");
        }
        map.pin(self.pin("cilium_lxc")).expect("a pin");
    }

    fn addresses<const V: usize>(&self, name: &str, entries: &[([u8; 24], [u8; V])]) {
        let mut map = Addresses::<V>::create(512_000, NO_PREALLOC).expect("a map");
        for (key, value) in entries {
            let (bits, data) = key.split_at(4);
            let bits = u32::from_ne_bytes(bits.try_into().expect("four bytes"));
            let key = Key::new(bits, data.try_into().expect("twenty bytes"));
            map.insert(&key, value, 0).expect("an entry");
        }
        map.pin(self.pin(name)).expect("a pin");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn lookup(address: &str, identity: u32, tunnel: Option<&str>) -> Lookup {
    Lookup {
        address: ip(address),
        identity,
        tunnel: tunnel.map(ip),
    }
}

fn sorted(mut facts: Vec<PodFact>) -> Vec<PodFact> {
    // Neither has an address of the node's own endpoint.
    facts.retain(|fact| !fact.addresses.is_empty());
    facts.sort_by_key(|fact| fact.endpoint);
    facts
}

#[test]
fn maps_and_agent_agree() {
    for mode in [
        "vxlan",
        "vxlan-host-routing-ipv6",
        "1.18-vxlan",
        "1.14-vxlan",
    ] {
        let entries = dump(&format!("cilium_maps/{mode}/map-cilium_lxc.dump.json"));
        let report = Node::with(|node| {
            node.endpoints(&entries);
            node.report(&[])
        });
        assert_eq!(report.status, Status::OK);
        let answers = Answers {
            endpoints: serde_json::from_value(fixture(&format!(
                "cilium_agent/{mode}/api-endpoint.json"
            )))
            .expect("endpoints"),
            ..Answers::default()
        };
        // Only the agent knows names and labels; 1.14 has no identity in the map.
        let known = mode != "1.14-vxlan";
        let expected = sorted(answers.pods()).into_iter().map(|fact| {
            let mut addresses = fact.addresses;
            addresses.sort();
            PodFact {
                addresses,
                ifindex: fact.ifindex,
                endpoint: fact.endpoint,
                identity: fact.identity.filter(|_| known),
                mac: fact.mac,
                ..PodFact::default()
            }
        });
        let expected: Vec<_> = expected.collect();
        assert_eq!(sorted(report.pods), expected, "{mode}");
        assert!(
            expected.len() >= 3,
            "{mode}: two pods and a health endpoint"
        );
    }
}

#[test]
fn addresses_are_looked_up_as_the_datapath_does() {
    let asked = [
        "10.10.1.30",
        "10.10.2.100",
        "10.10.2.9",
        "172.18.0.4",
        "8.8.8.8",
    ]
    .map(ip);
    // A pod of the other node, an unassigned address of its range, the world.
    let expected = vec![
        lookup("10.10.1.30", 2847, None),
        lookup("10.10.2.100", 10_429, Some("172.18.0.4")),
        lookup("10.10.2.9", 2, Some("172.18.0.4")),
        lookup("172.18.0.4", 6, None),
        lookup("8.8.8.8", 2, None),
    ];
    let new = dump::<24, 24>("cilium_maps/vxlan/map-cilium_ipcache_v2.dump.json");
    let report = Node::with(|node| {
        node.addresses("cilium_ipcache_v2", &new);
        node.report(&asked)
    });
    assert_eq!((report.status, report.lookups), (Status::OK, expected));
    let old = dump::<24, 12>("cilium_maps/1.14-vxlan/map-cilium_ipcache.dump.json");
    let asked = ["10.10.1.70", "10.10.2.48"].map(ip);
    let report = Node::with(|node| {
        node.addresses("cilium_ipcache", &old);
        node.report(&asked)
    });
    let expected = vec![
        lookup("10.10.1.70", 0x615c, None),
        lookup("10.10.2.48", 0xabf0, Some("172.18.0.4")),
    ];
    assert_eq!((report.status, report.lookups), (Status::OK, expected));
    let six = dump::<24, 24>("cilium_maps/vxlan-host-routing-ipv6/map-cilium_ipcache_v2.dump.json");
    let asked = ["fd00:10:10:1::8852", "fd00:10:10:2::fb78"].map(ip);
    let report = Node::with(|node| {
        node.addresses("cilium_ipcache_v2", &six);
        node.report(&asked)
    });
    let identities: Vec<_> = report.lookups.iter().map(|it| it.identity).collect();
    assert_eq!(identities, [0x22aa, 0xadb8]);
}

#[test]
fn maps_of_another_layout_are_ignored() {
    let status = |pin: fn(&Node) -> Result<(), MapError>| {
        Node::with(|node| {
            pin(node).expect("a map");
            node.report(&[ip("10.0.0.1")]).status
        })
    };
    let failed = |why: &str| Status::Failed { reason: why.into() };
    let larger = status(|node| {
        let map = HashMap::<MapData, [u8; 20], [u8; 56]>::create(8, 0)?;
        map.pin(node.pin("cilium_lxc")).expect("a pin");
        Ok(())
    });
    let why = "cilium_lxc was not read: unknown layout (keys of 20 bytes, values of 56 bytes)";
    assert_eq!(larger, failed(why));
    let shorter = status(|node| {
        let map = LpmTrie::<MapData, [u8; 16], [u8; 24]>::create(8, NO_PREALLOC)?;
        map.pin(node.pin("cilium_ipcache_v2")).expect("a pin");
        Ok(())
    });
    let why =
        "cilium_ipcache_v2 was not read: unknown layout (keys of 20 bytes, values of 24 bytes)";
    assert_eq!(shorter, failed(why));
    // The right sizes, but not a hash.
    let kind = status(|node| {
        let map = Array::<MapData, [u8; 48]>::create(8, 0)?;
        map.pin(node.pin("cilium_lxc")).expect("a pin");
        Ok(())
    });
    assert!(
        matches!(kind, Status::Failed { reason: why } if why.starts_with("cilium_lxc was not read"))
    );
    let half = Node::with(|node| {
        node.endpoints(&dump("cilium_maps/vxlan/map-cilium_lxc.dump.json"));
        let map = Addresses::<40>::create(8, NO_PREALLOC).expect("a map");
        map.pin(node.pin("cilium_ipcache_v2")).expect("a pin");
        node.report(&[ip("10.0.0.1")])
    });
    let why =
        "cilium_ipcache_v2 was not read: unknown layout (keys of 24 bytes, values of 40 bytes)";
    assert_eq!(
        half.status,
        Status::Ok {
            detail: Some(why.into())
        }
    );
    assert_eq!(half.pods.len(), 3);
}

#[test]
fn missing_map_is_no_error_and_other_file_is_reported() {
    let empty = tempfile::tempdir().expect("a directory");
    let nowhere = |root: &Path| maps::report(NODE, &[root.to_owned()], &[]).status;
    assert_eq!(nowhere(empty.path()), Status::Absent);
    assert_eq!(nowhere("/no/such/root".as_ref()), Status::Absent);
    let none = Node::with(|node| node.report(&[]).status);
    assert_eq!(none, Status::Absent);
    let directory = empty.path().join("sys/fs/bpf/tc/globals");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("cilium_lxc"), [0; 68]).expect("a file");
    let Status::Failed { reason: why } = nowhere(empty.path()) else {
        panic!("an ordinary file is no map");
    };
    let begin = "cannot open /sys/fs/bpf/tc/globals/cilium_lxc: ";
    assert!(why.starts_with(begin) && !why.contains('\n'), "{why}");
}

#[test]
fn maps_of_another_mount_namespace_are_opened_read_only() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        Node::with(move |node| {
            node.endpoints(&dump("cilium_maps/vxlan/map-cilium_lxc.dump.json"));
            // Writing would need a privilege that the reader drops.
            let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
            fs::set_permissions(node.pin("cilium_lxc"), read_only).expect("its mode");
            let root = node.root.path().strip_prefix("/").expect("a path");
            let root = Path::new(&format!("/proc/{}/root", nix::unistd::gettid())).join(root);
            sender.send(root).expect("the reader");
            // It ends after the reader.
            let _ = ended.recv();
        });
    });
    let root: PathBuf = receiver.recv().expect("a node");
    let reader = thread::spawn(move || {
        privileges::keep_only(&[Capability::CAP_BPF, Capability::CAP_SYS_PTRACE]);
        let written = fs::OpenOptions::new()
            .write(true)
            .open(root.join("sys/fs/bpf/tc/globals/cilium_lxc"));
        assert!(written.is_err());
        maps::report(NODE, &[root], &[])
    });
    let report = reader.join().expect("the reader");
    drop(end);
    holder.join().expect("the holder");
    assert_eq!(report.status, Status::OK);
    assert_eq!(report.pods.len(), 3);
}

#[test]
fn ten_thousand_endpoints_are_fast() {
    let entry = |number: u32| {
        let (mut key, mut value) = ([0; 20], [0; 48]);
        key[..4].copy_from_slice(&Ipv4Addr::from_bits(0x0a00_0000 + number).octets());
        key[16] = 1;
        value[..4].copy_from_slice(&(number + 10).to_ne_bytes());
        let id = u16::try_from(number).expect("an id");
        value[6..8].copy_from_slice(&id.to_ne_bytes());
        value[32..36].copy_from_slice(&(number + 256).to_ne_bytes());
        (key, value)
    };
    let entries: Vec<_> = (1..=10_000).map(entry).collect();
    let (report, took) = Node::with(|node| {
        node.endpoints(&entries);
        let begun = Instant::now();
        (node.report(&[]), begun.elapsed())
    });
    println!("10 000 endpoints were read in {took:?}");
    assert!(took < notify_limit(), "{took:?}");
    match report.status {
        Status::OK => assert_eq!(report.pods.len(), 10_000),
        // On a machine this slow, the status reports what was left out.
        Status::Ok { detail: Some(why) } => {
            let first = format!("cilium_lxc: its first {} entries", report.pods.len());
            assert_eq!(why, first);
        }
        other => panic!("{other:?}"),
    }
}

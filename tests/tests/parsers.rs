//! Fuzz tests of all parsers of foreign data: files of a node, responses of agents and APIs,
//! netlink, maps. A parser may refuse mutated input, but must never panic or take long.
//!
//! With `NETVIZ_FUZZ_SECONDS=600`, each runs for ten minutes, as in `cargo xtask test --all`; a
//! failure prints the `NETVIZ_FUZZ_SEED` to reproduce it.

use std::{fs, path::Path, time::Duration};

use netviz::{
    model::{Direction, DoorId},
    names::{cilium::answers, cni, containerd, kubelet::cgroup, maps::layout},
    sys::{netns::NetNsId, objects},
    verify::{
        collect::{
            crossings::{HookRecord, Window},
            following::{Known, follow},
            reading::Reader,
        },
        plan,
    },
    views::query::{self, Key},
};
use netviz_ebpf::{
    crossing::{IS_EGRESS, MAGIC, MARKED_PACKET_SIZE, MarkedPacket, Marker},
    follow::{ASKS, IS_REPLY, IS_STREAM, PAIR_PACKET_SIZE, PairPacket},
};
use netviz_tests::{
    bpf::{
        attached_program::{self, AttachPoint},
        test_objects,
    },
    builders::{fixtures::fixture, fuzz::feed, parsers},
    netns::{self, TestNetns},
};
use serde_json::{Value, json};

/// Returns all files below a directory of fixtures whose name ends with `end`.
fn fixtures(directory: &str, end: &str) -> Vec<Vec<u8>> {
    fn collect(directory: &Path, end: &str, found: &mut Vec<Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, end, found);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(fs::read(path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    collect(&fixture(directory), end, &mut found);
    // The order of a directory is random.
    found.sort();
    found
}

#[test]
fn cni_cache() {
    feed("the CNI cache", &fixtures("containerd", "-eth0"), |data| {
        let _ = cni::parse(data);
    });
}

#[test]
fn filters() {
    let seeds = [
        "pod:shop/web-* and not (port:8000-8999 or proto:udp)",
        "ip:fd00::1 or cidr:10.0.0.0/8 node:worker",
        "dev:lxc* state:losing ns:[a-z]* 10.0.0.1 fd00::/64",
    ];
    feed("filters", &seeds.map(|it| it.as_bytes().to_vec()), |data| {
        let text = String::from_utf8_lossy(data);
        for keys in [Key::OF_FLOWS, Key::OF_DOORS] {
            if let Err(error) = query::parse(&text, &keys) {
                assert_eq!(error.to_string().lines().count(), 3, "{error}");
            }
        }
    });
}

#[test]
fn container_bundles() {
    let bundle = |network: &str| {
        format!(
            r#"{{"annotations":{{"io.kubernetes.cri.sandbox-id":"1f","io.kubernetes.cri.sandbox-name":"a",
            "io.kubernetes.cri.sandbox-namespace":"b","io.kubernetes.cri.sandbox-uid":"c"}},
            "linux":{{"namespaces":[{{"type":"pid"}},{{"type":"network"{network}}}]}}}}"#
        )
    };
    let paths = [
        "",
        r#","path":"/var/run/netns/cni-1""#,
        r#","path":"/proc/7/ns/net""#,
    ];
    let seeds = paths.map(|path| bundle(path).into_bytes());
    assert!(
        seeds
            .iter()
            .all(|seed| containerd::parse(seed).unwrap().is_some())
    );
    feed("containerd's bundles", &seeds, |data| {
        let _ = containerd::parse(data);
    });
}

#[test]
fn agent_responses() {
    let seeds = fixtures("cilium_agent", ".json");
    feed("the agent's answers", &seeds, |data| {
        let answers = answers::Answers {
            endpoints: serde_json::from_slice(data).unwrap_or_default(),
            health: serde_json::from_slice(data).unwrap_or_default(),
            config: serde_json::from_slice(data).unwrap_or_default(),
            nodes: serde_json::from_slice(data).unwrap_or_default(),
            services: serde_json::from_slice(data).ok(),
        };
        let _ = (
            answers.agent(),
            answers.pods(),
            answers.nodes(),
            answers.services(),
            answers.datapath(),
        );
    });
}

/// Kinds of rtnetlink dump requests.
const LINKS: u16 = libc::RTM_GETLINK;
const ADDRESSES: u16 = libc::RTM_GETADDR;
const QDISCS: u16 = libc::RTM_GETQDISC;
const FILTERS: u16 = libc::RTM_GETTFILTER;
const NAMESPACES: u16 = libc::RTM_GETNSID;

/// Returns the kernel's dumps of this machine's links, addresses and qdiscs.
fn dumps() -> Vec<Vec<u8>> {
    let each = [LINKS, ADDRESSES, QDISCS].map(|kind| dump(kind, [0; 20]));
    each.concat()
}

/// Returns the datagrams of one dump.
fn dump(kind: u16, body: [u8; 20]) -> Vec<Vec<u8>> {
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
    const REQUEST_DUMP: u16 = 0x301;
    let socket = nix::sys::socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .unwrap();
    let mut request = 36_u32.to_ne_bytes().to_vec();
    request.extend([kind, REQUEST_DUMP].iter().flat_map(|it| it.to_ne_bytes()));
    request.extend(parsers::SEQUENCE.to_ne_bytes());
    request.extend([0; 4]);
    request.extend(body);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    nix::sys::socket::send(fd, &request, MsgFlags::empty()).unwrap();
    let mut all = Vec::new();
    loop {
        let mut buffer = vec![0; 64 << 10];
        let length = nix::sys::socket::recv(fd, &mut buffer, MsgFlags::empty()).unwrap();
        buffer.truncate(length);
        let done = is_last(&buffer);
        all.push(buffer);
        if done {
            return all;
        }
    }
}

#[test]
fn netlink_answers() {
    let seeds = dumps();
    assert!(
        seeds.iter().any(|seed| parsers::netlink_answer(seed) > 0),
        "nothing is read of the kernel's own answers"
    );
    feed("netlink's answers", &seeds, |data| {
        parsers::netlink_answer(data);
    });
}

#[test]
fn netlink_notifications() {
    feed("netlink's notifications", &dumps(), |data| {
        parsers::netlink_notifications(data);
    });
}

/// Returns true if a datagram contains the end of a dump, or an error.
fn is_last(mut datagram: &[u8]) -> bool {
    while let Some((length, rest)) = datagram.split_first_chunk() {
        if let [3 | 2, 0, ..] = rest {
            return true;
        }
        let length = u32::from_ne_bytes(*length).next_multiple_of(4) as usize;
        datagram = datagram.get(length.max(4)..).unwrap_or_default();
    }
    false
}

/// Links with their addresses and peers, in a namespace with IDs for others.
#[test]
fn interfaces() {
    let (near, far) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    netns::join(&near, &far, 1).unwrap();
    // Both in one datagram.
    let both = near.run(|| {
        [LINKS, ADDRESSES]
            .map(|kind| dump(kind, [0; 20]).swap_remove(0))
            .concat()
    });
    assert!(parsers::interfaces(&both) >= 2, "lo, and one end");
    let seeds = near.run(|| [vec![both.clone()], dump(LINKS, [0; 20]), dumps()].concat());
    feed("interfaces", &seeds, |data| {
        parsers::interfaces(data);
    });
}

/// Ids of namespaces.
#[test]
fn namespace_ids() {
    let (near, far) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    netns::join(&near, &far, 1).unwrap();
    let seeds = near.run(|| dump(NAMESPACES, [0; 20]));
    assert!(
        seeds
            .iter()
            .any(|seed| parsers::namespace_id(seed) == Some(0)),
        "nothing is read of the kernel's own answers"
    );
    feed("ids of namespaces", &seeds, |data| {
        parsers::namespace_id(data);
    });
}

/// Foreign filters, and one of netviz.
#[test]
fn filters_of_others() {
    let namespace = netns::pairs(1).unwrap();
    let places = [
        (test_objects::FOREIGN, "foreign_next", (2, 7)),
        (objects::LAB, "cil_from_host", (1, 1)),
        (
            objects::COUNT,
            "netviz_ingress",
            (1, u32::from(netviz_ebpf::FILTER_HANDLE) << 16 | 9),
        ),
    ];
    for (object, name, place) in places {
        let spot = AttachPoint {
            namespace: namespace.netns(),
            interface: "veth10",
            direction: Direction::Ingress,
        };
        attached_program::filter(object, name, spot, place).unwrap();
    }
    // At the ingress hook of a device's clsact.
    let mut body = [0; 20];
    body[4..8].copy_from_slice(&10_i32.to_ne_bytes());
    body[12..16].copy_from_slice(&0xffff_fff2_u32.to_ne_bytes());
    let seeds = namespace.run(|| dump(FILTERS, body));
    let read: Vec<_> = seeds.iter().map(|seed| parsers::filters(seed)).collect();
    assert!(read.contains(&(3, 1)), "three, one of netviz: {read:?}");
    feed("filters", &seeds, |data| {
        parsers::filters(data);
    });
}

/// Entries of Cilium's maps: an endpoint with IPv4, one with IPv6, the node.
#[test]
fn cilium_maps() {
    const KEY: usize = layout::ENDPOINT.0;
    const VALUE: usize = layout::ENDPOINT.1;
    let entry = |family: u8, flags: u8| {
        let mut bytes = vec![0x11; KEY + VALUE];
        bytes[16] = family;
        bytes[KEY + 8..KEY + 12].copy_from_slice(&[flags, 0, 0, 0]);
        bytes
    };
    let entries = |bytes: &[u8]| -> Vec<_> {
        let all = bytes.chunks_exact(KEY + VALUE);
        all.map(|one| {
            (
                *one.first_chunk::<KEY>().unwrap(),
                *one.last_chunk::<VALUE>().unwrap(),
            )
        })
        .collect()
    };
    let seeds = vec![[entry(1, 0), entry(2, 0), entry(1, 1)].concat()];
    assert_eq!(
        layout::endpoints(&entries(&seeds[0])).len(),
        1,
        "one endpoint, two addresses"
    );
    feed("Cilium's maps", &seeds, |data| {
        for endpoint in layout::endpoints(&entries(data)) {
            for address in endpoint.addresses {
                let _ = layout::key(address);
                let _ = data
                    .last_chunk::<24>()
                    .map(|value| layout::lookup(address, value));
                let _ = data
                    .last_chunk::<12>()
                    .map(|value| layout::lookup(address, value));
            }
        }
    });
}

/// Cilium's drop counters: entries with a value for each of two CPUs.
#[test]
fn cilium_metrics() {
    let entry = |reason: u8, direction: u8, packets: [u64; 2]| {
        let mut entry = vec![reason, direction, 7, 0, 1, 0, 0, 0];
        for packets in packets {
            entry.extend(
                [packets, packets * 98]
                    .iter()
                    .flat_map(|it| it.to_ne_bytes()),
            );
        }
        entry
    };
    let reading = |more: u64| {
        [
            entry(0, 1, [1000, 1000]),
            entry(133, 1, [4 + more, 3]),
            entry(133, 2, [0, more]),
            entry(250, 3, [more, more]),
        ]
        .concat()
    };
    let seeds = vec![[reading(0), reading(5)].concat()];
    assert_eq!(
        parsers::cilium_drops(&seeds[0]),
        [
            "its reason 250: 10 packets",
            "policy denied, ingress: 5 packets",
            "policy denied, egress: 5 packets"
        ]
    );
    // Counters that overflow, on each CPU and in each reading.
    let endless = [
        entry(133, 1, [u64::MAX / 98; 2]),
        entry(133, 1, [u64::MAX / 98; 2]),
    ]
    .concat();
    let most = endless.iter().map(|_| 0xff).collect();
    feed(
        "Cilium's counts",
        &[seeds, vec![endless, most]].concat(),
        |data| {
            let _ = parsers::cilium_drops(data);
        },
    );
}

/// The cgroup of a process in /proc, whose name is chosen by its creator.
#[test]
fn cgroups_of_processes() {
    let (uid, id) = ("0f9c1c9a-3a52-4a4b-9a39-1f6f4f2e8c11", "7f".repeat(32));
    let under = uid.replace('-', "_");
    let texts = [
        format!("0::/kubepods/besteffort/pod{uid}/{id}"),
        format!("0::/docker/{id}/kubelet/kubepods/pod{uid}/{id}"),
        format!(
            "11:cpu,cpuacct:/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{id}.scope"
        ),
        format!("0::/system.slice/kubepods-burstable-pod{under}.slice:cri-containerd:{id}\n"),
    ];
    for text in &texts {
        assert_eq!(cgroup::member(text).unwrap().uid, uid, "{text}");
    }
    let own = fs::read("/proc/self/cgroup").unwrap();
    let seeds: Vec<_> = texts
        .into_iter()
        .map(String::into_bytes)
        .chain([own])
        .collect();
    feed("cgroups", &seeds, |data| {
        let _ = cgroup::member(&String::from_utf8_lossy(data));
    });
}

/// Lists of the Kubernetes API, and a line of a watch for each object.
#[test]
fn kubernetes_objects() {
    let mut seeds = Vec::new();
    for list in fixtures("kubernetes", ".json") {
        let list: Value = serde_json::from_slice(&list).unwrap();
        let items = list["items"].as_array().unwrap();
        seeds.extend(
            items
                .iter()
                .map(|it| json!({"type": "ADDED", "object": it})),
        );
        for kind in ["Node", "Pod"] {
            let some: Vec<_> = items.iter().filter(|it| it["kind"] == kind).collect();
            seeds.push(json!({"kind": format!("{kind}List"), "apiVersion": "v1",
                "metadata": {"resourceVersion": "7", "continue": "x"}, "items": some}));
        }
    }
    let service = json!({"metadata": {"namespace": "a", "name": "web"}, "spec": {
        "clusterIP": "10.96.0.100", "clusterIPs": ["10.96.0.100"], "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP"}]}});
    seeds.push(json!({"type": "MODIFIED", "object": service}));
    let seeds: Vec<_> = seeds.iter().map(|it| it.to_string().into_bytes()).collect();
    for seed in &seeds {
        assert!(
            parsers::kubernetes_objects(seed) > 0,
            "{}",
            String::from_utf8_lossy(seed)
        );
    }
    feed("Kubernetes' objects", &seeds, |data| {
        let _ = parsers::kubernetes_objects(data);
    });
}

/// Returns a client certificate and its key.
fn credentials() -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["worker".into()]).unwrap();
    let name = &mut params.distinguished_name;
    name.push(rcgen::DnType::CommonName, "system:node:worker");
    name.push(rcgen::DnType::OrganizationName, "system:nodes");
    (params.self_signed(&key).unwrap(), key)
}

#[test]
fn kubeconfigs() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = credentials();
    let both = directory.path().join("both.pem");
    fs::write(&both, certificate.pem() + &key.serialize_pem()).unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "very-secret\n").unwrap();
    let (both, token) = (both.display(), token.display());
    let of = |server: &str, user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: c\n  cluster:\n    server: {server}\n\
             \x20   certificate-authority: {both}\ncontexts:\n- name: here\n  context: {{cluster: c, user: u}}\n\
             users:\n- name: u\n  user: {user}\n"
        )
        .into_bytes()
    };
    let seeds = vec![
        of("https://172.18.0.2:6443", "{token: very-secret}"),
        of(
            "https://[fd00::2]:6443",
            &format!("{{client-certificate: {both}, client-key: {both}}}"),
        ),
        of("https://worker", &format!("{{tokenFile: {token}}}")),
    ];
    let file = directory.path().join("config");
    let read = |data: &[u8]| {
        fs::write(&file, data).unwrap();
        parsers::kubeconfig(&file)
    };
    for seed in &seeds {
        assert!(read(seed), "{}", String::from_utf8_lossy(seed));
    }
    // kube panics on a token that is no valid HTTP header.
    assert!(!read(&of("https://worker", r#"{token: "a\u0001b"}"#)));
    feed("kubeconfigs", &seeds, |data| {
        read(data);
    });
}

#[test]
fn certificates() {
    let (certificate, _) = credentials();
    let seeds = vec![certificate.der().to_vec(), certificate.pem().into_bytes()];
    assert!(seeds.iter().all(|seed| parsers::certificate(seed)));
    feed("certificates", &seeds, |data| {
        let _ = parsers::certificate(data);
    });
}

fn marker() -> Vec<u8> {
    let marker = Marker {
        magic: MAGIC,
        cookie: parsers::COOKIE,
        flow: 1_u32.to_be_bytes(),
        sequence: 3_u32.to_be_bytes(),
    };
    marker.bytes().to_vec()
}

/// Events of marked packets: a structure with the packet's beginning.
#[test]
fn marked_packet_events() {
    let seeds: Vec<_> = netviz_tests::bpf::frames::all()
        .iter()
        .map(|frame| {
            let mut bytes = vec![0; MARKED_PACKET_SIZE];
            let head = &mut bytes[MARKED_PACKET_SIZE - netviz_ebpf::crossing::HEAD_SIZE..];
            let length = frame.bytes.len().min(head.len());
            head[..length].copy_from_slice(&frame.bytes[..length]);
            // After the time: flow, sequence, flags, and five more numbers up to the head's length.
            bytes[8] = 1;
            bytes[12] = 3;
            bytes[36..40].copy_from_slice(&(length as u32).to_ne_bytes());
            bytes
        })
        .collect();
    let door = DoorId::new(NetNsId(1), 2);
    let readers = parsers::PROTOCOLS.map(|protocol| {
        let mut reader = Reader::new(parsers::probes(protocol));
        let address = [10, 0, 0, 1].into();
        let own = netviz::verify::collect::reading::Own {
            address,
            node: vec![[172, 18, 0, 2].into()],
            ports: vec![0x6e6e],
            to_port: 0x6e6e,
        };
        reader.opened(1, own);
        reader
    });
    let read = |data: &[u8]| {
        let seen = MarkedPacket::read(data);
        let record = seen.map(|seen| HookRecord { door, seen });
        let all = record
            .iter()
            .flat_map(|it| readers.iter().map(|reader| reader.read(it)));
        all.flatten().count()
    };
    assert!(
        seeds.iter().any(|seed| read(seed) > 0),
        "nothing is read of a record"
    );
    feed("records", &seeds, |data| {
        read(data);
    });
}

/// Events of followed packets: a segment of a stream and its echo, an echo request and its reply,
/// at three doors each.
#[test]
fn followed_packet_events() {
    let record = |at: u64, identity: u64, flags: u32, length: u32| {
        let mut bytes = [at, identity].map(u64::to_ne_bytes).concat();
        // Flags, tunnel key with its ends, first byte and length, TTL.
        let rest = [flags, 7, 0x0a0a_0001, 0, 2048 * 9 + 100, length, 64, 0];
        bytes.extend(rest.iter().flat_map(|it| it.to_ne_bytes()));
        bytes
    };
    let way = |flags: u32, length: u32| {
        let at = |door: u64| if door.is_multiple_of(2) { IS_EGRESS } else { 0 };
        let doors = 0..3;
        doors.flat_map(move |door| record(1_000 + door, 1 << 20, flags | at(door), length))
    };
    let seeds: Vec<Vec<u8>> = [IS_STREAM | ASKS, ASKS]
        .map(|flags| {
            way(flags, 4096)
                .chain(way(flags | IS_REPLY, 1448))
                .collect()
        })
        .into();
    let door = |place: usize| DoorId::new(NetNsId(1), 2 + place as u32 % 3);
    let read = |data: &[u8]| -> usize {
        let records = data.chunks(PAIR_PACKET_SIZE).enumerate();
        let record = |(place, bytes)| {
            PairPacket::read(bytes).map(|seen| HookRecord {
                door: door(place),
                seen,
            })
        };
        let records: Vec<_> = records.filter_map(record).collect();
        let known = |level, hooks: &[(DoorId, Direction)]| Known {
            origins: [hooks.to_vec(), hooks.to_vec()],
            window: Window {
                until: Duration::MAX,
                ..Window::default()
            },
            level,
        };
        let origin = [(door(0), Direction::Egress)];
        let ways = [0, 1, 20].map(|level| [known(level, &[]), known(level, &origin)]);
        let all = ways.iter().flatten();
        all.map(|known| follow(&records, known).crossings.len())
            .sum()
    };
    assert!(
        seeds.iter().all(|seed| read(seed) > 6),
        "nothing is read of a record"
    );
    feed("followed packets", &seeds, |data| {
        read(data);
    });
}

/// Packets that the probes' socket receives.
#[test]
fn probe_replies() {
    let mut seeds = vec![marker(), [vec![0; 8], marker()].concat()];
    for frame in netviz_tests::bpf::frames::all() {
        let datagram = frame.bytes.get(netviz_tests::bpf::frames::SHORTEST..);
        seeds.push([datagram.unwrap_or_default().to_vec(), marker()].concat());
    }
    assert!(
        parsers::probe_answer(&seeds[0]) > 0,
        "nothing is read of an answer"
    );
    feed("answers to probes", &seeds, |data| {
        let _ = parsers::probe_answer(data);
    });
}

/// Path tests.
#[test]
fn path_test_files() {
    let seeds = [
        "tests:\n- {from: a/b, to: c/d, protocol: tcp, port: 80, expect: verified}\n",
        "tests:\n- name: x\n  from: {namespace: a, labels: 'k=v,w', pods: 'b*'}\n  to: 10.0.0.1\n  doors: ['▲ eth0', '▼ lxc*']\n  round_trip: {median: 1ms, worst: 2s}\n",
    ]
    .map(|text| text.as_bytes().to_vec());
    feed("path tests", &seeds, |data| {
        let _ = plan::parse(&String::from_utf8_lossy(data), "paths.yaml");
    });
}

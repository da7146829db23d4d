//! Whatever netviz reads that somebody else has written: files of a node, an agent's answers,
//! netlink. Mangled, it may be refused, but never ends netviz, and never takes long.
//!
//! `NETVIZ_FUZZ_SECONDS=600` feeds each for ten minutes, as `cargo xtask test --all` does; a failure
//! names the `NETVIZ_FUZZ_SEED` that shows it again.

use std::{fs, path::Path};

use netviz::{
    discover::sources::{cilium::answers, cni, maps::layout, runtime},
    fuzz,
    model::{DoorId, NetNsId},
    trace::crossings::Sighting,
    verify::{plan, reading::Reader},
};
use netviz_ebpf::crossing::{MAGIC, Marker, SEEN_SIZE, Seen};
use netviz_tests::mangle::feed;

/// Every file under a directory of fixtures whose name ends so.
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    collect(&root.join(directory), end, &mut found);
    // The order of a directory is chance as well.
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
            .all(|seed| runtime::parse(seed).unwrap().is_some())
    );
    feed("containerd's bundles", &seeds, |data| {
        let _ = runtime::parse(data);
    });
}

#[test]
fn the_agents_answers() {
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

/// What the kernel says of this machine's own links, addresses and qdiscs, byte by byte.
fn dumps() -> Vec<Vec<u8>> {
    const GET: [u16; 3] = [18, 22, 38];
    const REQUEST_DUMP: u16 = 0x301;
    let socket = || -> nix::Result<_> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
        socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
    };
    let socket = socket().unwrap();
    let mut all = Vec::new();
    for kind in GET {
        let mut request = 36_u32.to_ne_bytes().to_vec();
        request.extend([kind, REQUEST_DUMP].iter().flat_map(|it| it.to_ne_bytes()));
        request.extend(fuzz::SEQUENCE.to_ne_bytes());
        request.resize(36, 0);
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        nix::sys::socket::send(fd, &request, nix::sys::socket::MsgFlags::empty()).unwrap();
        loop {
            let mut buffer = vec![0; 64 << 10];
            let length =
                nix::sys::socket::recv(fd, &mut buffer, nix::sys::socket::MsgFlags::empty())
                    .unwrap();
            buffer.truncate(length);
            let done = buffer[4..6] == 3_u16.to_ne_bytes() || buffer[4..6] == 2_u16.to_ne_bytes();
            all.push(buffer);
            if done {
                break;
            }
        }
    }
    all
}

#[test]
fn netlink_answers() {
    let seeds = dumps();
    assert!(
        seeds.iter().any(|seed| fuzz::netlink_answer(seed) > 0),
        "nothing is read of the kernel's own answers"
    );
    feed("netlink's answers", &seeds, |data| {
        fuzz::netlink_answer(data);
    });
}

#[test]
fn netlink_notifications() {
    feed("netlink's notifications", &dumps(), |data| {
        fuzz::netlink_notification(data);
    });
}

/// Cilium's maps, entry by entry: an endpoint with an IPv4 address, one with an IPv6 address, the node.
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

fn marker() -> Vec<u8> {
    let marker = Marker {
        magic: MAGIC,
        cookie: fuzz::COOKIE,
        flow: 1_u32.to_be_bytes(),
        sequence: 3_u32.to_be_bytes(),
    };
    marker.bytes().to_vec()
}

/// What the kernel tells of marked packets: a structure, and the packet's beginning in it.
#[test]
fn sightings_of_marked_packets() {
    let seeds: Vec<_> = netviz_tests::frames::all()
        .iter()
        .map(|frame| {
            let mut bytes = vec![0; SEEN_SIZE];
            let head = &mut bytes[SEEN_SIZE - netviz_ebpf::crossing::HEAD_SIZE..];
            let length = frame.bytes.len().min(head.len());
            head[..length].copy_from_slice(&frame.bytes[..length]);
            // Behind the time: flow, sequence, flags, and five more numbers up to the head's length.
            bytes[8] = 1;
            bytes[12] = 3;
            bytes[36..40].copy_from_slice(&(length as u32).to_ne_bytes());
            bytes
        })
        .collect();
    let door = DoorId::new(NetNsId(1), 2);
    let readers = fuzz::PROTOCOLS.map(|protocol| {
        let mut reader = Reader::new(fuzz::manner(protocol));
        let address = [10, 0, 0, 1].into();
        let own = netviz::verify::reading::Own {
            address,
            node: vec![[172, 18, 0, 2].into()],
            port: 0x6e6e,
            to_port: 0x6e6e,
        };
        reader.opened(1, own);
        reader
    });
    let read = |data: &[u8]| {
        let seen = Seen::read(data);
        let sighting = seen.map(|seen| Sighting { door, seen });
        let all = sighting
            .iter()
            .flat_map(|it| readers.iter().map(|reader| reader.read(it)));
        all.flatten().count()
    };
    assert!(
        seeds.iter().any(|seed| read(seed) > 0),
        "nothing is read of a sighting"
    );
    feed("sightings", &seeds, |data| {
        read(data);
    });
}

/// What comes back to the socket that probes were sent from.
#[test]
fn answers_to_probes() {
    let mut seeds = vec![marker(), [vec![0; 8], marker()].concat()];
    for frame in netviz_tests::frames::all() {
        let datagram = frame.bytes.get(netviz_tests::frames::SHORTEST..);
        seeds.push([datagram.unwrap_or_default().to_vec(), marker()].concat());
    }
    assert!(
        fuzz::probe_answer(&seeds[0]) > 0,
        "nothing is read of an answer"
    );
    feed("answers to probes", &seeds, |data| {
        let _ = fuzz::probe_answer(data);
    });
}

/// Path tests that somebody wrote.
#[test]
fn files_of_path_tests() {
    let seeds = [
        "tests:\n- {from: a/b, to: c/d, protocol: tcp, port: 80, expect: verified}\n",
        "tests:\n- name: x\n  from: {namespace: a, labels: 'k=v,w', pods: 'b*'}\n  to: 10.0.0.1\n  doors: ['▲ eth0', '▼ lxc*']\n  round_trip: {median: 1ms, worst: 2s}\n",
    ]
    .map(|text| text.as_bytes().to_vec());
    feed("path tests", &seeds, |data| {
        let _ = plan::parse(&String::from_utf8_lossy(data), "paths.yaml");
    });
}

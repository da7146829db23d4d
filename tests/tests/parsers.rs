//! Whatever netviz reads that somebody else has written: files of a node, an agent's answers,
//! netlink. Mangled, it may be refused, but never ends netviz, and never takes long.
//!
//! `NETVIZ_FUZZ_SECONDS=600` feeds each for ten minutes, as `cargo xtask test --all` does; a failure
//! names the `NETVIZ_FUZZ_SEED` that shows it again.

use std::{fs, path::Path};

use netviz::{
    discover::sources::{cilium::answers, cni, runtime},
    fuzz,
};
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

//! Invariant 4 for a namespace that cannot be found: its door is blind, with the reason.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use netviz::sys::netlink::NewLink;
use netviz_tests::{cli::binary, netns::TestNetns};

/// netviz waits for doors that are still being attached. For this one it would wait in vain, and
/// `--once` would take a minute.
#[test]
fn unreachable_door_is_blind_at_once() {
    let namespace = TestNetns::new().unwrap();
    // A namespace without a visible process, kept alive only by a descriptor.
    let far = netviz_tests::netns::hidden().unwrap();
    let link = |name, index| NewLink {
        name,
        index,
        mac: [2, 0x74, 1, 0, 0, index as u8],
        arp: false,
    };
    namespace
        .netlink()
        .unwrap()
        .create_veth(&link("veth1", 11), &link("veth1", 12), Some(&far))
        .unwrap();
    let start = Instant::now();
    let output = Command::new(binary::netviz().unwrap())
        .args([
            "doors",
            "--netns",
            &namespace.name(),
            "--once",
            "-o",
            "json",
        ])
        .args(["--watch", "100ms"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(output.status.code(), Some(2));
    let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let doors = snapshot["doors"].as_array().unwrap();
    let door = |index| doors.iter().find(|door| door["ifindex"] == index).unwrap();
    assert_eq!(door(11)["state"], "counting", "{snapshot}");
    assert_eq!(door(12)["state"], "blind");
    let reason = door(12)["reason"]["text"].as_str().unwrap();
    assert!(reason.contains("run netviz on the host"), "{reason}");
    assert!(door(12)["ingress"]["packets"].is_null());
}

//! Packets that arrive.

use netviz::lab::Mode;
use netviz_tests::cli::verify::{VerifyOutput, verify};

use super::site::{Site, arrived, expect};

/// Between pods, on one node and across nodes.
pub(super) fn whole_paths(mode: Mode) {
    let site = Site::up(mode, true);
    let [a, b, c] = site.pods();
    let [from, same, other] = [a, b, c].map(|pod| pod.address.to_string());
    let [from6, other6] = [a, c].map(|pod| pod.address6.to_string());
    whole(&site, &from, &same, &[]);
    whole(&site, &from, &other, &[]);
    whole(&site, &from6, &other6, &[]);
}

pub(super) fn by_protocol(mode: Mode) {
    let site = Site::up(mode, true);
    let [a, _, c] = site.pods();
    let [from, other] = [a, c].map(|pod| pod.address.to_string());
    let [from6, other6] = [a, c].map(|pod| pod.address6.to_string());
    whole(&site, &from, &other, &["--proto", "udp", "--port", "47777"]);
    whole(&site, &from, &other, &["--proto", "tcp", "--port", "47778"]);
    let tcp = ["--proto", "tcp", "--port", "47778"];
    whole(&site, &from6, &other6, &tcp);
    closed_ports(&site);
}

pub(super) fn of_nodes(mode: Mode) {
    let site = Site::up(mode, true);
    let [a, _, c] = site.pods();
    let [from, other] = [a, c].map(|pod| pod.address.to_string());
    let [own, far] = site.nodes();
    let (own_name, far_name) = (format!("node/{}", own.name), format!("node/{}", far.name));
    let far_router = far.router_address.to_string();
    let pairs = [
        (&from, &far_name),
        (&from, &own_name),
        (&own_name, &from),
        (&own_name, &other),
        (&from, &far_router),
    ];
    for (from, to) in pairs {
        whole(&site, from, to, &[]);
    }
    node_to_node(&site, &own_name, &far_name);
}

fn whole(site: &Site, from: &str, to: &str, words: &[&str]) {
    let said = verify(&site.lab, &[&[from, to], words].concat());
    assert_eq!(
        (said.verdict(), arrived(&said)),
        ("verified", (Some(4), Some(4))),
        "{}: {from} to {to} {words:?}: {} {:#}",
        site.mode,
        said.stderr,
        said.json
    );
}

fn node_to_node(site: &Site, own: &str, far: &str) {
    let said = expect(verify(&site.lab, &[own, far]), "verified");
    let crossed = said.crossed("request").into_iter();
    let hosts: Vec<_> = crossed.filter(|hook| !hook.contains("veth-")).collect();
    assert_eq!(hosts, ["▲ eth0", "▼ eth0"]);
}

/// A refusal proves delivery.
fn closed_ports(site: &Site) {
    for protocol in ["udp", "tcp"] {
        expect(
            site.across(&["--proto", protocol, "--port", "9"]),
            "verified",
        );
    }
}

pub(super) fn the_mode_is_inferred_and_can_be_wrong(mode: Mode) {
    let site = Site::up(mode, true);
    let said = site.across(&[]);
    assert_eq!(said.json["mode_source"], "inferred");
    let skipped = said.skipped("request");
    assert_eq!(skipped.len(), usize::from(site.mode.bypasses_stack()));
    assert!(
        skipped
            .iter()
            .all(|door| door.ends_with("bpf_redirect_peer"))
    );
    for other in Mode::ALL {
        // A pod has its own route or not, whatever mode is given.
        let per_endpoint = [Mode::Native, Mode::NativeEndpointRoutes];
        if other != site.mode && per_endpoint.contains(&other) && per_endpoint.contains(&site.mode)
        {
            continue;
        }
        let wanted = if other == site.mode {
            "verified"
        } else {
            "detour"
        };
        let said = expect(site.across(&["--mode", &other.to_string()]), wanted);
        assert_eq!(said.json["mode_source"], "asked");
    }
}

pub(super) fn names(mode: Mode) {
    let site = Site::up(mode, false);
    let [a, ..] = site.pods();
    let own = a.address.to_string();
    let unknown = |from: &str, near: &str| {
        let said: VerifyOutput = verify(&site.lab, &[from, &own]);
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(near), "{}", said.stderr);
    };
    unknown("busybox-c8bbbbb84-fmhwd", "busybox-c8bbbbb84-fmhwc");
    unknown("node/mycluster-worker3", "mycluster-worker2");
    // A pod's packets to itself cross no door.
    let said = expect(verify(&site.lab, &[&own, &own]), "verified");
    assert!(said.crossed("request").is_empty(), "{:#}", said.json);
    assert!(said.json["notes"].to_string().contains("crosses no door"));
    assert_eq!(arrived(&said).1, Some(4));
}

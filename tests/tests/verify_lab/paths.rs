//! Packets that arrive.

use netviz::lab::Mode;
use netviz_tests::cli::verify::{VerifyOutput, verify};

use super::fixture::{LabFixture, arrived, expect};

/// Between pods, on one node and across nodes.
pub(super) fn verified_paths(mode: Mode) {
    let fixture = LabFixture::up(mode, true);
    let [a, b, c] = fixture.pods();
    let [from, same, other] = [a, b, c].map(|pod| pod.address.to_string());
    let [from6, other6] = [a, c].map(|pod| pod.address6.to_string());
    check_path(&fixture, &from, &same, &[]);
    check_path(&fixture, &from, &other, &[]);
    check_path(&fixture, &from6, &other6, &[]);
}

pub(super) fn by_protocol(mode: Mode) {
    let fixture = LabFixture::up(mode, true);
    let [a, _, c] = fixture.pods();
    let [from, other] = [a, c].map(|pod| pod.address.to_string());
    let [from6, other6] = [a, c].map(|pod| pod.address6.to_string());
    check_path(
        &fixture,
        &from,
        &other,
        &["--proto", "udp", "--port", "47777"],
    );
    check_path(
        &fixture,
        &from,
        &other,
        &["--proto", "tcp", "--port", "47778"],
    );
    let tcp = ["--proto", "tcp", "--port", "47778"];
    check_path(&fixture, &from6, &other6, &tcp);
    closed_ports(&fixture);
}

pub(super) fn node_paths(mode: Mode) {
    let fixture = LabFixture::up(mode, true);
    let [a, _, c] = fixture.pods();
    let [from, other] = [a, c].map(|pod| pod.address.to_string());
    let [own, far] = fixture.nodes();
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
        check_path(&fixture, from, to, &[]);
    }
    node_to_node(&fixture, &own_name, &far_name);
}

fn check_path(fixture: &LabFixture, from: &str, to: &str, args: &[&str]) {
    let result = verify(&fixture.lab, &[&[from, to], args].concat());
    assert_eq!(
        (result.verdict(), arrived(&result)),
        ("verified", (Some(4), Some(4))),
        "{}: {from} to {to} {args:?}: {} {:#}",
        fixture.mode,
        result.stderr,
        result.json
    );
}

fn node_to_node(fixture: &LabFixture, own: &str, far: &str) {
    let result = expect(verify(&fixture.lab, &[own, far]), "verified");
    let crossed = result.crossed("request").into_iter();
    let hosts: Vec<_> = crossed.filter(|hook| !hook.contains("veth-")).collect();
    assert_eq!(hosts, ["▲ eth0", "▼ eth0"]);
}

/// A refusal proves delivery.
fn closed_ports(fixture: &LabFixture) {
    for protocol in ["udp", "tcp"] {
        expect(
            fixture.across(&["--proto", protocol, "--port", "9"]),
            "verified",
        );
    }
    // Only TCP and UDP have ports: a port alone means TCP.
    let result = expect(fixture.across(&["--port", "9"]), "verified");
    assert_eq!(result.json["probes"]["protocol"], "tcp");
}

pub(super) fn mode_is_inferred_or_given(mode: Mode) {
    let fixture = LabFixture::up(mode, true);
    let result = fixture.across(&[]);
    assert_eq!(result.json["mode_source"], "inferred");
    let skipped = result.skipped("request");
    assert_eq!(skipped.len(), usize::from(fixture.mode.bypasses_stack()));
    assert!(
        skipped
            .iter()
            .all(|door| door.ends_with("bpf_redirect_peer"))
    );
    for other in Mode::all() {
        // A pod has its own route or not, whatever mode is given.
        let per_endpoint = [Mode::Native, Mode::NativeEndpointRoutes];
        if other != fixture.mode
            && per_endpoint.contains(&other)
            && per_endpoint.contains(&fixture.mode)
        {
            continue;
        }
        let wanted = if other == fixture.mode {
            "verified"
        } else {
            "detour"
        };
        let result = expect(fixture.across(&["--mode", &other.to_string()]), wanted);
        assert_eq!(result.json["mode_source"], "asked");
    }
}

pub(super) fn names(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, ..] = fixture.pods();
    let own = a.address.to_string();
    let unknown = |from: &str, near: &str| {
        let result: VerifyOutput = verify(&fixture.lab, &[from, &own]);
        assert_eq!(result.code, Some(2));
        assert!(result.stderr.contains(near), "{}", result.stderr);
    };
    unknown("busybox-c8bbbbb84-fmhwd", "busybox-c8bbbbb84-fmhwc");
    unknown("node/mycluster-worker3", "mycluster-worker2");
    // A pod's packets to itself cross no door.
    let result = expect(verify(&fixture.lab, &[&own, &own]), "verified");
    assert!(result.crossed("request").is_empty(), "{:#}", result.json);
    assert!(result.json["notes"].to_string().contains("crosses no door"));
    assert_eq!(arrived(&result).1, Some(4));
}

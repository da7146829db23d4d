//! A service, translated at the pod's lxc, and back before the pod.

use netviz::lab::{Mode, Pod, SERVICE, SERVICE_TCP_PORT, UDP_PORT};
use netviz_tests::{
    builders::api_server::ApiServer,
    cli::{
        fault_table::is_emulated,
        verify::{VerifyOutput, verify},
    },
};
use serde_json::json;

use super::fixture::{LabFixture, arrived, expect};

pub(super) fn service_address(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, _, c] = fixture.pods();
    let udp = format!("{SERVICE}:{UDP_PORT}");
    let tcp = format!("{SERVICE}:{SERVICE_TCP_PORT}");
    let by_address = [[udp.as_str(), "--proto", "udp"], [&tcp, "--proto", "tcp"]];
    check_same_doors_as_backend(&fixture, a, &by_address);
    check_same_doors_as_backend(&fixture, c, &by_address);
    // The TLS handshakes of an API server take too long on an emulated processor.
    if is_emulated() {
        return;
    }
    let server = api(mode);
    let config = server
        .write("config", &server.kubeconfig("{token: very-secret}"))
        .unwrap();
    let config = config.to_str().unwrap();
    let address = SERVICE.to_string();
    let named = |name| [name, "--kubeconfig", config];
    let names = ["web/asked", "asked", "svc/asked", &address].map(named);
    check_same_doors_as_backend(&fixture, a, &names);
    unknown(&fixture, a, config);
    from_the_node(&fixture, &udp, config);
}

/// Returns a server that has the service.
fn api(mode: Mode) -> ApiServer {
    let server = ApiServer::start(&format!("verify-{mode}"), 2100).unwrap();
    let port = json!({"port": UDP_PORT, "protocol": "UDP"});
    server.state().put(
        "services",
        json!({
            "metadata": {"namespace": "web", "name": "asked"},
            "spec": {"clusterIP": SERVICE.to_string(), "ports": [port]},
        }),
    );
    server
}

/// Packets cross the same doors as those to the backend itself, in both directions.
fn check_same_doors_as_backend(fixture: &LabFixture, from: &Pod, asked: &[[&str; 3]]) {
    let from = from.address.to_string();
    let backend = fixture.lab.backend().unwrap();
    let straight = verify(&fixture.lab, &[&from, &backend.address.to_string()]);
    for args in asked {
        let result = verify(&fixture.lab, &[&[from.as_str()], &args[..]].concat());
        let result = expect(result, "verified");
        assert_eq!(arrived(&result), (Some(4), Some(4)), "{:#}", result.json);
        let pod = result.json["to"]["pod"].as_str().unwrap_or_default();
        assert!(pod.ends_with(&backend.name), "{:#}", result.json["to"]);
        for way in ["request", "reply"] {
            assert_eq!(result.crossed(way), straight.crossed(way), "{args:?}");
        }
    }
}

fn unknown(fixture: &LabFixture, from: &Pod, config: &str) {
    let from = from.address.to_string();
    let refused = |name: &str, part: &str| {
        let result: VerifyOutput = verify(&fixture.lab, &[&from, name, "--kubeconfig", config]);
        assert_eq!(result.code, Some(2), "{:#}", result.json);
        assert!(result.stderr.contains(part), "{}", result.stderr);
    };
    refused("svc/askes", "near: asked");
    refused("svc/web/askes", "near: web/asked");
    refused("web/asked:9", "47777/UDP");
    refused("web/askes", "no pod \"web/askes\"; near: web/asked");
    for address in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        refused(address, "is never another pod or node");
    }
    for (name, part) in [
        ("svc/asked", "neither"),
        ("asked", "and no source here reports services"),
    ] {
        let result = verify(&fixture.lab, &[&from, name]);
        assert!(result.stderr.contains(part), "{}", result.stderr);
    }
}

/// A node's packets are not translated: kube-proxy replacement would translate in its processes'
/// sockets, and otherwise kube-proxy, which the lab does not have.
fn from_the_node(fixture: &LabFixture, service: &str, config: &str) {
    let [own, _] = fixture.nodes();
    let own = format!("node/{}", own.name);
    let args = [&own, service, "--proto", "udp"];
    let unnamed = verify(&fixture.lab, &args);
    let named = verify(
        &fixture.lab,
        &[&args[..], &["--kubeconfig", config]].concat(),
    );
    if fixture.mode.bypasses_stack() {
        for (result, part) in [
            (unnamed, "10.96.0.100 may be the address of a service"),
            (named, "web/asked is a service"),
        ] {
            let result = expect(result, "unclear");
            let unclear = result.json["unclear"].to_string();
            assert!(unclear.contains(part), "{unclear}");
            assert!(unclear.contains("backend"), "{unclear}");
        }
    } else {
        // The node has no route to the service: nothing is sent, so nothing is tested.
        expect(unnamed, "unclear");
        expect(named, "unclear");
    }
}

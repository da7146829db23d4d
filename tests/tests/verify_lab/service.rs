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

use super::site::{Site, arrived, expect};

pub(super) fn to_a_service(mode: Mode) {
    let site = Site::up(mode, false);
    let [a, _, c] = site.pods();
    let udp = format!("{SERVICE}:{UDP_PORT}");
    let tcp = format!("{SERVICE}:{SERVICE_TCP_PORT}");
    let by_address = [[udp.as_str(), "--proto", "udp"], [&tcp, "--proto", "tcp"]];
    as_the_backend(&site, a, &by_address);
    as_the_backend(&site, c, &by_address);
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
    as_the_backend(&site, a, &names);
    unknown(&site, a, config);
    from_the_node(&site, &udp, config);
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
fn as_the_backend(site: &Site, from: &Pod, asked: &[[&str; 3]]) {
    let from = from.address.to_string();
    let backend = site.lab.backend().unwrap();
    let straight = verify(&site.lab, &[&from, &backend.address.to_string()]);
    for words in asked {
        let said = verify(&site.lab, &[&[from.as_str()], &words[..]].concat());
        let said = expect(said, "verified");
        assert_eq!(arrived(&said), (Some(4), Some(4)), "{:#}", said.json);
        let pod = said.json["to"]["pod"].as_str().unwrap_or_default();
        assert!(pod.ends_with(&backend.name), "{:#}", said.json["to"]);
        for way in ["request", "reply"] {
            assert_eq!(said.crossed(way), straight.crossed(way), "{words:?}");
        }
    }
}

fn unknown(site: &Site, from: &Pod, config: &str) {
    let from = from.address.to_string();
    let refused = |name: &str, words: &str| {
        let said: VerifyOutput = verify(&site.lab, &[&from, name, "--kubeconfig", config]);
        assert_eq!(said.code, Some(2), "{:#}", said.json);
        assert!(said.stderr.contains(words), "{}", said.stderr);
    };
    refused("svc/askes", "near: asked");
    refused("svc/web/askes", "near: web/asked");
    refused("web/asked:9", "47777/UDP");
    refused("web/askes", "no pod \"web/askes\"; near: web/asked");
    for (name, words) in [
        ("svc/asked", "neither"),
        ("asked", "and no source here reports services"),
    ] {
        let said = verify(&site.lab, &[&from, name]);
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
}

/// A node's packets are not translated: kube-proxy replacement would translate in its processes'
/// sockets, and otherwise kube-proxy, which the lab does not have.
fn from_the_node(site: &Site, service: &str, config: &str) {
    let [own, _] = site.nodes();
    let own = format!("node/{}", own.name);
    let words = [&own, service, "--proto", "udp"];
    let unnamed = verify(&site.lab, &words);
    let named = verify(&site.lab, &[&words[..], &["--kubeconfig", config]].concat());
    if site.mode.bypasses_stack() {
        for (said, words) in [
            (unnamed, "10.96.0.100 may be the address of a service"),
            (named, "web/asked is a service"),
        ] {
            let said = expect(said, "unclear");
            let unclear = said.json["unclear"].to_string();
            assert!(unclear.contains(words), "{unclear}");
            assert!(unclear.contains("backend"), "{unclear}");
        }
    } else {
        expect(unnamed, "lost");
        expect(named, "lost");
    }
}

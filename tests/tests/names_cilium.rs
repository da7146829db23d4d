//! Names and routing from the Cilium agent: captured responses, replayed over a unix socket.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use netviz::{
    model::Status,
    names::cilium,
    names::report::Report,
    sys::{netns::NetNsId, privileges},
};
use netviz_tests::builders::fixtures::fixture;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    runtime::{Builder, Runtime},
};

/// The agent's response to a path.
type Answer = Box<dyn Fn(&str) -> (u16, Vec<u8>) + Send + Sync>;

fn captured(directory: &'static str) -> Answer {
    Box::new(move |path| {
        let name = path.trim_start_matches("/v1/").replace('/', "_");
        let file = fixture("cilium_agent")
            .join(directory)
            .join(format!("api-{name}.json"));
        match fs::read(file) {
            Ok(data) => (200, data),
            Err(_) => (404, Vec::new()),
        }
    })
}

fn with(status: u16, body: &'static [u8]) -> Answer {
    Box::new(move |_| (status, body.to_vec()))
}

/// A node's root directory with an agent's socket.
struct Agent {
    root: TempDir,
}

impl Agent {
    fn socket(&self) -> PathBuf {
        self.root.path().join("run/cilium/cilium.sock")
    }

    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("run/cilium")).expect("a directory");
        Self { root }
    }
}

/// Queries an agent with these responses; `None`: one that accepts and never answers.
fn query(answer: Option<Answer>) -> Report {
    runtime().block_on(async {
        let agent = Agent::new();
        let listener = UnixListener::bind(agent.socket()).expect("a socket");
        let serve = async {
            let answer = answer.map(std::sync::Arc::new);
            let mut held = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                match &answer {
                    Some(answer) => {
                        let answer = std::sync::Arc::clone(answer);
                        tokio::spawn(async move { serve(stream, &answer).await });
                    }
                    None => held.push(stream),
                }
            }
        };
        tokio::select! {
            report = report(&agent) => report,
            () = serve => unreachable!("the server runs"),
        }
    })
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

async fn report(agent: &Agent) -> Report {
    cilium::report(NetNsId(1), &[agent.root.path().to_owned()], true).await
}

async fn serve(mut stream: UnixStream, answer: &Answer) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (status, body) = answer(path);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // The client may have disconnected.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
}

fn labels(report: &Report) -> BTreeMap<String, Option<String>> {
    let pods = report.pods.iter();
    pods.filter_map(|pod| Some((pod.label()?, pod.interface.clone())))
        .collect()
}

#[test]
fn agent_names_its_endpoints() {
    let report = query(Some(captured("vxlan")));
    assert_eq!(
        report.status,
        Status::Ok {
            detail: Some("agent".into())
        }
    );
    let names = labels(&report);
    assert_eq!(
        names.get("default/busybox-c8bbbbb84-fmhwc"),
        Some(&Some("lxc65460da5b1c1".into()))
    );
    assert_eq!(names.len(), 2);
    let mut pods = report.pods.iter();
    let busybox = pods
        .find(|pod| pod.endpoint == Some(1735))
        .expect("in the fixture");
    assert_eq!(busybox.identity, Some(10_429));
    assert_eq!(busybox.ifindex, Some(9));
    assert_eq!(busybox.mac.as_deref(), Some("3a:33:28:c7:4d:61"));
    assert!(busybox.labels.contains(&"k8s:app=busybox".into()));
    assert_eq!(busybox.condition, None);
    // The node itself is an endpoint, but no pod.
    let own = report.pods.iter().filter(|pod| pod.host_network);
    assert_eq!(own.count(), 1);
    let ranges: Vec<_> = report
        .nodes
        .iter()
        .map(|node| {
            (
                node.name.as_str(),
                netviz::views::text::list(&node.pod_cidrs, " "),
            )
        })
        .collect();
    assert_eq!(
        ranges,
        [
            ("mycluster-worker", "10.10.1.0/24".to_owned()),
            ("mycluster-worker2", "10.10.2.0/24".to_owned()),
        ]
    );
}

#[test]
fn every_version_reports_its_routing_mode() {
    for (directory, summary) in [
        ("vxlan", "vxlan, legacy host routing"),
        (
            "native-endpoint-routes",
            "native, legacy host routing, endpoint routes",
        ),
        ("vxlan-host-routing-ipv6", "vxlan, BPF host routing"),
        ("1.14-vxlan", "vxlan, legacy host routing"),
        // It does not report the kind of tunnel.
        ("1.15-vxlan-host-routing", "tunnel, BPF host routing"),
        ("1.18-vxlan", "vxlan, legacy host routing"),
    ] {
        let report = query(Some(captured(directory)));
        assert!(
            matches!(report.status, Status::Ok { .. }),
            "{directory}: {:?}",
            report.status
        );
        assert!(!labels(&report).is_empty(), "{directory}");
        let datapath = report.datapath.expect("a datapath");
        assert_eq!(datapath.summary().as_deref(), Some(summary), "{directory}");
    }
}

/// The response of the oracle's agent, with one more frontend.
const SERVED: &str = r#"[
    {"spec": {"backend-addresses": [{"ip": "10.10.2.119", "nodeName": "w", "port": 47777, "state": "active"}],
        "flags": {"name": "netshoot", "namespace": "default", "type": "ClusterIP"},
        "frontend-address": {"ip": "10.96.0.100", "port": 47777, "protocol": "UDP", "scope": "external"}}},
    {"spec": {"backend-addresses": null,
        "flags": {"name": "netshoot", "namespace": "default", "type": "ClusterIP"},
        "frontend-address": {"ip": "10.96.0.100", "port": 80, "protocol": "NONE"}}},
    {"spec": {"flags": {"name": "netshoot", "namespace": "default", "type": "NodePort"},
        "frontend-address": {"ip": "0.0.0.0", "port": 30000}}},
    {"spec": {}}, {"status": {}}]"#;

#[test]
fn services_are_optional() {
    let report = query(Some(Box::new(|path| match path {
        "/v1/service" => (200, SERVED.into()),
        "/v1/endpoint" => (200, b"[]".to_vec()),
        _ => (404, Vec::new()),
    })));
    let services = report.services.expect("services");
    assert_eq!(services.len(), 1);
    let service = &services[0];
    assert_eq!(service.label(), "default/netshoot");
    assert_eq!(
        service.addresses,
        ["10.96.0.100".parse::<std::net::IpAddr>().unwrap()]
    );
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| (port.number, port.protocol.as_str()))
        .collect();
    assert_eq!(ports, [(47_777, "UDP"), (80, "")]);
    assert_eq!(service.backends, ["10.10.2.119:47777".parse().unwrap()]);
    // Unknown services differ from an empty list.
    assert_eq!(query(Some(captured("vxlan"))).services, None);
}

#[test]
fn hanging_agent_times_out() {
    let begun = Instant::now();
    let report = query(None);
    assert_eq!(
        report.status,
        Status::Failed {
            reason: "no answer in 2 s".into()
        }
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn socket_without_listener() {
    let agent = Agent::new();
    drop(std::os::unix::net::UnixListener::bind(agent.socket()).expect("a socket"));
    let report = |agent| runtime().block_on(report(agent));
    let refused = report(&agent);
    assert_eq!(
        refused.status,
        Status::Failed {
            reason: "nothing listens at its socket".into()
        }
    );
    fs::remove_file(agent.socket()).expect("a socket");
    assert_eq!(report(&agent).status, Status::Absent);
}

#[test]
fn socket_without_permission() {
    let agent = Agent::new();
    let _listener = std::os::unix::net::UnixListener::bind(agent.socket()).expect("a socket");
    let denied = Status::Failed {
        reason: "permission denied at its socket".into(),
    };
    let directory = agent.root.path().join("run/cilium");
    for path in [agent.socket(), directory] {
        let closed = PermissionsExt::from_mode(0o000);
        fs::set_permissions(&path, closed).expect("its mode");
        let status = thread::scope(|scope| {
            let asked = scope.spawn(|| {
                // With its capabilities, root may access everything.
                privileges::keep_only(&[]);
                runtime().block_on(report(&agent)).status
            });
            asked.join().expect("the client thread")
        });
        assert_eq!(status, denied, "{}", path.display());
        let open = PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, open).expect("its mode");
    }
}

#[test]
fn root_with_a_long_path() {
    let root = tempfile::tempdir().expect("a directory");
    let long = root.path().join("n".repeat(200));
    fs::create_dir_all(long.join("run/cilium")).expect("a directory");
    // The socket is created under a short path, because its address is limited to 108 bytes.
    let short = root.path().join("s");
    let report = runtime().block_on(async {
        let listener = UnixListener::bind(&short).expect("a socket");
        fs::rename(&short, long.join("run/cilium/cilium.sock")).expect("a socket");
        let answer = captured("vxlan");
        let serve = async {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                serve(stream, &answer).await;
            }
        };
        tokio::select! {
            report = cilium::report(NetNsId(1), std::slice::from_ref(&long), false) => report,
            () = serve => unreachable!("the server runs"),
        }
    });
    assert_eq!(labels(&report).len(), 2);
}

#[test]
fn invalid_responses() {
    let failed = |answer: Answer| match query(Some(answer)).status {
        Status::Failed { reason: why } => why,
        other => panic!("not failed: {other:?}"),
    };
    assert_eq!(
        failed(with(403, b"")),
        "/v1/endpoint is switched off (enable-cilium-api-server-access)"
    );
    assert_eq!(
        failed(with(500, b"no")),
        "/v1/endpoint is answered by HTTP 500"
    );
    for body in [&b"{}"[..], b"[{]", b"", b"\x1b[2J\xff", b"[1,2]"] {
        let why = failed(with(200, body));
        assert!(
            why.starts_with("unexpected answer to /v1/endpoint: "),
            "{why}"
        );
        assert!(!why.contains('\x1b'), "{why:?}");
    }
    // One MiB more than netviz reads: a busy machine needs part of the 2 s for it.
    let large: Answer = Box::new(|_| (200, vec![b' '; 9 * 1024 * 1024]));
    let why = failed(large);
    assert_eq!(why, "no answer to /v1/endpoint: length limit exceeded");
}

#[test]
fn hostile_endpoints_are_data_and_truncated() {
    let answer: Answer = Box::new(|path| match path {
        "/v1/endpoint" => {
            let endpoint = serde_json::json!([{
                "id": -1,
                "status": {
                    "external-identifiers": {"pod-name": format!("a\u{1b}[2J/{}", "b".repeat(10_000))},
                    "identity": {"id": 0, "labels": ["<script>".repeat(1000)]},
                    "networking": {
                        "addressing": [{"ipv4": "not an address"}],
                        "interface-index": -7,
                        "interface-name": "",
                    },
                    "state": "disconnecting",
                },
            }]);
            (200, endpoint.to_string().into_bytes())
        }
        _ => (404, Vec::new()),
    });
    let report = query(Some(answer));
    let pod = &report.pods[0];
    assert_eq!(pod.name.as_ref().map(String::len), Some(512));
    assert_eq!(pod.labels[0].len(), 512);
    assert_eq!(
        (pod.endpoint, pod.ifindex, &pod.interface),
        (None, None, &None)
    );
    assert_eq!(pod.addresses, Vec::<std::net::IpAddr>::new());
    assert_eq!(
        pod.condition.as_deref(),
        Some("cilium's endpoint is disconnecting")
    );
    assert_eq!(report.nodes, []);
}

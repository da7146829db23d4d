//! Names from a Kubernetes API that works, fails or is hostile.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    path::Path,
    process::Stdio,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Result;
use netviz::{
    discover::Discovered,
    lab::{Lab, Options},
    model::{Source, Status},
    names::report::Report,
    names::{Names, SourceOptions},
};
use netviz_tests::{
    builders::{
        api_server::{ApiServer, Behaviour},
        snapshot_builder::net,
    },
    cli::{
        netviz::{Running, command_for},
        wait::{settle, wait_until},
    },
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::{Value, json};
use tokio::sync::watch;

const LIMIT: Duration = Duration::from_secs(30);
const TOKEN: &str = "{token: very-secret}";

/// Only this source of names, and the cluster that it names.
struct Querying {
    names: Names,
    _found: watch::Sender<Arc<Discovered>>,
}

impl Querying {
    fn start(kubeconfig: &Path) -> Self {
        Self::in_context(kubeconfig, None)
    }

    fn in_context(kubeconfig: &Path, context: Option<&str>) -> Self {
        let (sender, found) = watch::channel(Arc::new(Discovered::default()));
        let options = SourceOptions {
            kubeconfig: Some(kubeconfig.into()),
            context: context.map(Into::into),
            services: true,
        };
        Self {
            names: Names::start(&found, &options),
            _found: sender,
        }
    }

    fn of(server: &ApiServer) -> Result<Self> {
        let file = server.write("config", &server.kubeconfig(TOKEN))?;
        Ok(Self::start(&file))
    }

    fn report(&self) -> Option<Report> {
        let reports = self.names.subscribe().borrow().clone();
        let mut mine = reports
            .iter()
            .filter(|report| report.source == Source::Kubernetes);
        mine.next().cloned()
    }

    fn pods(&self) -> BTreeSet<String> {
        let pods = self.report().map(|report| report.pods).unwrap_or_default();
        pods.iter().filter_map(|pod| pod.label()).collect()
    }

    fn expect_pods(&self, names: &[&str]) {
        let expected = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(settle(LIMIT, &expected, || self.pods()), expected);
    }

    fn expect_trouble(&self, part: &str) {
        let trouble = || match self.report().map(|report| report.status) {
            Some(Status::Failed { reason: text }) => text,
            other => format!("{other:?}"),
        };
        // The status may change between two reads, so check the text that matched.
        let mut text = String::new();
        wait_until(LIMIT, || {
            text = trouble();
            text.contains(part)
        });
        assert!(text.contains(part), "no {part:?} in {text:?}");
        assert!(!text.contains("secret"), "a secret: {text}");
        assert!(
            !text.contains(char::is_control),
            "more than a line: {text:?}"
        );
    }

    fn expect_ok(&self) {
        let ok = || {
            self.report()
                .is_some_and(|report| matches!(report.status, Status::Ok { .. }))
        };
        assert!(
            wait_until(LIMIT, ok),
            "{:?}",
            self.report().map(|r| r.status)
        );
    }
}

fn pod(name: &str, address: &str) -> Value {
    json!({"metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}"), "labels": {"app": "x"}},
        "spec": {"nodeName": "worker", "containers": [{"name": "c"}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}})
}

fn server(name: &str) -> Result<ApiServer> {
    ApiServer::start(name, 2199)
}

#[test]
fn nodes_and_pods_are_reported() -> Result<()> {
    let server = server("arrive")?;
    server.load(Path::new("fixtures/kubernetes/vxlan-ipv6.json"))?;
    let querying = Querying::of(&server)?;
    querying.expect_pods(&[
        "default/busybox-c8bbbbb84-fmhwc",
        "default/busybox-c8bbbbb84-t6ggh",
        "default/netshoot-7d996d7884-fwt8z",
        "default/netshoot-7d996d7884-gcxrm",
    ]);
    let two_nodes = || {
        querying
            .report()
            .is_some_and(|report| report.nodes.len() == 2)
    };
    assert!(wait_until(LIMIT, two_nodes));
    let report = querying
        .report()
        .unwrap_or_else(|| unreachable!("it existed"));
    let url = format!("https://127.0.0.1:{}", server.port);
    assert_eq!(report.status, Status::Ok { detail: Some(url) });
    let node = &report.nodes[0];
    assert_eq!(node.name, "mycluster-worker");
    assert_eq!(
        node.pod_cidrs,
        ["10.10.1.0/24", "fd00:10:10:1::/64"].map(net)
    );
    let addresses: [IpAddr; 2] = ["172.18.0.2".parse()?, "fc00:f853:ccd:e793::2".parse()?];
    assert_eq!(node.addresses, addresses);
    let pod = &report.pods[0];
    assert_eq!(pod.node_name.as_deref(), Some("mycluster-worker"));
    assert_eq!(pod.containers, ["busybox"]);
    assert_eq!(pod.labels, ["app=busybox", "pod-template-hash=c8bbbbb84"]);
    assert_eq!(
        pod.uid.as_deref(),
        Some("37c6322c-c81e-4202-8375-912699d2330c")
    );
    assert_eq!(pod.addresses, ["10.10.1.187".parse::<IpAddr>()?]);
    Ok(())
}

#[test]
fn services_are_reported_and_names_do_not_wait_for_them() -> Result<()> {
    let server = server("services")?;
    server.load(Path::new("fixtures/kubernetes/vxlan.json"))?;
    let service = |name: &str, address: &str| {
        json!({"metadata": {"namespace": "default", "name": name},
            "spec": {"clusterIP": address, "clusterIPs": [address], "selector": {"app": "x"},
                "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}})
    };
    server.state().put("services", service("web", "10.96.0.7"));
    // Headless: nothing is sent to its address.
    server.state().put("services", service("none", "None"));
    let querying = Querying::of(&server)?;
    let services = || querying.report().and_then(|report| report.services);
    assert!(wait_until(LIMIT, || services().is_some()));
    let services = services().unwrap_or_default();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].label(), "default/web");
    assert_eq!(services[0].addresses, ["10.96.0.7".parse::<IpAddr>()?]);
    assert_eq!(services[0].selector, ["app=x"]);
    let ports: Vec<_> = services[0].ports.iter().map(|port| port.number).collect();
    assert_eq!(ports, [80, 53]);
    assert!(
        server
            .state()
            .asked
            .iter()
            .any(|line| line.contains("/services"))
    );
    Ok(())
}

/// netviz in a pod, with a service account's files where Kubernetes mounts them.
#[test]
fn service_account_of_a_pod_suffices() -> Result<()> {
    let server = server("account")?;
    server.load(Path::new("fixtures/kubernetes/vxlan.json"))?;
    let lab = Lab::up(&Options::default())?;
    let mut netviz = command_for(&lab, &["doors", "-o", "jsonl", "--watch", "100ms"]);
    netviz
        .env_remove("KUBECONFIG")
        .env("HOME", "/nowhere")
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", server.port.to_string())
        .stdout(Stdio::piped());
    let authority = fs::read(server.directory.join("ca.pem"))?;
    // On a thread with private mounts, which the program inherits.
    let started = thread::spawn(move || -> Result<Running> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&str> = None;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none)?;
        mount(none, "/var", Some("tmpfs"), MsFlags::empty(), none)?;
        let account = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
        fs::create_dir_all(account)?;
        fs::write(account.join("token"), "very-secret")?;
        fs::write(account.join("namespace"), "default")?;
        fs::write(account.join("ca.crt"), authority)?;
        Ok(Running::start(&mut netviz))
    });
    let mut running = started.join().expect("a thread")?;
    let out = running.child.stdout.take().expect("a pipe");
    let url = format!("https://127.0.0.1:{}", server.port);
    let expected = json!({"code": "ok", "detail": url});
    let answered = BufReader::new(out).lines().any(|line| {
        let line = line.expect("a line");
        assert!(!line.contains("very-secret"));
        let snapshot: Value = serde_json::from_str(&line).expect("JSON");
        let sources = snapshot["sources"].as_array().expect("sources");
        let mut kubernetes = sources.iter().filter(|it| it["source"] == "kubernetes");
        kubernetes.any(|it| it["status"] == expected)
    });
    assert!(answered, "netviz ended before the API had answered");
    drop(running);
    lab.down()
}

#[test]
fn pods_start_end_and_are_deleted() -> Result<()> {
    let server = server("change")?;
    let querying = Querying::of(&server)?;
    querying.expect_ok();
    server.state().put("pods", pod("a", "10.0.0.1"));
    server.state().put("pods", pod("b", "10.0.0.2"));
    querying.expect_pods(&["default/a", "default/b"]);
    server.state().bookmark("pods");
    // Its address may belong to another pod already.
    let mut done = pod("b", "10.0.0.2");
    done["status"]["phase"] = "Succeeded".into();
    server.state().put("pods", done);
    querying.expect_pods(&["default/a"]);
    let mut ending = pod("a", "10.0.0.1");
    ending["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z".into();
    server.state().put("pods", ending);
    let terminating = || {
        let report = querying.report();
        report.is_some_and(|report| report.pods[0].condition.as_deref() == Some("terminating"))
    };
    assert!(wait_until(LIMIT, terminating));
    server.state().remove("pods", "default", "a");
    querying.expect_pods(&[]);
    Ok(())
}

#[test]
fn broken_or_expired_watch_loses_nothing() -> Result<()> {
    let server = server("broken")?;
    server.state().put("pods", pod("a", "10.0.0.1"));
    let querying = Querying::of(&server)?;
    querying.expect_pods(&["default/a"]);
    {
        let mut state = server.state();
        state.disconnect();
        state.put("pods", pod("b", "10.0.0.2"));
    }
    querying.expect_pods(&["default/a", "default/b"]);
    {
        let mut state = server.state();
        state.remove("pods", "default", "a");
        // Without a notification of the deletion.
        state.forget();
    }
    querying.expect_pods(&["default/b"]);
    let asked = server.state().asked.clone();
    let lists = asked
        .iter()
        .filter(|target| target.contains("/pods?") && !target.contains("watch"));
    assert_eq!(lists.count(), 2, "{asked:#?}");
    Ok(())
}

#[test]
fn failing_server_is_reported_and_retried() -> Result<()> {
    let server = server("ill")?;
    server.state().put("pods", pod("a", "10.0.0.1"));
    let querying = Querying::of(&server)?;
    querying.expect_pods(&["default/a"]);
    for (behaviour, part) in [
        (Behaviour::Refuse(403), "forbidden: needs list and watch of"),
        (Behaviour::Refuse(401), "does not accept the credentials"),
        (Behaviour::Refuse(503), "answers 503"),
        (Behaviour::Garbage, "answer is not what Kubernetes sends"),
    ] {
        {
            let mut state = server.state();
            state.behaviour = behaviour;
            state.forget();
            state.disconnect();
        }
        querying.expect_trouble(part);
        // The last known state is still the best one.
        querying.expect_pods(&["default/a"]);
    }
    server.state().behaviour = Behaviour::Good;
    querying.expect_ok();
    Ok(())
}

#[test]
fn server_that_does_not_answer() -> Result<()> {
    let server = server("silent")?;
    server.state().behaviour = Behaviour::Silent;
    Querying::of(&server)?.expect_trouble("no answer in 5 s");
    Ok(())
}

#[test]
fn endless_response_is_cut_off() -> Result<()> {
    let server = server("huge")?;
    server.state().behaviour = Behaviour::Huge;
    Querying::of(&server)?.expect_trouble("more than 8 MiB in one answer");
    // Two resources, and the contents of the sockets' buffers; a second attempt may have begun.
    let sent_bytes = server.state().sent_bytes;
    assert!(sent_bytes < 64_000_000, "{sent_bytes} bytes were read");
    Ok(())
}

#[test]
fn no_server() -> Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let server = server("nobody")?;
    let config = server.kubeconfig(TOKEN);
    let config = config.replace(&server.port.to_string(), &port.to_string());
    let querying = Querying::start(&server.write("config", &config)?);
    querying.expect_trouble(&format!(
        "cannot reach https://127.0.0.1:{port}: connection refused"
    ));
    Ok(())
}

#[test]
fn expired_certificate() -> Result<()> {
    let server = ApiServer::start("expired", 2020)?;
    Querying::of(&server)?.expect_trouble("the certificate has expired");
    Ok(())
}

#[test]
fn server_with_another_certificate() -> Result<()> {
    let (server, other) = (server("right")?, server("wrong")?);
    let good = server.kubeconfig(TOKEN);
    server.write(
        "other.pem",
        &fs::read_to_string(other.directory.join("ca.pem"))?,
    )?;
    let config = good.replace("ca.pem", "other.pem");
    Querying::start(&server.write("authority", &config)?)
        .expect_trouble("not of the authority that the kubeconfig names");
    let config = good.replace("server:", "tls-server-name: elsewhere.example, server:");
    Querying::start(&server.write("name", &config)?).expect_trouble("is for another name");
    assert_eq!(server.state().asked, Vec::<String>::new());
    Ok(())
}

#[test]
fn server_without_tls() -> Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The client may have disconnected.
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let server = server("plain")?;
    let config = server.kubeconfig(TOKEN);
    let config = config.replace(&server.port.to_string(), &port.to_string());
    Querying::start(&server.write("config", &config)?).expect_trouble("does not speak TLS");
    Ok(())
}

#[test]
fn unusable_kubeconfigs() -> Result<()> {
    let server = server("config")?;
    let good = server.kubeconfig(TOKEN);
    let mark = server.directory.join("ran");
    let command = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: ['{}']}}}}",
        mark.display()
    );
    for (name, content, part) in [
        ("no-yaml", "{very-secret: [".to_owned(), "is no kubeconfig"),
        (
            "no-context",
            good.replace("current-context: here", "x: y"),
            "has no current context",
        ),
        (
            "no-such",
            good.replace("current-context: here", "current-context: there"),
            "current context",
        ),
        (
            "no-ca",
            good.replace("ca.pem", "none.pem"),
            "none.pem: entity not found",
        ),
        (
            "no-url",
            good.replace("https://", "very secret"),
            "cannot be read",
        ),
        (
            "proxy",
            good.replace("server:", "proxy-url: 'http://x', server:"),
            "wants a proxy",
        ),
        (
            "command",
            server.kubeconfig(&command),
            "which netviz does not run as root",
        ),
        (
            "no-key",
            server.kubeconfig("{client-certificate: ca.pem}"),
            "cannot be used",
        ),
    ] {
        let file = server.write(name, &content)?;
        Querying::start(&file).expect_trouble(part);
    }
    Querying::start(&server.directory.join("nothing")).expect_trouble("entity not found");
    assert!(!mark.exists(), "a command of the kubeconfig was run");
    assert_eq!(server.state().asked, Vec::<String>::new());
    Ok(())
}

#[test]
fn context_of_the_command_line_is_used() -> Result<()> {
    let server = server("context")?;
    server.state().put("pods", pod("web", "10.0.0.1"));
    let good = server.kubeconfig(TOKEN);
    let elsewhere = good.replace("current-context: here", "current-context: there");
    let file = server.write("config", &elsewhere)?;
    Querying::in_context(&file, Some("here")).expect_pods(&["default/web"]);
    Querying::in_context(&file, Some("nowhere"))
        .expect_trouble("no context \"nowhere\"; it has: here");
    Ok(())
}

#[test]
fn kubelet_credentials_list_only_own_pods() -> Result<()> {
    let server = server("kubelet")?;
    server.state().put("pods", pod("mine", "10.0.0.1"));
    let mut other = pod("other", "10.0.0.2");
    other["spec"]["nodeName"] = "elsewhere".into();
    server.state().put("pods", other);
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:nodes");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "system:node:worker");
    params.not_after = rcgen::date_time_ymd(2199, 1, 1);
    let both = |params: &rcgen::CertificateParams| -> Result<String> {
        Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
    };
    server.write("kubelet.pem", &both(&params)?)?;
    let user = "{client-certificate: kubelet.pem, client-key: kubelet.pem}";
    let file = server.write("config", &server.kubeconfig(user))?;
    let querying = Querying::start(&file);
    querying.expect_pods(&["default/mine"]);
    // It is renewed regularly; this one was not.
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    fs::write(server.directory.join("kubelet.pem"), both(&params)?)?;
    querying.expect_trouble("the certificate has expired: that in");
    Ok(())
}

#[test]
fn ten_thousand_pods() -> Result<()> {
    let server = server("many")?;
    for number in 0..10_000 {
        let address = format!("10.0.{}.{}", number / 250, number % 250);
        server
            .state()
            .put("pods", pod(&format!("pod-{number}"), &address));
    }
    let querying = Querying::of(&server)?;
    assert_eq!(settle(LIMIT, &10_000, || querying.pods().len()), 10_000);
    Ok(())
}

#[test]
fn hostile_names_are_data() -> Result<()> {
    let server = server("hostile")?;
    let name = "\u{1b}]0;x\u{7}<script>\n\u{202e}";
    let mut hostile = pod(name, "not an address");
    hostile["metadata"]["labels"] = json!({"\u{1b}[31m": "\r"});
    server.state().put("pods", hostile);
    let querying = Querying::of(&server)?;
    querying.expect_pods(&[&format!("default/{name}")]);
    let pod = querying
        .report()
        .and_then(|report| report.pods.into_iter().next());
    let pod = pod.unwrap_or_default();
    assert_eq!(
        (pod.addresses.len(), pod.labels),
        (0, vec!["\u{1b}[31m=\r".to_owned()])
    );
    Ok(())
}

#[test]
fn token_that_is_no_valid_header_does_not_panic() -> Result<()> {
    let server = server("unsayable")?;
    let text = server.kubeconfig(r#"{token: "very-secret\u0001"}"#);
    let querying = Querying::start(&server.write("config", &text)?);
    querying.expect_trouble("token in");
    Ok(())
}

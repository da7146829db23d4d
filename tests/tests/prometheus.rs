//! A real Prometheus scrapes a real netviz over the lab, and its alerts fire when a fault is made.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use aya::programs::LinkOrder;
use netviz::{
    lab::{Lab, Options},
    model::Direction,
};
use netviz_tests::{
    bpf::foreign_program::{ForeignProgram, Verdict},
    cli::{
        netviz::{Running, command_for},
        server::{Server, get},
        wait::wait_until,
    },
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rules() -> String {
    fs::read_to_string(root().join("deploy/prometheus/rules.yaml")).unwrap()
}

/// Runs promtool, which must succeed.
fn promtool(args: &[&str], stdin: Option<&Path>) {
    let mut command = Command::new("promtool");
    if let Some(file) = stdin {
        command.stdin(fs::File::open(file).unwrap());
    }
    let output = command.args(args).output().expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{args:?}: {said}");
}

#[test]
#[ignore = "needs prometheus: cargo xtask test --all"]
fn alerts_fire_as_described() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::write(place("rules.yaml"), rules()).unwrap();
    let tests = root().join("tests/fixtures/prometheus/rules_test.yaml");
    fs::copy(tests, place("rules_test.yaml")).unwrap();
    promtool(
        &["check", "rules", place("rules.yaml").to_str().unwrap()],
        None,
    );
    promtool(
        &["test", "rules", place("rules_test.yaml").to_str().unwrap()],
        None,
    );
}

/// A Prometheus that scrapes netviz and evaluates the rules every second.
struct Prometheus {
    _running: Running,
    address: SocketAddr,
}

impl Prometheus {
    fn start(netviz: SocketAddr, directory: &Path) -> Self {
        // Without the waiting times of production.
        let rules = rules()
            .replace("for: 5m", "for: 0s")
            .replace("for: 1m", "for: 0s");
        fs::write(directory.join("rules.yaml"), rules.replace("[5m]", "[20s]")).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs:\n  - job_name: netviz\n    static_configs: [{{ targets: ['{netviz}'] }}]\n"
        );
        fs::write(directory.join("prometheus.yaml"), config).unwrap();
        // The port may be taken by another process between here and there; then the test fails.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new("prometheus");
        command
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            _running: Running::start(&mut command),
            address,
        }
    }

    fn query(&self, path: &str) -> Value {
        let answer = get(self.address, path).map(|answer| answer.body);
        answer
            .and_then(|body| serde_json::from_str(&body).ok())
            .unwrap_or_default()
    }

    /// Names of the alerts that fire.
    fn firing(&self) -> Vec<String> {
        let alerts = &self.query("/api/v1/alerts")["data"]["alerts"];
        let alerts = alerts.as_array().into_iter().flatten();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let names = firing.filter_map(|alert| alert["labels"]["alertname"].as_str());
        names.map(str::to_owned).collect()
    }

    fn fires(&self, alert: &str) -> bool {
        self.firing().iter().any(|it| it == alert)
    }

    fn value(&self, query: &str) -> Option<String> {
        let answer = self.query(&format!("/api/v1/query?query={query}"));
        let value = &answer["data"]["result"][0]["value"][1];
        value.as_str().map(str::to_owned)
    }
}

/// The queries of the dashboard, with all nodes and pods.
fn dashboard() -> Vec<String> {
    let file = root().join("deploy/grafana/netviz.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    let filled = queries.map(|query| {
        ["$node", "$namespace", "$pod"]
            .iter()
            .fold(query.replace("$__rate_interval", "1m"), |query, name| {
                query.replace(name, ".*")
            })
    });
    let filled: Vec<_> = filled.collect();
    assert!(
        filled.len() > 5 && !filled.iter().any(|it| it.contains('$')),
        "{filled:?}"
    );
    filled
}

/// A query as a part of a URL.
fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
#[ignore = "needs prometheus: cargo xtask test --all"]
fn prometheus_scrapes_netviz_and_alerts() {
    let lab = Lab::up(&Options::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let paths = root().join("docs/paths.yaml");
    let mut serve = command_for(
        &lab,
        &["serve", "--listen", "127.0.0.1:0", "--metrics", "door"],
    );
    serve.args(["--every", "2s", "--paths"]).arg(paths);
    let netviz = Server::start(&mut serve);
    assert!(wait_until(LIMIT, || {
        netviz.get("/metrics").body.contains("netviz_path_verified")
    }));
    let metrics = directory.path().join("metrics");
    fs::write(&metrics, netviz.get("/metrics").body).unwrap();
    promtool(&["check", "metrics"], Some(&metrics));

    let prometheus = Prometheus::start(netviz.address, directory.path());
    let scraped = || prometheus.value("count(netviz_interface_packets_total)");
    assert!(
        wait_until(LIMIT, || scraped().as_deref() == Some("52")),
        "{:?}",
        scraped()
    );
    assert!(wait_until(LIMIT, || {
        prometheus.value("min(netviz_path_verified)").as_deref() == Some("1")
    }));
    assert_eq!(prometheus.firing(), Vec::<String>::new());
    for query in dashboard() {
        let answer = prometheus.query(&format!("/api/v1/query?query={}", encoded(&query)));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }

    // A program that drops all that leaves the node for a pod.
    let pod = &lab.pods()[0];
    let node = lab
        .nodes()
        .iter()
        .find(|node| node.name == pod.node)
        .unwrap();
    let (node, interface) = (lab.netns(node).unwrap(), &pod.interface.name);
    let (hook, last) = (Direction::Egress, LinkOrder::last());
    let fault = ForeignProgram::tcx(&node, interface, hook, Verdict::Shot, last).unwrap();
    for alert in ["NetvizPathNotVerified", "NetvizInterfaceLosing"] {
        assert!(
            wait_until(LIMIT, || prometheus.fires(alert)),
            "{alert}: {:?}",
            prometheus.firing()
        );
    }
    drop(fault);
    assert!(wait_until(LIMIT, || !prometheus.fires("NetvizPathNotVerified")));
    drop(netviz);
    assert!(wait_until(LIMIT, || prometheus.fires("NetvizDown")));
}

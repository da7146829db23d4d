//! Sources of names that hang, return invalid data or never stop sending: the doors are counted,
//! and each source is reported in one line.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::Stdio,
};

use netviz::lab::{Lab, Options};
use netviz_tests::{
    builders::api_server::{ApiServer, Behaviour},
    cli::netviz::{Running, command_for},
};
use serde_json::{Value, json};

/// Far more than netviz needs, and less than with a stored list of 100 MB.
const MOST_MEMORY: u64 = 100 << 20;

/// Returns the statuses of a source, one for each node.
fn statuses<'a>(snapshot: &'a Value, source: &str) -> Vec<(Option<&'a str>, &'a Value)> {
    let sources = snapshot["sources"].as_array().expect("sources").iter();
    sources
        .filter(|it| it["source"] == source)
        .map(|it| (it["node"].as_str(), &it["status"]))
        .collect()
}

/// Returns the error of its first failure.
fn failure<'a>(snapshot: &'a Value, source: &str) -> &'a str {
    let mut reasons = statuses(snapshot, source)
        .into_iter()
        .filter_map(|(_, status)| status["reason"].as_str());
    reasons.next().unwrap_or_default()
}

fn all_count(snapshot: &Value) -> bool {
    let doors = snapshot["doors"].as_array().expect("doors");
    doors.len() == 26 && doors.iter().all(|door| door["state"] == "counting")
}

fn names(snapshot: &Value) -> usize {
    let pods = snapshot["pods"].as_array().expect("pods");
    pods.iter()
        .filter(|pod| pod["sources"][0] == "cni_cache")
        .count()
}

/// Returns netviz's peak memory in bytes.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    number.map_or(0, |kilobytes: u64| kilobytes << 10)
}

/// Breaks the sources: two agents, one that never answers and one that has left its socket behind;
/// and a half-written file.
fn break_sources(lab: &Lab) -> [UnixListener; 1] {
    let root = |node: usize| PathBuf::from(format!("/proc/{}/root", lab.nodes()[node].pid));
    let listener = |node| {
        let directory = root(node).join("run/cilium");
        fs::create_dir_all(&directory).expect("a directory");
        // An address has at most 108 bytes, and must not lead through another process's root.
        let own = fs::File::open(&directory).expect("a directory");
        let fd = std::os::fd::AsRawFd::as_raw_fd(&own);
        UnixListener::bind(format!("/proc/self/fd/{fd}/cilium.sock")).expect("a socket")
    };
    drop(listener(1));
    let results = root(0).join("var/lib/cni/results");
    let begun = r#"{"kind":"cniCacheV1","containerId":"5f0c"#;
    fs::write(results.join("cilium-half-eth0"), begun).expect("a file");
    [listener(0)]
}

#[test]
fn counting_does_not_wait_for_sources() {
    let lab = Lab::up(&Options::default()).unwrap_or_else(|error| panic!("{error:#}"));
    let _hangs = break_sources(&lab);
    let failures = [
        (Behaviour::Silent, "no answer in 5 s"),
        (Behaviour::Huge, "more than 8 MiB in one answer"),
        (Behaviour::Garbage, "answer is not what Kubernetes sends"),
        (Behaviour::Refuse(403), "forbidden: needs list and watch of"),
    ];
    for (place, (behaviour, part)) in failures.into_iter().enumerate() {
        let server = ApiServer::start(&format!("failing-{place}"), 2199).expect("a server");
        server.state().behaviour = behaviour;
        let config = server.kubeconfig("{token: very-secret}");
        let config = server.write("config", &config).expect("a file");
        let words_of_line = ["doors", "-o", "jsonl", "--watch", "100ms", "--kubeconfig"];
        let mut netviz = command_for(&lab, &words_of_line);
        let mut running = Running::start(netviz.arg(config).stdout(Stdio::piped()));
        let out = running.child.stdout.take().expect("a pipe");
        let mut before = 0;
        let all = BufReader::new(out).lines().find_map(|line| {
            let snapshot: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            let silent = |source| statuses(&snapshot, source).is_empty();
            before += usize::from(silent("kubernetes") || silent("cilium"));
            let both = failure(&snapshot, "kubernetes").contains(part)
                && failure(&snapshot, "cilium").contains("no answer");
            (both && all_count(&snapshot)).then_some(snapshot)
        });
        let snapshot = all.unwrap_or_else(|| panic!("{part:?} was never reported"));
        // While netviz waits for that source, it shows the others and the doors.
        assert!(
            before > 0,
            "{part}: the first reading waited for all sources"
        );
        assert_eq!(names(&snapshot), 4, "{part}");
        let failed = |reason| json!({"code": "failed", "reason": reason});
        let ok = |detail: Option<&str>| json!({"code": "ok", "detail": detail});
        let expect = |source, one: Value, two: Value| {
            let both = [
                (Some("mycluster-worker"), &one),
                (Some("mycluster-worker2"), &two),
            ];
            assert_eq!(statuses(&snapshot, source), both, "{part}");
        };
        let refused = failed("nothing listens at its socket");
        expect("cilium", failed("no answer in 2 s"), refused);
        expect("cni_cache", ok(Some("1 unreadable of 5")), ok(None));
        expect("runtime", ok(None), ok(None));
        assert!(!snapshot.to_string().contains("very-secret"));
        let memory = memory(running.child.id());
        println!("{part}: {} MiB at the most", memory >> 20);
        assert!(memory < MOST_MEMORY, "{part}: {memory} bytes");
    }
    lab.down().expect("the lab is removed");
}

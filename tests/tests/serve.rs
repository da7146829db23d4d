//! `netviz serve` over the lab: what it answers, whom, and what it survives.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use netviz::{
    lab::{Lab, Options},
    model::Snapshot,
};
use netviz_tests::cli::{
    netviz::{command, command_for},
    server::{Answer, Server},
    wait::wait_until,
};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const LIMIT: Duration = Duration::from_secs(30);
const ANY_PORT: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn lab() -> Lab {
    Lab::up(&Options::default()).expect("a lab")
}

fn server(lab: &Lab, more: &[&str]) -> Server {
    Server::start(&mut command_for(lab, &[&ANY_PORT, more].concat()))
}

fn ready(server: &Server) {
    assert!(wait_until(LIMIT, || server.get("/readyz").status == 200));
}

/// Runs `serve` with options that it refuses: one line that contains `text`.
fn refused(options: &[&str], text: &str) {
    let mut command = command(&["serve"]);
    let Output { status, stderr, .. } = command.args(options).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(2), "{options:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(text), "{options:?}: {stderr}");
}

#[test]
fn serves_snapshot_events_metrics_and_map() {
    let lab = lab();
    let mut server = server(&lab, &["--metrics", "door", "--watch", "200ms"]);
    ready(&server);
    assert_eq!(server.get("/healthz").body, "ok\n");

    let snapshot: Snapshot = serde_json::from_str(&server.get("/api/v1/snapshot").body).unwrap();
    assert_eq!(snapshot.doors.len(), 26);

    let metrics = server.get("/metrics");
    assert!(
        metrics.headers.contains("text/plain; version=0.0.4"),
        "{}",
        metrics.headers
    );
    assert!(
        metrics
            .body
            .contains("\n# TYPE netviz_interface_packets_total counter\n")
    );
    let new = server.get_with(
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    assert!(
        new.headers.contains("application/openmetrics-text"),
        "{}",
        new.headers
    );
    assert!(new.body.ends_with("# EOF\n"));

    let page = server.get("/map");
    assert!(page.body.contains("<svg") && page.headers.contains("refresh: 1"));
    let index = server.get("/");
    assert!(
        index
            .headers
            .contains("content-security-policy: default-src 'none'")
    );
    assert_eq!(server.get("/nothing").status, 404);
    assert_eq!(
        server
            .request(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .status,
        405
    );

    let mut stream = server.connect();
    write!(
        stream,
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let events = BufReader::new(stream).lines().map(Result::unwrap);
    let mut times = events.filter_map(|line| {
        let snapshot = serde_json::from_str::<Snapshot>(line.strip_prefix("data: ")?);
        Some(snapshot.unwrap().taken_at)
    });
    let (first, second) = (times.next().unwrap(), times.next().unwrap());
    assert!(first < second, "{first} {second}");

    server.running.signal(Signal::SIGTERM);
    assert_eq!(server.running.child.wait().unwrap().code(), Some(0));
}

/// What `doors` counts is what the metrics have.
#[test]
fn metrics_count_every_packet() {
    use netviz::lab::traffic;
    let lab = lab();
    let server = server(&lab, &["--metrics", "door", "--watch", "100ms"]);
    ready(&server);
    let [from, to] = [&lab.pods()[0], &lab.pods()[1]];
    let namespace = lab.netns(from).unwrap();
    assert_eq!(
        traffic::ping(&namespace, to.address.into(), 50).unwrap(),
        50
    );
    let expected = format!(
        "pod=\"{}\",interface=\"eth0\",side=\"pod\",direction=\"egress\"}} 50.0",
        from.name
    );
    let counted = || {
        let metrics = server.get("/metrics").body;
        metrics.lines().any(|line| {
            line.starts_with("netviz_interface_packets_total") && line.ends_with(&expected)
        })
    };
    assert!(
        wait_until(LIMIT, counted),
        "{expected}\n{}",
        server.get("/metrics").body
    );
}

/// A name that is rebound to this address, as by a page of another site, is not answered.
#[test]
fn only_known_hosts_are_answered() {
    let lab = lab();
    let server = server(&lab, &["--host", "Netviz.Example"]);
    let status = |host: &str| {
        let request = format!("GET /healthz HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        server.request(request.as_bytes()).status
    };
    for host in [
        "127.0.0.1:9190",
        "[::1]:80",
        "localhost",
        "LOCALHOST:1",
        "netviz.example:443",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 421, "{host}");
    }
    assert_eq!(status("Host: localhost\r\nHost: evil.example\r\n"), 421);
    assert_eq!(status(""), 421);
}

#[test]
fn token_is_required_except_by_probes() {
    let lab = lab();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let server = server(&lab, &["--token-file", file.to_str().unwrap()]);
    ready(&server);
    let refused = server.get("/metrics");
    assert_eq!(refused.status, 401);
    assert!(refused.headers.contains("www-authenticate: bearer"));
    for (value, status) in [
        ("Bearer 0123456789abcdef0123456789abcdef", 200),
        ("bearer 0123456789abcdef0123456789abcdef", 200),
        ("Bearer 0123456789abcdef0123456789abcdeg", 401),
        ("Bearer 0123456789abcdef", 401),
        ("Bearer ", 401),
        ("Basic 0123456789abcdef0123456789abcdef", 401),
    ] {
        let header = format!("Authorization: {value}\r\n");
        assert_eq!(
            server.get_with("/metrics", &header).status,
            status,
            "{value}"
        );
    }
}

#[test]
fn wrong_options_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
        path(name)
    };
    let token = "0123456789abcdef0123456789abcdef";
    let open = write("open", token, 0o644);
    refused(&["--token-file", &open], "chmod o=");
    let short = write("short", "secret", 0o600);
    refused(&["--token-file", &short], "openssl rand");
    refused(&["--token-file", &path("none")], "No such file");
    refused(
        &["--token-file", directory.path().to_str().unwrap()],
        "not a file",
    );
    refused(&["--listen", "0.0.0.0:0"], "--token-file");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&["--listen", &address], "choose a free port");

    let (certificate, key) = certificate(directory.path(), "good", 2100);
    let (old, old_key) = self::certificate(directory.path(), "old", 2020);
    let text = write("text", "no certificate", 0o600);
    let tls = |cert: &str, key: &str, text| refused(&["--tls-cert", cert, "--tls-key", key], text);
    tls(&old, &old_key, "expired");
    tls(&text, &key, "no certificate in PEM form");
    tls(&certificate, &text, "no private key in PEM form");
    tls(&certificate, &old_key, "do not fit together");
    tls(&path("none"), &key, "No such file");
}

/// Writes a certificate of localhost that is valid to the end of `year`, and its key.
fn certificate(directory: &Path, name: &str, year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let certificate = params.self_signed(&key).unwrap();
    let write = |what: &str, text: String| {
        let file = directory.join(format!("{name}.{what}"));
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    (
        write("crt", certificate.pem()),
        write("key", key.serialize_pem()),
    )
}

#[test]
fn serves_tls() {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let lab = lab();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path(), "good", 2100);
    let server = server(&lab, &["--tls-cert", &certificate, "--tls-key", &key]);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&certificate).unwrap())
        .unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, server.connect());
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(Answer::parse(&answer).body, "ok\n");
    // Plain HTTP is no handshake, and harms nobody else.
    let mut plain = server.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

/// Clients that send half a request, and nonsense: the others are answered, and nothing is miscounted.
#[test]
fn slow_and_malformed_clients_harm_nobody() {
    let lab = lab();
    let server = server(&lab, &["--metrics", "door", "--watch", "200ms"]);
    ready(&server);
    let slow: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = server.connect();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: lo")
                .unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get("/metrics").status, 200);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..500 {
        let mut bytes =
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec();
        for _ in 0..random.usize(1..6) {
            let place = random.usize(..bytes.len());
            bytes[place] = random.u8(..);
        }
        let mut stream = server.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1."),
            "{bytes:?}"
        );
    }
    let huge = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    assert_eq!(server.request(huge.as_bytes()).status, 431);
    drop(slow);
    assert_eq!(server.get("/healthz").status, 200);
    let snapshot: Snapshot = serde_json::from_str(&server.get("/api/v1/snapshot").body).unwrap();
    let lost: Vec<_> = snapshot
        .doors
        .iter()
        .filter(|door| door.reason.is_some())
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Every path of the API's description exists, and what it answers is described.
#[test]
fn openapi_describes_every_path() {
    let lab = lab();
    let server = server(&lab, &[]);
    ready(&server);
    let document: serde_json::Value =
        serde_json::from_str(&server.get("/api/v1/openapi.json").body).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 8, "{paths:?}");
    for (path, operations) in paths {
        if path == "/api/v1/events" {
            continue;
        }
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        let media = operations["get"]["responses"]["200"]["content"]
            .as_object()
            .unwrap();
        let described = media
            .keys()
            .any(|it| answer.headers.contains(&format!("content-type: {it}")));
        assert!(described, "{path}: {}", answer.headers);
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let name = reference.split('"').next().unwrap();
        let place = name.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{name}");
    }
}

/// Path tests run again and again; a run that fails leaves no old results behind.
#[test]
fn path_tests_have_metrics() {
    let lab = lab();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("paths.yaml");
    let plan = |to: &str| {
        format!(
            "tests: [{{ name: a to b, count: 3, from: {{ pods: netshoot-* }}, to: {{ pods: {to} }} }}]"
        )
    };
    fs::write(&file, plan("busybox-*")).unwrap();
    let file_name = file.to_str().unwrap();
    let server = server(&lab, &["--every", "1s", "--paths", file_name]);
    let has = |line: &str| {
        wait_until(LIMIT, || {
            server.get("/metrics").body.lines().any(|it| it == line)
        })
    };
    assert!(has("netviz_path_verified{test=\"a to b\"} 1"));
    assert!(has(
        "netviz_path_pairs{test=\"a to b\",verdict=\"verified\"} 4"
    ));
    assert!(has("netviz_path_probes_total{test=\"a to b\"} 24"));
    fs::write(&file, plan("no-such-pod")).unwrap();
    assert!(has("netviz_path_runs_total{result=\"failed\"} 1"));
    assert!(
        !server
            .get("/metrics")
            .body
            .contains("netviz_path_verified{")
    );
    refused(&["--paths", "/no/such/file"], "cannot open the file");
}

/// A server that was killed leaves nothing behind; its successor listens at the same place.
#[test]
fn restarts_at_the_same_address() {
    let lab = lab();
    let first = server(&lab, &[]);
    ready(&first);
    let address = first.address.to_string();
    first.running.signal(Signal::SIGKILL);
    drop(first);
    let mut again: Command = command_for(&lab, &["serve", "--listen", &address]);
    let second = Server::start(&mut again);
    ready(&second);
}

//! The Cilium agent's REST API, on its unix socket.
//!
//! The fixtures have answers of agents from 1.14 to 1.19. A field that a version lacks is unknown, never
//! an error.

pub mod answers;
pub(crate) mod policies;

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use nix::fcntl::OFlag;
use tokio::{net::UnixStream, time::timeout};

use super::{
    report::Report,
    source::{Context, NameSource, NodeFiles, nodes},
};
use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::{netns::NetNsId, rooted_fs::Root},
};

/// The agent's socket; `/var/run` is `/run` on current nodes.
const SOCKETS: [&str; 2] = ["run/cilium/cilium.sock", "var/run/cilium/cilium.sock"];
const DENIED: &str = "permission denied at its socket";
/// The time limit for all answers of an agent.
const LIMIT: Duration = Duration::from_secs(2);
/// An endpoint takes about 10 KB: six times the 110 pods of a node.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The agents of all nodes.
pub(super) struct Agents {
    /// Ask for services, too.
    pub(super) services: bool,
}

impl NameSource for Agents {
    fn read(&mut self, context: &Context, found: &Discovered) -> Vec<Report> {
        let services = self.services;
        // All at once: an agent that hangs does not delay the others.
        let report =
            |node: NodeFiles| async move { report(node.netns, &node.roots, services).await };
        context.runtime.block_on(join_all(nodes(found).map(report)))
    }
}

/// Asks the agent on the node with these roots, for two seconds at most; for services only on request.
pub async fn report(node: NetNsId, roots: &[PathBuf], services: bool) -> Report {
    let failed = |status| Report::new(Source::Cilium, Some(node), status);
    let socket = match Root::open(roots).and_then(|root| find(&root)) {
        Ok(socket) => socket,
        Err(status) => return failed(status),
    };
    // The path may be longer than a socket address can be.
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    match timeout(LIMIT, ask(Path::new(&path), services)).await {
        Ok(Ok(answers)) => Report {
            status: Status::Ok {
                detail: Some(answers.agent()),
            },
            pods: answers.pods(),
            nodes: answers.nodes(),
            services: answers.services(),
            datapath: Some(answers.datapath()),
            ..failed(Status::Absent)
        },
        Ok(Err(why)) => failed(Status::failed(why)),
        Err(_) => failed(Status::failed(format!(
            "no answer in {} s",
            LIMIT.as_secs()
        ))),
    }
}

fn find(root: &Root) -> Result<OwnedFd, Status> {
    let mut why = Status::Absent;
    for path in SOCKETS {
        match root.at(Path::new(path), OFlag::O_PATH) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                why = Status::failed(DENIED);
            }
            Err(_) => {}
        }
    }
    Err(why)
}

/// Asks for everything. An error is one line: the request and the cause.
async fn ask(socket: &Path, services: bool) -> Result<answers::Answers, String> {
    let served = async {
        if services {
            Some(get(socket, "/v1/service").await)
        } else {
            None
        }
    };
    let (health, config, endpoints, nodes, served) = tokio::join!(
        get(socket, "/v1/healthz"),
        get(socket, "/v1/config"),
        get(socket, "/v1/endpoint"),
        get(socket, "/v1/cluster/nodes"),
        served,
    );
    // Only the names of pods are essential. The rest may be switched off or missing.
    let endpoints = json("/v1/endpoint", &endpoints?)?;
    Ok(answers::Answers {
        endpoints,
        health: optional("/v1/healthz", health),
        config: optional("/v1/config", config),
        nodes: optional("/v1/cluster/nodes", nodes),
        services: served.and_then(|served| optional("/v1/service", served)),
    })
}

fn optional<T: serde::de::DeserializeOwned + Default>(
    path: &str,
    answer: Result<Bytes, String>,
) -> T {
    answer
        .and_then(|body| json(path, &body))
        .inspect_err(|why| log::debug!("cilium: {why}"))
        .unwrap_or_default()
}

fn json<T: serde::de::DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("unexpected answer to {path}: {error}"))
}

async fn get(socket: &Path, path: &str) -> Result<Bytes, String> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens at its socket".to_owned(),
            io::ErrorKind::PermissionDenied => DENIED.to_owned(),
            _ => format!("cannot connect to its socket: {error}"),
        })?;
    let failed = |error: &dyn std::fmt::Display| format!("no answer to {path}: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let request = Request::get(path)
        .header(HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    // The connection is driven only while its answer is read.
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => {
                return Err(format!(
                    "{path} is switched off (enable-cilium-api-server-access)"
                ));
            }
            status => return Err(format!("{path} is answered by HTTP {}", status.as_u16())),
        }
        let body = Limited::new(response.into_body(), BODY_LIMIT);
        let whole = body.collect().await.map_err(|error| failed(&error))?;
        Ok(whole.to_bytes())
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

//! A Kubernetes API server with list and watch of nodes and pods, over TLS. It can be set to
//! misbehave.

mod answer;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use serde_json::Value;

/// Behaviour of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Like Kubernetes.
    #[default]
    Good,
    /// Returns this status and a `Status` object that names a secret.
    Refuse(u16),
    /// Returns 200 and a body that is not JSON.
    Garbage,
    /// Returns an endless list.
    Huge,
    /// Never responds.
    Silent,
}

/// Contents of the server.
#[derive(Debug, Default)]
pub struct State {
    /// How it responds.
    pub behaviour: Behaviour,
    /// Statuses that it returns to requests for objects of a kind, by plural.
    pub refused: BTreeMap<String, u16>,
    /// All request lines, without the method.
    pub asked: Vec<String>,
    /// Bytes of endless lists that a client has read.
    pub sent_bytes: usize,
    objects: BTreeMap<(String, String), Value>,
    events: Vec<(u64, String, Value)>,
    version: u64,
    /// Older versions are gone.
    oldest: u64,
    /// Watches of an older generation end silently.
    generation: u64,
}

impl State {
    /// Adds or changes an object.
    pub fn put(&mut self, plural: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let known = self.objects.insert(key(plural, &object), object.clone());
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.notify(plural, kind, object);
    }

    /// Deletes an object.
    pub fn remove(&mut self, plural: &str, namespace: &str, name: &str) {
        self.version += 1;
        let key = (plural.to_owned(), format!("{namespace}/{name}"));
        if let Some(mut object) = self.objects.remove(&key) {
            object["metadata"]["resourceVersion"] = self.version.to_string().into();
            self.notify(plural, "DELETED", object);
        }
    }

    /// Sends a bookmark to all watches.
    pub fn bookmark(&mut self, plural: &str) {
        self.version += 1;
        let version = self.version.to_string();
        let mark = serde_json::json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"resourceVersion": version, "creationTimestamp": null}});
        self.notify(plural, "BOOKMARK", mark);
    }

    /// Discards the history: a watch from an older version gets 410.
    pub fn forget(&mut self) {
        self.version += 1;
        self.events.clear();
        self.oldest = self.version;
    }

    /// Ends all watches silently.
    pub fn disconnect(&mut self) {
        self.generation += 1;
    }

    fn notify(&mut self, plural: &str, kind: &str, object: Value) {
        let event = serde_json::json!({"type": kind, "object": object});
        self.events.push((self.version, plural.into(), event));
    }
}

fn key(plural: &str, object: &Value) -> (String, String) {
    let metadata = &object["metadata"];
    let [namespace, name] =
        ["namespace", "name"].map(|field| metadata[field].as_str().unwrap_or_default());
    (plural.into(), format!("{namespace}/{name}"))
}

/// A running server, its certificate authority and a directory for kubeconfigs.
pub struct ApiServer {
    /// Its port.
    pub port: u16,
    /// For files; deleted with the server.
    pub directory: PathBuf,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl ApiServer {
    /// Starts a server whose certificate is valid until the end of `year`.
    pub fn start(name: &str, year: i32) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("netviz-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let certificate = params.self_signed(&key)?;
        fs::write(directory.join("ca.pem"), certificate.pem())?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new((Mutex::default(), Condvar::new()));
        let (for_threads, tls) = (Arc::clone(&shared), Arc::new(tls));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, tls) = (Arc::clone(&for_threads), Arc::clone(&tls));
                // A client that disconnects is no error.
                thread::spawn(move || serve(stream, tls, &shared));
            }
        });
        Ok(Self {
            port,
            directory,
            shared,
        })
    }

    /// Returns the contents for changes; watches are notified when the guard is dropped.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.0.lock();
        self.shared.1.notify_all();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the objects of a `kubectl get -o json`.
    pub fn load(&self, file: &Path) -> Result<()> {
        let list: Value = serde_json::from_slice(&fs::read(file)?)?;
        let items = list["items"].as_array().context("no items")?;
        let mut state = self.state();
        for item in items {
            let plural = if item["kind"] == "Node" {
                "nodes"
            } else {
                "pods"
            };
            state.put(plural, item.clone());
        }
        Ok(())
    }

    /// Returns a kubeconfig in YAML with the given `user`; the path of the authority is relative.
    pub fn kubeconfig(&self, user: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: here, \
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: ca.pem}}}}], \
             contexts: [{{name: here, context: {{cluster: c, user: u}}}}], \
             users: [{{name: u, user: {user}}}]}}",
            self.port
        )
    }

    /// Writes a file to the server's directory.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn serve(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    shared: &(Mutex<State>, Condvar),
) -> Result<()> {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(tls)?, stream));
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while stream.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        answer::answer(stream.get_mut(), target, shared)?;
    }
}

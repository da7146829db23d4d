//! Where the Kubernetes API is and how to ask it: kubeconfigs, the service account of a pod, and
//! the nodes' own files.

use std::{
    env,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
    path::{Path, PathBuf},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{
    certificate::Certificate,
    files::Root,
    kubeconfig::{self, Chosen},
};
use crate::{model::Status, names::SourceOptions};

/// The API's own address in a pod, and the proof that this is one.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
const SERVICE_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// What kubeadm leaves on a node, the more powerful first.
const ADMIN: &str = "/etc/kubernetes/admin.conf";
const KUBELET: &str = "/etc/kubernetes/kubelet.conf";

/// A node whose files may be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its hostname.
    pub(super) name: String,
    /// Its addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// Where its files begin.
    pub(super) roots: Vec<PathBuf>,
}

/// One way to the API.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// What it was read from; tells it from others.
    pub(super) origin: String,
    /// What kube needs.
    pub(super) config: Config,
    /// The only node that it may ask about.
    pub(super) node: Option<String>,
    /// Of all that was read: whether it is still the same. No copy of it, which holds secrets.
    fingerprint: u64,
}

impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin
            && self.fingerprint == other.fingerprint
            && self.config.cluster_url == other.config.cluster_url
    }
}

impl Access {
    /// Without user, password and path.
    pub(super) fn url(&self) -> String {
        let url = &self.config.cluster_url;
        let scheme = url.scheme_str().unwrap_or("https");
        let host = url.host().unwrap_or("?");
        match url.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

/// Every way that is there: one, or one for each kubelet whose own node is all that it may see.
///
/// # Errors
///
/// How to report that there is none.
pub(super) async fn find(options: &SourceOptions, places: &[Place]) -> Result<Vec<Access>, Status> {
    let own = Root::own();
    if let Some(path) = &options.kubeconfig {
        return Ok(vec![
            from_files(std::slice::from_ref(path), &own, places).await?,
        ]);
    }
    let named = named_by_environment();
    if !named.is_empty() {
        return Ok(vec![from_files(&named, &own, places).await?]);
    }
    if env::var_os(SERVICE_HOST).is_some() && Path::new(SERVICE_TOKEN).exists() {
        return Ok(vec![from_service_account()?]);
    }
    from_nodes(places).await
}

/// `KUBECONFIG`, or `~/.kube/config` where it is there.
fn named_by_environment() -> Vec<PathBuf> {
    if let Some(list) = env::var_os("KUBECONFIG") {
        return env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
    }
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    home.into_iter().filter(|path| path.is_file()).collect()
}

fn from_service_account() -> Result<Access, Status> {
    let failed = |_| Status::failed("the pod's service account cannot be read");
    Ok(Access {
        origin: "service account".into(),
        config: Config::incluster().map_err(failed)?,
        node: None,
        // kube reads the token and the authority again by itself.
        fingerprint: 0,
    })
}

async fn from_nodes(places: &[Place]) -> Result<Vec<Access>, Status> {
    let mut trouble = Status::Absent;
    for name in [ADMIN, KUBELET] {
        let mut found = Vec::new();
        for place in places {
            let root = place.roots.iter().map(|root| Root(root.clone()));
            let Some(root) = root
                .into_iter()
                .find(|root| root.read(Path::new(name)).is_ok())
            else {
                continue;
            };
            match from_files(&[name.into()], &root, places).await {
                Ok(mut access) => {
                    access.origin = format!("{}:{name}", place.name);
                    through(&mut access.config, place);
                    found.push(access);
                }
                Err(status) => trouble = status,
            }
        }
        // An administrator sees all nodes: one is enough.
        if name == ADMIN {
            found.truncate(1);
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(trouble)
}

async fn from_files(paths: &[PathBuf], root: &Root, places: &[Place]) -> Result<Access, Status> {
    let chosen = kubeconfig::read(paths, root).map_err(Status::failed)?;
    let Chosen {
        origin,
        kubeconfig,
        certificate,
        content,
    } = chosen;
    if let Some(certificate) = &certificate
        && let Some(until) = &certificate.until
        && *until < jiff::Timestamp::now()
    {
        let date = until.strftime("%Y-%m-%d");
        return Err(Status::failed(format!(
            "the certificate has expired: that in {origin} on {date}: renew it (kubeadm certs renew)"
        )));
    }
    let mut config = build(kubeconfig, &origin).await.map_err(Status::failed)?;
    if let Some(place) = places
        .iter()
        .find(|place| Some(place.name.as_str()) == config.cluster_url.host())
    {
        lead(&mut config, place);
    }
    let mut fingerprint = DefaultHasher::new();
    content.hash(&mut fingerprint);
    Ok(Access {
        node: certificate.as_ref().and_then(node_of),
        origin,
        config,
        fingerprint: fingerprint.finish(),
    })
}

/// The node of a kubelet, which the API lets see its own pods alone.
///
/// <https://kubernetes.io/docs/reference/access-authn-authz/node/>
fn node_of(certificate: &Certificate) -> Option<String> {
    let user = certificate.user.as_deref()?;
    let node = user.strip_prefix("system:node:")?;
    // It goes into a field selector, where a comma would begin another one.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    (!node.is_empty() && node.chars().all(plain)).then(|| node.to_owned())
}

async fn build(kubeconfig: Kubeconfig, origin: &str) -> Result<Config, String> {
    let proxied = kubeconfig.clusters.iter().any(|named| {
        let cluster = named.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.proxy_url.is_some())
    });
    if proxied {
        return Err(format!(
            "{origin} wants a proxy, which netviz does not speak: give it a kubeconfig without proxy-url"
        ));
    }
    let built = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    // kube's own words may repeat what is in the file.
    let mut config = built.map_err(|_| {
        format!(
            "{origin} holds an address or a certificate that cannot be read: kubectl config view"
        )
    })?;
    // HTTPS_PROXY is meant for the way out; the API is near.
    config.proxy_url = None;
    Ok(config)
}

/// Containers find each other by a name service that the machine itself does not ask: a node that
/// was discovered needs none.
fn lead(config: &mut Config, place: &Place) {
    let Some(host) = config.cluster_url.host().map(str::to_owned) else {
        return;
    };
    let Some(address) = place.addresses.first() else {
        return;
    };
    let authority = match (address, config.cluster_url.port_u16()) {
        (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
        (IpAddr::V4(address), None) => address.to_string(),
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
        (IpAddr::V6(address), None) => format!("[{address}]"),
    };
    let scheme = config.cluster_url.scheme_str().unwrap_or("https");
    if let Ok(url) = format!("{scheme}://{authority}{}", config.cluster_url.path()).parse() {
        config.cluster_url = url;
        // The certificate is still for the name.
        config.tls_server_name.get_or_insert(host);
    }
}

/// A loopback address in another node's file is that node's own.
fn through(config: &mut Config, place: &Place) {
    let host = config.cluster_url.host().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if loopback && !place.roots.iter().any(|root| root == Path::new("/")) {
        lead(config, place);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KUBECONFIG: &str = "{current-context: here, \
        clusters: [{name: c, cluster: {server: 'https://SERVER:6443'}}], \
        contexts: [{name: here, context: {cluster: c, user: u}}], \
        users: [{name: u, user: {tokenFile: /var/token}}]}";

    /// The ways that a node with these files opens.
    fn ways(name: &str, files: &[(&str, &str)]) -> Result<Vec<Access>, Status> {
        let root = env::temp_dir().join(format!("netviz-{name}-{}", std::process::id()));
        for directory in ["etc/kubernetes", "var"] {
            fs::create_dir_all(root.join(directory)).expect("a directory for the test");
        }
        for (path, content) in files {
            fs::write(root.join(path), content).expect("a file for the test");
        }
        let place = Place {
            name: "worker".into(),
            addresses: vec!["172.18.0.2".parse().expect("an address")],
            roots: vec!["/nowhere".into(), root.clone()],
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let found = runtime.expect("a runtime").block_on(from_nodes(&[place]));
        fs::remove_dir_all(root).expect("the test's own directory");
        found
    }

    #[test]
    fn a_node_without_kubernetes_is_no_trouble() {
        assert_eq!(ways("bare", &[]), Err(Status::Absent));
    }

    #[test]
    fn files_of_a_node_are_read_in_its_root_and_lead_to_its_own_address() {
        for server in ["worker", "127.0.0.1", "localhost"] {
            let config = KUBECONFIG.replace("SERVER", server);
            let files = [
                ("etc/kubernetes/kubelet.conf", config.as_str()),
                ("var/token", "t"),
            ];
            let found = ways(&format!("led-{server}"), &files).expect("one way");
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].url(), "https://172.18.0.2:6443");
            assert_eq!(found[0].config.tls_server_name.as_deref(), Some(server));
            assert!(found[0].config.auth_info.token_file.is_none());
            assert!(found[0].config.auth_info.token.is_some());
        }
    }

    #[test]
    fn an_administrator_is_asked_before_a_kubelet() {
        let config = KUBECONFIG.replace("SERVER", "10.0.0.1");
        let files = [
            ("etc/kubernetes/admin.conf", config.as_str()),
            ("etc/kubernetes/kubelet.conf", config.as_str()),
            ("var/token", "t"),
        ];
        let found = ways("both", &files).expect("one way");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].origin, "worker:/etc/kubernetes/admin.conf");
        assert_eq!(found[0].url(), "https://10.0.0.1:6443");
    }

    #[test]
    fn only_the_name_of_a_node_selects_it() {
        let node = |user: &str| {
            node_of(&Certificate {
                user: Some(user.into()),
                until: None,
            })
        };
        assert_eq!(
            node("system:node:worker-1.x").as_deref(),
            Some("worker-1.x")
        );
        for other in [
            "kubernetes-admin",
            "system:node:",
            "system:node:a,b",
            "system:node:a&b",
        ] {
            assert_eq!(node(other), None, "{other}");
        }
    }
}

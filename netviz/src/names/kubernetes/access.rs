//! Where the Kubernetes API is, and with which credentials: `--kubeconfig`, `KUBECONFIG`,
//! `~/.kube/config`, or the service account of a pod. No other credentials are used.

use std::{
    env,
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use kube::{
    Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use nix::fcntl::OFlag;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::error_text;
use crate::{discover::Discovered, model::list, names::source::SourceOptions, sys::rooted_fs};

/// Set in every pod, together with the token.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
const SERVICE_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Larger than any kubeconfig or certificate.
const LARGEST: u64 = 1 << 20;

/// A node that was discovered: its hostname and an address.
pub type Host = (String, IpAddr);

/// The nodes by hostname.
pub(super) fn hosts(found: &Discovered) -> Vec<Host> {
    let nodes = found.cluster.nodes.iter();
    nodes
        .filter_map(|node| {
            let address = node.addresses.first()?.addr();
            Some((node.name.raw().to_owned(), address))
        })
        .collect()
}

/// Address and credentials of the API.
#[derive(Clone, Debug)]
pub struct Access {
    /// The files that it was read from.
    pub(super) origin: String,
    pub(super) config: Config,
    /// The only node whose objects the user may read.
    pub(super) node: Option<String>,
    /// Hash of the files: a copy would hold secrets.
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

/// The access that netviz was given; `None` without any.
///
/// # Errors
///
/// Why it cannot be used, in one line without anything from the files.
pub async fn find(options: &SourceOptions, hosts: &[Host]) -> Result<Option<Access>, String> {
    let paths = match &options.kubeconfig {
        Some(path) => vec![path.clone()],
        None => default_paths(),
    };
    if !paths.is_empty() {
        return from_files(&paths, options.context.clone(), hosts)
            .await
            .map(Some);
    }
    if options.context.is_some() {
        return Err(error_text::NO_KUBECONFIG.into());
    }
    if env::var_os(SERVICE_HOST).is_none() || !Path::new(SERVICE_TOKEN).exists() {
        return Ok(None);
    }
    let config = Config::incluster().map_err(|_| error_text::SERVICE_ACCOUNT)?;
    Ok(Some(Access {
        origin: "service account".into(),
        config,
        node: None,
        // kube itself reads the token and the authority again.
        fingerprint: 0,
    }))
}

/// `KUBECONFIG`, or `~/.kube/config` if it exists.
fn default_paths() -> Vec<PathBuf> {
    if let Some(list) = env::var_os("KUBECONFIG") {
        return env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
    }
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    home.into_iter().filter(|path| path.is_file()).collect()
}

async fn from_files(
    paths: &[PathBuf],
    context: Option<String>,
    hosts: &[Host],
) -> Result<Access, String> {
    let origin = list(paths.iter().map(|path| path.display()), ":");
    let mut fingerprint = DefaultHasher::new();
    let mut merged = Kubeconfig::default();
    for path in paths {
        read(path)?.hash(&mut fingerprint);
        let one = Kubeconfig::read_from(path).and_then(|one| merged.clone().merge(one));
        merged = one.map_err(|error| error_text::of_kubeconfig(&path.display(), &error))?;
    }
    let mut clusters = merged.clusters.iter().flat_map(|named| &named.cluster);
    if clusters.any(|cluster| cluster.proxy_url.is_some()) {
        return Err(error_text::proxy(&origin));
    }
    if let Some(wanted) = &context
        && merged
            .contexts
            .iter()
            .all(|context| context.name != *wanted)
    {
        let names = merged.contexts.iter().map(|context| &context.name);
        return Err(error_text::no_context(&origin, wanted, names));
    }
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    let built = Config::from_custom_kubeconfig(merged, &options).await;
    let mut config = built.map_err(|error| error_text::of_kubeconfig(&origin, &error))?;
    // HTTPS_PROXY is for the way out of the cluster's network.
    config.proxy_url = None;
    // netviz is root: it runs no command that a file names. kube would, when it builds a client.
    if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
        return Err(error_text::command(&origin));
    }
    let pem = certificate(&config.auth_info)?;
    (&config.root_cert, &pem).hash(&mut fingerprint);
    let certificate = pem.as_deref().and_then(Certificate::read);
    let until = certificate.as_ref().and_then(|it| it.until);
    if let Some(until) = until.filter(|until| *until < Timestamp::now()) {
        return Err(error_text::expired(&origin, until));
    }
    resolve(&mut config, hosts);
    Ok(Access {
        node: certificate.as_ref().and_then(Certificate::node),
        origin,
        config,
        fingerprint: fingerprint.finish(),
    })
}

/// A regular file, without waiting for the writer of a FIFO.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut options = File::options();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let data = options
        .open(path)
        .and_then(|file| rooted_fs::contents(file, LARGEST));
    data.map_err(|error| error_text::of_file(path, &error))
}

/// The user's certificate, PEM.
fn certificate(user: &AuthInfo) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = &user.client_certificate_data {
        return Ok(BASE64_STANDARD.decode(data).ok());
    }
    let path = user.client_certificate.as_ref();
    path.map(|path| read(Path::new(path))).transpose()
}

/// A node's hostname that only the nodes can resolve, as in a container network, is replaced by the
/// node's address.
fn resolve(config: &mut Config, hosts: &[Host]) {
    let url = &config.cluster_url;
    let known = hosts
        .iter()
        .find(|(name, _)| Some(name.as_str()) == url.host());
    let Some((name, address)) = known else {
        return;
    };
    let scheme = url.scheme_str().unwrap_or("https");
    let socket = SocketAddr::new(*address, url.port_u16().unwrap_or(443));
    if let Ok(url) = format!("{scheme}://{socket}{}", url.path()).parse() {
        config.cluster_url = url;
        // The server's certificate is for the name.
        config.tls_server_name.get_or_insert(name.clone());
    }
}

/// What is used of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of its subject: the user, for Kubernetes.
    user: Option<String>,
    /// When it expires; `None` for a time beyond the calendar.
    until: Option<Timestamp>,
}

impl Certificate {
    /// The first certificate of a PEM file.
    pub fn read(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let mut users = certificate.subject().iter_common_name();
        let user = users.next().and_then(|user| user.as_str().ok());
        let until = certificate.validity().not_after.timestamp();
        Some(Self {
            user: user.map(str::to_owned),
            until: Timestamp::from_second(until).ok(),
        })
    }

    /// The node of a kubelet, which may read only its own pods.
    ///
    /// <https://kubernetes.io/docs/reference/access-authn-authz/node/>
    fn node(&self) -> Option<String> {
        let node = self.user.as_deref()?.strip_prefix("system:node:")?;
        // It goes into a field selector, where a comma would begin another one.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        (!node.is_empty() && node.chars().all(plain)).then(|| node.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostname_of_a_node_is_replaced_by_its_address() {
        let hosts = [("worker".into(), IpAddr::from([172, 18, 0, 2]))];
        let resolved = |server: &str| {
            let mut config = Config::new(server.parse().expect("a URL"));
            resolve(&mut config, &hosts);
            (config.cluster_url.to_string(), config.tls_server_name)
        };
        assert_eq!(
            resolved("https://worker:6443"),
            ("https://172.18.0.2:6443/".into(), Some("worker".into()))
        );
        assert_eq!(
            resolved("https://other:6443"),
            ("https://other:6443/".into(), None)
        );
    }

    #[test]
    fn only_a_valid_node_name_selects_a_node() {
        let node = |user: &str| {
            let user = Some(user.into());
            Certificate { user, until: None }.node()
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

    #[test]
    fn invalid_certificates_are_rejected() {
        for wrong in [
            "",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIIBhTCCATeg\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIT/////\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(Certificate::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

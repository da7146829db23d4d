//! The errors of this source, each in one line with the remedy. They contain nothing that a server sent, and
//! no credentials.

use std::{error::Error, fmt::Display, io, path::Path};

use jiff::Timestamp;
use kube::{
    config::{KubeconfigError, LoadDataError},
    runtime::watcher,
};

use super::guard::Trouble;
use crate::model::{list, safe};

const NOT_KUBERNETES: &str = "answer is not what Kubernetes sends";
/// Limit on the chain of causes: an error may be its own cause.
const DEPTH: usize = 16;

pub(super) const SERVICE_ACCOUNT: &str = "the pod's service account cannot be read";

pub(super) const NO_KUBECONFIG: &str =
    "--context needs a kubeconfig: --kubeconfig, KUBECONFIG or ~/.kube/config";

/// The error names the contexts: they are no secrets.
pub(super) fn no_context<'a>(
    origin: &str,
    wanted: &str,
    names: impl Iterator<Item = &'a String>,
) -> String {
    let names = list(names.map(|name| safe(name)), ", ");
    format!("{origin}: no context {:?}; it has: {names}", safe(wanted))
}

pub(super) fn of_file(path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::Other => "cannot be opened".into(),
        kind => kind.to_string(),
    };
    format!("cannot read {}: {why}", path.display())
}

/// Why a kubeconfig cannot be used. kube's own text may repeat what is in the file.
pub(super) fn of_kubeconfig(origin: &dyn Display, error: &KubeconfigError) -> String {
    use KubeconfigError as Wrong;
    match error {
        Wrong::CurrentContextNotSet => {
            format!("{origin} has no current context: kubectl config use-context NAME")
        }
        Wrong::LoadContext(_) => format!("{origin} does not contain its current context"),
        Wrong::ReadConfig(error, path)
        | Wrong::LoadCertificateAuthority(LoadDataError::ReadFile(error, path)) => {
            of_file(path, error)
        }
        Wrong::Parse(_) | Wrong::KindMismatch | Wrong::ApiVersionMismatch => {
            format!("{origin} is no kubeconfig")
        }
        _ => format!(
            "{origin} holds an address or a certificate that cannot be read: kubectl config view"
        ),
    }
}

pub(super) fn proxy(origin: &str) -> String {
    format!(
        "{origin} wants a proxy, which netviz does not support: give it a kubeconfig without proxy-url"
    )
}

pub(super) fn command(origin: &str) -> String {
    format!(
        "{origin} gets its credentials from a command, which netviz does not run as root: \
         give it a kubeconfig with a token or a certificate (--kubeconfig)"
    )
}

pub(super) fn expired(origin: &str, until: Timestamp) -> String {
    let date = until.strftime("%Y-%m-%d");
    format!(
        "the certificate has expired: that in {origin} on {date}: renew it (kubeadm certs renew)"
    )
}

pub(super) fn credentials(origin: &str) -> String {
    format!("the certificate, key or token in {origin} cannot be used: renew it")
}

pub(super) fn too_much(url: &str, what: &str, bytes: usize) -> String {
    format!("{url}: more than {} MiB of {what}", bytes >> 20)
}

/// Why a list or watch of `what` at `url` failed; `None` where that is normal.
pub(super) fn of_watch(url: &str, what: &str, error: &watcher::Error) -> Option<String> {
    let text = match error {
        // The resource version is too old: kube lists again.
        watcher::Error::WatchError(status) if status.code == 410 => return None,
        watcher::Error::WatchError(status) => of_code(url, what, status.code),
        watcher::Error::NoResourceVersion => format!("{url}: {NOT_KUBERNETES}"),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) if status.code == 410 => return None,
            error => of_request(url, what, error),
        },
    };
    Some(text)
}

/// Why a request for `what` at `url` failed.
pub(super) fn of_request(url: &str, what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => of_code(url, what, status.code),
        kube::Error::SerdeError(_)
        | kube::Error::FromUtf8(_)
        | kube::Error::LinesCodecMaxLineLengthExceeded => format!("{url}: {NOT_KUBERNETES}"),
        other => of_causes(url, other),
    }
}

fn of_code(url: &str, what: &str, code: u16) -> String {
    match code {
        401 => format!("{url} does not accept the credentials: renew them"),
        403 => format!("forbidden: needs list and watch of {what}: apply docs/rbac.yaml"),
        400..=599 => format!("{url} answers {code} to a request for {what}"),
        _ => format!("{url}: {NOT_KUBERNETES}"),
    }
}

/// Errors from below kube: sockets, TLS, HTTP.
pub(super) fn of_causes(url: &str, error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    let mut refused = None;
    for _ in 0..DEPTH {
        let Some(this) = cause else { break };
        if let Some(trouble) = this.downcast_ref::<Trouble>() {
            return format!("{url}: {trouble}");
        }
        if let Some(error) = this.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            return format!("{url}: {NOT_KUBERNETES}");
        }
        if let Some(error) = this.downcast_ref::<rustls::Error>() {
            return format!("{url}: {}", of_tls(error));
        }
        let io = this.downcast_ref::<io::Error>();
        if let Some(error) = io {
            refused = Some(error.kind());
        }
        // The error inside of an io::Error is not its source.
        cause = match io.and_then(io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => this.source(),
        };
    }
    let why = match refused {
        Some(io::ErrorKind::TimedOut) => "no answer".to_owned(),
        Some(io::ErrorKind::Other) | None => {
            return format!("cannot reach {url}: try kubectl");
        }
        Some(kind) => kind.to_string(),
    };
    format!("cannot reach {url}: {why}")
}

/// Errors of TLS. rustls has two variants for some of them, the second with more context.
fn of_tls(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Wrong, Error};
    match error {
        Error::InvalidMessage(_) => "does not speak TLS",
        Error::PeerIncompatible(_) => "speaks neither TLS 1.2 nor 1.3 as netviz does",
        Error::InvalidCertificate(wrong) => match wrong {
            Wrong::Expired | Wrong::ExpiredContext { .. } => "the certificate has expired",
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                "the certificate is not valid yet: one of the clocks is wrong"
            }
            // kubeadm names the authority of every cluster "kubernetes": then only the signature differs.
            Wrong::UnknownIssuer | Wrong::BadSignature => {
                "the certificate is not of the authority that the kubeconfig names"
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            _ => "the certificate is not accepted",
        },
        // The server's answer to the client's certificate.
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => "does not accept the credentials: renew them",
        _ => "TLS fails: try kubectl",
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, Error as Tls};

    use super::*;

    /// As hyper-rustls wraps it: in an io::Error, in another one.
    fn text(error: Tls) -> String {
        let inner = io::Error::new(io::ErrorKind::InvalidData, error);
        of_causes("https://here", &io::Error::other(inner))
    }

    #[test]
    fn errors_of_tls_are_known_by_their_type() {
        for (error, words) in [
            (
                Tls::InvalidCertificate(CertificateError::Expired),
                "the certificate has expired",
            ),
            (
                Tls::InvalidCertificate(CertificateError::NotValidYet),
                "the certificate is not valid yet: one of the clocks is wrong",
            ),
            (
                Tls::InvalidCertificate(CertificateError::BadSignature),
                "the certificate is not of the authority that the kubeconfig names",
            ),
            (
                Tls::InvalidCertificate(CertificateError::Revoked),
                "the certificate is not accepted",
            ),
            (
                Tls::AlertReceived(AlertDescription::CertificateExpired),
                "does not accept the credentials: renew them",
            ),
            // The text of an error is not compared.
            (
                Tls::General("the certificate has expired".into()),
                "TLS fails: try kubectl",
            ),
        ] {
            assert_eq!(text(error), format!("https://here: {words}"));
        }
    }
}

//! Errors of kube, in one line for a person. Nothing of what a server wrote is repeated, and
//! nothing of the credentials.

use std::{error::Error, io};

use kube::runtime::watcher;

use super::guard::Trouble;

const NOT_KUBERNETES: &str = "answer is not what Kubernetes sends";
/// How deep causes are followed: an error may name itself as its cause.
const DEPTH: usize = 16;

/// Why a list or watch of `what` at `url` failed; `None` where it is the daily course of things.
pub(super) fn of_watch(url: &str, what: &str, error: &watcher::Error) -> Option<String> {
    let text = match error {
        // Too old a version to go on from: it is listed anew.
        watcher::Error::WatchError(status) if status.code == 410 => return None,
        watcher::Error::WatchError(status) => of_code(url, what, status.code),
        watcher::Error::NoResourceVersion => format!("{url}: {NOT_KUBERNETES}"),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) if status.code == 410 => return None,
            kube::Error::Api(status) => of_code(url, what, status.code),
            kube::Error::SerdeError(_)
            | kube::Error::FromUtf8(_)
            | kube::Error::LinesCodecMaxLineLengthExceeded => format!("{url}: {NOT_KUBERNETES}"),
            other => of_causes(url, other),
        },
    };
    Some(text)
}

fn of_code(url: &str, what: &str, code: u16) -> String {
    match code {
        401 => format!("{url} does not accept the credentials: renew them"),
        403 => format!("forbidden: needs list and watch of {what}: apply docs/rbac.yaml"),
        400..=599 => format!("{url} answers {code} when asked for {what}"),
        _ => format!("{url}: {NOT_KUBERNETES}"),
    }
}

/// From what lies below kube: sockets, TLS, HTTP.
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
        // What an io::Error wraps is not its source, but its inside.
        cause = match io.and_then(io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => this.source(),
        };
    }
    let why = match refused {
        Some(io::ErrorKind::TimedOut) => "no answer".to_owned(),
        Some(io::ErrorKind::Other) | None => {
            return format!("cannot reach {url}: look at it with kubectl");
        }
        Some(kind) => kind.to_string(),
    };
    format!("cannot reach {url}: {why}")
}

/// What is wrong with TLS. rustls says some of it in two ways, the second one with more in it.
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
            // kubeadm calls the authority of every cluster "kubernetes": then it is the signature
            // by which another one's is known.
            Wrong::UnknownIssuer | Wrong::BadSignature => {
                "the certificate is not of the authority that the kubeconfig names"
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            _ => "the certificate is not accepted",
        },
        // What the server says of the certificate that it was shown.
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => "does not accept the credentials: renew them",
        _ => "TLS fails: look at it with kubectl",
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, Error as Tls};

    use super::*;

    /// As hyper-rustls hands it on: in an error of the socket, in another one.
    fn said(error: Tls) -> String {
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
            // A word in an error is not what the error is.
            (
                Tls::General("the certificate has expired".into()),
                "TLS fails: look at it with kubectl",
            ),
        ] {
            assert_eq!(said(error), format!("https://here: {words}"));
        }
    }
}

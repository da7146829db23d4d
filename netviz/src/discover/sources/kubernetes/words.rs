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
        if let Some(text) = of_certificate(&this.to_string()) {
            return format!("{url}: {text}");
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

/// By the words of rustls, whose own type lies too deep to be asked.
fn of_certificate(text: &str) -> Option<&'static str> {
    if text.contains("received corrupt message") {
        return Some("does not speak TLS");
    }
    if !text.contains("certificate") {
        return None;
    }
    let text = text.to_ascii_lowercase();
    Some(if text.contains("expired") {
        "the certificate has expired"
    } else if text.contains("unknownissuer") || text.contains("unknown issuer") {
        "the certificate is not of the authority that the kubeconfig names"
    } else if text.contains("not valid for name") || text.contains("notvalidforname") {
        "the certificate is for another name"
    } else {
        "the certificate is not accepted"
    })
}

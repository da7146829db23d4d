//! For the tests: ways to what reads what others wrote.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::api::{ObjectList, WatchEvent};
use serde::de::DeserializeOwned;

use super::{
    access,
    certificate::Certificate,
    objects::{NodeSeen, PodSeen, Seen, ServiceSeen},
    session,
};
use crate::names::SourceOptions;

/// An answer of the API, or a line of a watch: how many objects are kept of it.
pub(crate) fn objects(bytes: &[u8]) -> usize {
    kept::<PodSeen>(bytes) + kept::<NodeSeen>(bytes) + kept::<ServiceSeen>(bytes)
}

/// As kube reads them.
fn kept<T: Seen + Clone + DeserializeOwned>(bytes: &[u8]) -> usize {
    let list = serde_json::from_slice::<ObjectList<T>>(bytes).map(|list| list.items);
    let line = match serde_json::from_slice::<WatchEvent<T>>(bytes) {
        Ok(WatchEvent::Added(one) | WatchEvent::Modified(one) | WatchEvent::Deleted(one)) => {
            Some(one)
        }
        _ => None,
    };
    let kept = |one: T| {
        one.key()?;
        one.fact().map(|fact| T::size(&fact))
    };
    let all = list.unwrap_or_default().into_iter().chain(line);
    all.filter_map(kept).count()
}

/// A kubeconfig, and everything that it holds: whether the API can be asked by it.
pub(crate) fn kubeconfig(path: &Path) -> bool {
    let options = SourceOptions {
        kubeconfig: Some(path.into()),
        services: false,
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    let ways = runtime.block_on(async {
        let ways = access::find(&options, &[]).await.unwrap_or_default();
        ways.iter()
            .filter(|way| session::client(way).is_ok())
            .count()
    });
    ways > 0
}

/// A file with a certificate, or what is in its armour: whether it is one.
pub(crate) fn certificate(bytes: &[u8]) -> bool {
    let armour = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64_STANDARD.encode(bytes)
    );
    [bytes, armour.as_bytes()]
        .into_iter()
        .any(|pem| Certificate::read(pem).is_some())
}

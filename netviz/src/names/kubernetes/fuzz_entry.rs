//! Entry points for fuzz tests.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::api::{ObjectList, WatchEvent};
use serde::de::DeserializeOwned;

use super::{
    access::{self, Certificate},
    objects::{NodeSeen, Object, PodSeen, ServiceSeen},
    session,
};
use crate::names::SourceOptions;

/// Parses an answer of the API, or a watch line. Returns the number of objects that are kept.
pub(crate) fn objects(bytes: &[u8]) -> usize {
    kept::<PodSeen>(bytes) + kept::<NodeSeen>(bytes) + kept::<ServiceSeen>(bytes)
}

/// Parses like kube.
fn kept<T: Object + Clone + DeserializeOwned>(bytes: &[u8]) -> usize {
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

/// Reads a kubeconfig. Returns whether a client can be built from it.
pub(crate) fn kubeconfig(path: &Path) -> bool {
    let options = SourceOptions {
        kubeconfig: Some(path.into()),
        services: false,
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let access = access::find(&options, &[]).await.ok().flatten();
        access.is_some_and(|access| session::client(&access).is_ok())
    })
}

/// Parses a certificate, PEM or DER. Returns whether it is one.
pub(crate) fn certificate(bytes: &[u8]) -> bool {
    let armour = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64_STANDARD.encode(bytes)
    );
    [bytes, armour.as_bytes()]
        .into_iter()
        .any(|pem| Certificate::read(pem).is_some())
}

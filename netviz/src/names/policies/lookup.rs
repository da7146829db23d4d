//! Finds the policies that select a pod: from the agent of its node, else from the Kubernetes API.

use std::{net::IpAddr, sync::Arc};

use tokio::runtime::Runtime;

use super::Selecting;
use crate::{
    discover::Discovered,
    model::{Direction, NetNsId},
    names::{cilium, kubernetes, source::SourceOptions},
    sys::descriptors,
};

pub use crate::names::kubernetes::policies::PodKey;

/// A pod whose policies may be why packets were dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its network namespace.
    pub netns: NetNsId,
    /// That of its node.
    pub node: NetNsId,
    /// Its address.
    pub address: IpAddr,
    /// As Kubernetes knows it; `None` if no source names it.
    pub key: Option<PodKey>,
}

/// Asks for policies. What the Kubernetes API answers is kept.
pub struct PolicyReader {
    found: Arc<Discovered>,
    options: SourceOptions,
    /// `None`: there are too few file descriptors.
    runtime: Option<Runtime>,
    api: Option<kubernetes::policies::Reader>,
}

impl PolicyReader {
    /// Reads nothing yet.
    pub fn new(found: Arc<Discovered>, options: SourceOptions) -> Self {
        let runtime = descriptors::runtime();
        Self {
            found,
            options,
            runtime: runtime.inspect_err(|error| log::info!("{error}")).ok(),
            api: None,
        }
    }

    /// The policies that select a pod and restrict this direction, as seen from the pod.
    pub fn selecting(&mut self, pod: &Subject, direction: Direction) -> Selecting {
        let Some(runtime) = &self.runtime else {
            return Selecting::default();
        };
        let roots = self.found.roots.get(&pod.node);
        let roots = roots.map_or(&[][..], Vec::as_slice);
        let reported = cilium::policies::of_endpoint(roots, pod.address, direction);
        if let Some(policies) = runtime.block_on(reported) {
            let unread = Vec::new();
            return Selecting { policies, unread };
        }
        let Some(key) = &pod.key else {
            return Selecting::default();
        };
        let (found, options) = (&self.found, &self.options);
        let api = self.api.get_or_insert_with(|| {
            runtime.block_on(kubernetes::policies::Reader::new(options, found))
        });
        runtime.block_on(api.selecting(key, pod.address, direction))
    }
}

//! Nodes by name and address, and disagreements at them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    model::{Cluster, Disagreement, Untrusted},
    names::report::NodeFact,
};

/// Whether a fact is about the node with this name and these addresses.
pub(super) fn is_node(fact: &NodeFact, name: &Untrusted, addresses: &[IpNet]) -> bool {
    *name == fact.name || share(&fact.addresses, addresses)
}

/// Whether a node's addresses, with their prefix lengths, include one of `addresses`.
pub(super) fn share(addresses: &[IpAddr], of_node: &[IpNet]) -> bool {
    of_node.iter().any(|own| addresses.contains(&own.addr()))
}

/// A disagreement at the node with this index.
pub(super) fn disagreement(
    cluster: &Cluster,
    node: usize,
    about: impl Into<String>,
    what: String,
) -> Disagreement {
    Disagreement {
        node: cluster.nodes[node].name.clone(),
        about: about.into(),
        what,
    }
}

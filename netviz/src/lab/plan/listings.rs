//! The blog's cluster, as its listings give it.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use ipnet::Ipv4Net;
use serde::Deserialize;

use super::topology::{Door, mac};
use crate::sys::netlink::Mac;

const LISTINGS: &str = include_str!("listings.json");

#[derive(Debug, Deserialize)]
pub(super) struct Listings {
    pub(super) nodes: Vec<ListedNode>,
    pub(super) pods: Vec<ListedPod>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedNode {
    pub(super) name: String,
    pub(super) ip: Ipv4Addr,
    pub(super) ip6: Option<Ipv6Addr>,
    pub(super) pod_cidr: Option<Ipv4Net>,
    /// `None`: the listings do not show this node, and the lab does not have it.
    pub(super) interfaces: Option<Vec<ListedInterface>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedInterface {
    #[serde(flatten)]
    pub(super) door: Door,
    pub(super) peer_ifindex: Option<u32>,
    pub(super) netns: Option<String>,
    pub(super) address: Option<Ipv4Net>,
    pub(super) pod: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedPod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) ip: Ipv4Addr,
    #[serde(deserialize_with = "mac")]
    pub(super) mac: Mac,
}

pub(super) fn listings() -> Result<Listings> {
    serde_json::from_str(LISTINGS).context("reading the built-in lab/plan/listings.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_have_two_nodes_and_four_pods() {
        let listings = listings().unwrap();
        let shown = listings
            .nodes
            .iter()
            .filter(|node| node.interfaces.is_some());
        assert_eq!(shown.count(), 2);
        assert_eq!(listings.pods.len(), 4);
    }
}

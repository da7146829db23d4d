//! The blog's cluster, as its listings give it.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::sys::netlink::Mac;

const LISTINGS: &str = include_str!("cluster.json");

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
    pub(super) pod_cidr: Option<String>,
    /// `None`: the listings do not show this node, and the laboratory does not have it.
    pub(super) interfaces: Option<Vec<ListedInterface>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedInterface {
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) peer_ifindex: Option<u32>,
    pub(super) netns: Option<String>,
    #[serde(deserialize_with = "mac")]
    pub(super) mac: Mac,
    pub(super) address: Option<String>,
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
    serde_json::from_str(LISTINGS).context("reading the built-in lab/cluster.json")
}

/// `address/prefix`, as the listings write both addresses and networks.
pub(super) fn network(text: &str) -> Result<(Ipv4Addr, u8)> {
    let parts = text
        .split_once('/')
        .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    parts.with_context(|| format!("{text} is not of the form 10.0.0.0/24"))
}

fn mac<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_mac(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is not a MAC")))
}

fn parse_mac(text: &str) -> Option<Mac> {
    let bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect::<Option<Vec<_>>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listings_show_two_nodes_and_four_pods() {
        let listings = listings().unwrap();
        let shown = listings
            .nodes
            .iter()
            .filter(|node| node.interfaces.is_some());
        assert_eq!(shown.count(), 2);
        assert_eq!(listings.pods.len(), 4);
    }

    #[test]
    fn macs_and_networks_are_read_strictly() {
        assert_eq!(
            parse_mac("02:42:ac:12:00:02"),
            Some([2, 0x42, 0xac, 0x12, 0, 2])
        );
        assert_eq!(parse_mac("02:42:ac:12:00"), None);
        assert_eq!(parse_mac("02:42:ac:12:00:zz"), None);
        assert_eq!(
            network("10.10.2.0/24").unwrap(),
            (Ipv4Addr::new(10, 10, 2, 0), 24)
        );
        assert!(network("10.10.2.0").is_err());
    }
}

//! What the kernel said of packets that it threw away.

use std::{collections::BTreeMap, time::Duration};

use super::{outcomes::Evidence, trail::Trail};
use crate::verify::{observation::Way, verdict::DropReason};

/// Why, where, and of how many.
#[derive(Default)]
pub(super) struct Drops(BTreeMap<DropReason, u32>);

impl Drops {
    /// Adds what was said of a packet after it was seen for the last time: what was said before
    /// was of a copy, or of what came to its end as it should.
    pub(super) fn add(&mut self, evidence: &Evidence<'_>, packet: u32, way: Way) {
        let last = |course: &Trail| course.walks.get(&packet).map(|walk| walk.ended);
        let request = last(evidence.request);
        let seen = match way {
            Way::Request => request,
            Way::Reply => last(evidence.reply).or(request),
        };
        let seen = seen.unwrap_or(Duration::ZERO);
        let drops = evidence.observation.drops.iter();
        let behind = drops.filter(|drop| drop.sequence == packet && drop.at >= seen);
        if let Some(first) = behind.min_by_key(|drop| drop.at) {
            *self.0.entry(first.reason.clone()).or_default() += 1;
        }
    }

    /// The most frequent first.
    fn sorted(&self) -> Vec<(&DropReason, u32)> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .map(|(reason, packets)| (reason, *packets))
            .collect();
        all.sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
        all
    }

    /// What was said of most.
    pub(super) fn most(&self) -> Option<DropReason> {
        let (reason, packets) = self.sorted().into_iter().next()?;
        Some(DropReason {
            packets,
            ..reason.clone()
        })
    }

    /// All that was said.
    pub(super) fn sentences(&self) -> impl Iterator<Item = String> {
        let sentence = |(reason, packets): (&DropReason, u32)| sentence(reason, packets);
        let all: Vec<_> = self.sorted().into_iter().map(sentence).collect();
        all.into_iter()
    }
}

/// `the kernel threw 4 away: NEIGH_FAILED (nobody answers for the address), in neigh_invalidate, at
/// eth0 of mycluster-worker`
fn sentence(drop: &DropReason, packets: u32) -> String {
    let DropReason {
        reason,
        function,
        device,
        place,
        ..
    } = drop;
    let mut said = format!("the kernel threw {packets} away");
    match reason {
        Some(reason) => {
            said.push_str(&format!(": {reason}"));
            if let Some(words) = words(reason) {
                said.push_str(&format!(" ({words})"));
            }
        }
        None => said.push_str(", and has no reasons to say (Linux 5.17)"),
    }
    if let Some(function) = function {
        said.push_str(&format!(", in {function}"));
    }
    match (device, place) {
        (Some(device), Some(place)) => said.push_str(&format!(", at {device} of {place}")),
        (Some(device), None) => said.push_str(&format!(", at {device}")),
        (None, Some(place)) => said.push_str(&format!(", in {place}")),
        (None, None) => {}
    }
    said
}

/// What a reason means for who looks for a lost packet (`include/net/dropreason-core.h`). It is
/// known by its name, as the running kernel has it, never by its number.
fn words(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NOT_SPECIFIED" => "it says no more; the function may",
        "NO_SOCKET" => "nobody listens there",
        "OTHERHOST" => "the frame's MAC address is somebody else's",
        "IP_INNOROUTES" | "IP_OUTNOROUTES" => "no route",
        "IP_RPFILTER" => "its source is not reached by that device: rp_filter",
        "IP_INHDR" => "a header that makes no sense, or a TTL that ended",
        "IP_LOCALNET" => "an address of 127.0.0.0/8 from outside",
        "IP_INVALID_SOURCE" | "IP_INVALID_DEST" | "IP_LOCAL_SOURCE" => {
            "an address that cannot come that way"
        }
        "NEIGH_FAILED" => "nobody answers for the address: host down, or away",
        "NEIGH_QUEUEFULL" => "too many wait for a neighbour's answer",
        "NEIGH_DEAD" => "the neighbour's entry was removed",
        "PKT_TOO_BIG" => "longer than the MTU",
        "NETFILTER_DROP" => "a rule of iptables or nftables",
        "TC_INGRESS" | "TC_EGRESS" => "a program or filter at the hook: Cilium's, or another's",
        "BPF_CGROUP_EGRESS" => "a program at the cgroup",
        "XDP" => "an XDP program",
        "QDISC_DROP" | "FULL_RING" | "CPU_BACKLOG" => "a queue was full",
        "DEV_READY" | "DEV_HDR" => "the device was not ready: down, or no header could be made",
        "SOCKET_RCVBUFF" => "the receiver does not read fast enough",
        "SOCKET_FILTER" => "a filter at the socket",
        "UDP_CSUM" | "TCP_CSUM" | "ICMP_CSUM" | "IP_CSUM" | "SKB_CSUM" => "a wrong checksum",
        "XFRM_POLICY" => "an IPsec policy",
        "VXLAN_VNI_NOT_FOUND" | "TUNNEL_TXINFO" => "the tunnel does not know where to",
        "IP_TUNNEL_ECN" => "the tunnel's congestion marks contradict each other",
        _ => return None,
    })
}

//! The kernel's reasons of drops in words.

/// What a reason means for a lost packet (`include/net/dropreason-core.h`). Reasons are known by the
/// name that the running kernel has for them, never by number.
pub(super) fn explanation(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NO_SOCKET" => "no listener",
        "OTHERHOST" => "the frame has the MAC address of another host",
        "IP_INNOROUTES" | "IP_OUTNOROUTES" => "no route",
        "IP_RPFILTER" => "rp_filter: the source is not reached by that device",
        "IP_INHDR" => "invalid header, or the TTL ended",
        "IP_LOCALNET" => "an address of 127.0.0.0/8 from outside",
        "IP_INVALID_SOURCE" | "IP_INVALID_DEST" | "IP_LOCAL_SOURCE" => {
            "an address that cannot come that way"
        }
        "NEIGH_FAILED" => "no answer from the neighbour: host down or gone",
        "NEIGH_QUEUEFULL" => "too many packets wait for a neighbour's answer",
        "NEIGH_DEAD" => "the neighbour's entry was removed",
        "PKT_TOO_BIG" => "longer than the MTU",
        "TC_INGRESS" | "TC_EGRESS" => "a program or filter at the hook",
        "BPF_CGROUP_EGRESS" => "a program at the cgroup",
        "XDP" => "an XDP program",
        "QDISC_DROP" | "FULL_RING" | "CPU_BACKLOG" => "a full queue",
        "DEV_READY" | "DEV_HDR" => "the device is down, or no header could be made",
        "SOCKET_RCVBUFF" => "the receiver does not read fast enough",
        "SOCKET_FILTER" => "a filter at the socket",
        "UDP_CSUM" | "TCP_CSUM" | "ICMP_CSUM" | "IP_CSUM" | "SKB_CSUM" => "a wrong checksum",
        "XFRM_POLICY" => "an IPsec policy",
        "VXLAN_VNI_NOT_FOUND" | "TUNNEL_TXINFO" => "the tunnel has no destination",
        "IP_TUNNEL_ECN" => "the tunnel's congestion marks contradict each other",
        _ => return None,
    })
}

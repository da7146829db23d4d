//! The ends, the protocol and the times of a flow in words, the same in every view.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;

use super::{owners::Owner, report::NamedFlow};
use crate::{
    model::{Counts, Direction, OutsideFlows, TcpFlags, Transport, Untrusted},
    views::{
        protocol,
        text::{UNKNOWN, count},
    },
};

/// The name of an owner: `shop/web-0`, `node/kind-worker`, `svc/shop/web`.
pub(super) fn owner(owner: &Owner) -> Option<String> {
    Some(match owner {
        Owner::Pod {
            namespace, name, ..
        } => name.within(namespace.as_ref()).to_string(),
        Owner::Health { node } => format!("health/{node}"),
        Owner::Node { name } => format!("node/{name}"),
        Owner::Service { namespace, name } => format!("svc/{}", name.within(namespace.as_ref())),
        Owner::Ambiguous => return None,
    })
}

/// One end of a flow.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    /// The owner's name, else the address.
    pub(super) name: String,
    /// `:443`, or nothing.
    pub(super) port: String,
}

impl End {
    fn new(known: Option<&Owner>, address: IpAddr, port: Option<u16>) -> Self {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let name = known.and_then(owner).unwrap_or_else(|| match address {
            IpAddr::V6(address) if !port.is_empty() => format!("[{address}]"),
            address => address.to_string(),
        });
        let mark = match known {
            // Explained below the table.
            Some(Owner::Ambiguous) => "*",
            _ => "",
        };
        Self {
            name,
            port: format!("{port}{mark}"),
        }
    }
}

/// Source and destination.
pub(super) fn ends(flow: &NamedFlow) -> [End; 2] {
    let key = &flow.flow.key;
    let ports = match key.transport {
        Transport::Ports {
            source,
            destination,
        } if !key.fragment => [Some(source), Some(destination)],
        _ => [None; 2],
    };
    [
        End::new(flow.source_owner.as_ref(), key.source, ports[0]),
        End::new(flow.destination_owner.as_ref(), key.destination, ports[1]),
    ]
}

/// The pod behind the service's address, or the service in front of the pod.
pub(super) fn translated(flow: &NamedFlow) -> Option<String> {
    let both = flow.translation?;
    let key = &flow.flow.key;
    let asks = [key.source, key.destination].contains(&both.asked.ip());
    let (what, owner, address) = match asks {
        true => ("answered by", &flow.answered_by, both.answered),
        false => ("asked for", &flow.asked_for, both.asked),
    };
    let end = End::new(owner.as_ref(), address.ip(), Some(address.port()));
    Some(format!("{what} {}{}", end.name, end.port))
}

/// `tcp`, `icmp echo`, `udp fragments`.
pub(super) fn protocol(flow: &NamedFlow) -> String {
    let key = &flow.flow.key;
    let mut text = protocol::name(key.protocol);
    if let Transport::Icmp { kind, code, .. } = key.transport {
        let known = match (key.protocol, kind) {
            (protocol::ICMP, 8) | (protocol::ICMPV6, 128) => "echo",
            (protocol::ICMP, 0) | (protocol::ICMPV6, 129) => "reply",
            (protocol::ICMPV6, 135) => "neighbor?",
            (protocol::ICMPV6, 136) => "neighbor",
            (protocol::ICMP, 3) | (protocol::ICMPV6, 1) => "unreachable",
            _ => "",
        };
        text += &match known {
            "" => format!(" {kind}/{code}"),
            known => format!(" {known}"),
        };
    }
    if key.fragment {
        text += " fragments";
    }
    text
}

/// `identity 33129 worker → worker2` of a flow in a tunnel.
pub(super) fn tunnel(flow: &NamedFlow) -> Option<String> {
    let tunnel = flow.flow.key.tunnel?;
    let mut text = format!("tunnel {}", tunnel.id);
    if let Some(outer) = flow.flow.outer {
        let name = |node: &Option<Untrusted>, address: Option<IpAddr>| match (node, address) {
            (Some(node), _) => node.to_string(),
            (None, Some(address)) => address.to_string(),
            // At the tunnel's device, only the other node is known.
            (None, None) => "here".to_owned(),
        };
        let from = name(&flow.tunnel_from, outer.source);
        text += &format!(" {from} → {}", name(&flow.tunnel_to, outer.destination));
    }
    Some(text)
}

/// The flags that were seen, as tcpdump writes them: `SYN` is S.
pub(super) fn flags(TcpFlags(flags): TcpFlags) -> String {
    const LETTERS: [(u8, char); 8] = [
        (2, 'S'),
        (16, 'A'),
        (8, 'P'),
        (1, 'F'),
        (4, 'R'),
        (32, 'U'),
        (64, 'E'),
        (128, 'W'),
    ];
    let set = LETTERS.iter().filter(|(bit, _)| flags & bit != 0);
    set.map(|(_, letter)| letter).collect()
}

/// Unix time in milliseconds.
pub(super) fn milliseconds(taken_at: &str) -> Option<u64> {
    let taken: Timestamp = taken_at.parse().ok()?;
    u64::try_from(taken.as_millisecond()).ok()
}

/// The time from `then` to `now`, in one unit: `12s`.
pub(super) fn age(then: u64, now: Option<u64>) -> String {
    let Some(now) = now else {
        return UNKNOWN.into();
    };
    let seconds = Duration::from_millis(now.saturating_sub(then)).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `▼ 120 packets of evicted flows, 3 packets that are not IP`: packets of a hook in no flow.
pub(super) fn outside(direction: Direction, outside: &OutsideFlows) -> Option<String> {
    Some(format!("{} {}", direction.sign(), outside_of_all(outside)?))
}

/// The same without a hook.
pub(super) fn outside_of_all(outside: &OutsideFlows) -> Option<String> {
    let OutsideFlows {
        evicted,
        unparsed,
        unread,
    } = outside;
    let part = |counts: &Counts, what: &str| {
        (counts.packets > 0).then(|| format!("{} {what}", packets(counts.packets)))
    };
    let parts = [
        part(evicted, "of evicted flows"),
        part(unparsed, "that are not IP"),
        part(unread, "before flows were counted or since they were read"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `1 packet`, `1 204 packets`
pub(super) fn packets(number: u64) -> String {
    match number {
        1 => "1 packet".into(),
        number => format!("{} packets", count(Some(number))),
    }
}

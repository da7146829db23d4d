//! netviz's parsers of foreign bytes, each as a function that fuzz tests call.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::api::{ObjectList, WatchEvent};
use netlink_packet_route::RouteNetlinkMessage;
use netviz::{
    attach::clsact,
    discover,
    names::{
        SourceOptions,
        kubernetes::{
            access::{self, Certificate},
            objects::{NodeSeen, Object, PodSeen, ServiceSeen},
            session,
        },
        maps::{drop_counters, pinned},
    },
    sys::netlink::{
        self,
        notifications::{self, Origin},
    },
    verify::collect::probe::{ProbeOptions, ProbeTarget, Protocol, packet},
};
use serde::de::DeserializeOwned;

/// The sequence number of the request that [`netlink_answer`] expects answers to.
pub const SEQUENCE: u32 = 7;

/// Parses one datagram of an answer. Returns the number of messages.
pub fn netlink_answer(datagram: &[u8]) -> usize {
    netlink::parse(datagram, SEQUENCE).len()
}

/// Parses an answer about links and addresses. Returns the number of interfaces.
pub fn interfaces(datagram: &[u8]) -> usize {
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    for answer in netlink::parse(datagram, SEQUENCE) {
        match answer {
            RouteNetlinkMessage::NewLink(link) => links.push(link),
            RouteNetlinkMessage::NewAddress(address) => addresses.push(address),
            _ => {}
        }
    }
    discover::links(links, addresses).len()
}

/// Parses an answer about filters. Returns the number of filters, and of those that netviz takes for its
/// own.
pub fn filters(datagram: &[u8]) -> (usize, usize) {
    let filters = clsact::listed(netlink::parse(datagram, SEQUENCE));
    let own = filters.iter().filter(|it| it.maker().is_some());
    (filters.len(), own.count())
}

/// Parses an answer about namespace ids. Returns the id.
pub fn namespace_id(datagram: &[u8]) -> Option<i32> {
    netlink::nsid(&netlink::parse(datagram, SEQUENCE))
}

/// Parses a datagram of notifications. Returns their number.
pub fn netlink_notifications(datagram: &[u8]) -> usize {
    notifications::parse(datagram, Origin::Own).len()
}

/// Parses an answer of the Kubernetes API, or a line of a watch, as kube does. Returns the number of
/// objects that are kept.
pub fn kubernetes_objects(bytes: &[u8]) -> usize {
    kept::<PodSeen>(bytes) + kept::<NodeSeen>(bytes) + kept::<ServiceSeen>(bytes)
}

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
pub fn kubeconfig(path: &Path) -> bool {
    let options = SourceOptions {
        kubeconfig: Some(path.into()),
        ..SourceOptions::default()
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let access = access::find(&options, &[]).await.ok().flatten();
        access.is_some_and(|access| session::client(&access).is_ok())
    })
}

/// Parses a certificate, PEM or DER. Returns whether it is one.
pub fn certificate(bytes: &[u8]) -> bool {
    let armour = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64_STANDARD.encode(bytes)
    );
    [bytes, armour.as_bytes()]
        .into_iter()
        .any(|pem| Certificate::read(pem).is_some())
}

/// Parses two readings of `cilium_metrics` of two CPUs, each half of `bytes`. Returns the drops between
/// them in words.
pub fn cilium_drops(bytes: &[u8]) -> Vec<String> {
    const ENTRY: usize = 8 + 2 * 16;
    let entry = |bytes: &[u8; ENTRY]| {
        let (key, values) = bytes.split_first_chunk().expect("a key");
        let (values, _) = values.as_chunks();
        (*key, pinned::sum(values, drop_counters::packets))
    };
    let read = |bytes: &[u8]| {
        let (all, _) = bytes.as_chunks();
        drop_counters::drops(&all.iter().map(entry).collect::<Vec<_>>())
    };
    let (before, after) = bytes.split_at(bytes.len() / 2);
    let drops = drop_counters::between(&read(before), &read(after));
    let words = drops
        .iter()
        .map(|drop| format!("{drop}: {} packets", drop.packets));
    words.collect()
}

/// The protocols of probes.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Icmp, Protocol::Udp, Protocol::Tcp];

/// The marker of the run that [`probes`] describes.
pub const COOKIE: [u8; 16] = *b"netviz, mangled!";

/// How a run sends probes by `protocol`.
pub fn probes(protocol: Protocol) -> ProbeOptions {
    ProbeOptions {
        whole: true,
        protocol,
        count: 4,
        interval: Duration::from_millis(5),
        size: 84,
        patience: Duration::from_millis(300),
        cookie: COOKIE,
        prefix: 0,
    }
}

/// Parses a datagram from a sender's socket. Returns the number of protocols and address families for
/// which it is an answer.
pub fn probe_answer(datagram: &[u8]) -> usize {
    let to = [
        IpAddr::V4(Ipv4Addr::new(10, 10, 1, 164)),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let pairs = PROTOCOLS
        .iter()
        .flat_map(|protocol| to.map(|to| (*protocol, to)));
    let is_answer = |(protocol, to): &(Protocol, IpAddr)| {
        let (probe_options, target) = (
            probes(*protocol),
            ProbeTarget {
                flow: 1,
                to: *to,
                port: 80,
                may_be_service: false,
            },
        );
        packet::read(&probe_options, &target, 40_000, datagram).is_some()
            || packet::marked(&probe_options, &target, datagram).is_some()
    };
    pairs.filter(is_answer).count()
}

//! The terms of a filter.

use std::{net::IpAddr, ops::RangeInclusive};

use globset::{GlobBuilder, GlobMatcher};
use ipnet::IpNet;

use crate::{
    model::nearest,
    views::{door::Status, protocol},
};

/// What a term is about, as it is written before the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A transport protocol: `proto:tcp`.
    Proto,
    /// A port or a range of ports: `port:8000-8999`.
    Port,
    /// An address: `ip:10.0.0.1`.
    Ip,
    /// A network: `cidr:10.0.0.0/8`.
    Cidr,
    /// A pod, with or without its namespace: `pod:shop/web-*`.
    Pod,
    /// A Kubernetes namespace: `ns:shop`.
    Namespace,
    /// A node: `node:kind-worker`.
    Node,
    /// A device: `dev:lxc*`.
    Device,
    /// How well an interface is seen: `state:losing`.
    State,
}

impl Key {
    const ALL: [Self; 9] = [
        Self::Proto,
        Self::Port,
        Self::Ip,
        Self::Cidr,
        Self::Pod,
        Self::Namespace,
        Self::Node,
        Self::Device,
        Self::State,
    ];

    /// The terms about flows.
    pub const OF_FLOWS: [Self; 7] = [
        Self::Proto,
        Self::Port,
        Self::Ip,
        Self::Cidr,
        Self::Pod,
        Self::Namespace,
        Self::Node,
    ];

    /// The terms about interfaces.
    pub const OF_DOORS: [Self; 7] = [
        Self::Pod,
        Self::Namespace,
        Self::Node,
        Self::Device,
        Self::State,
        Self::Ip,
        Self::Cidr,
    ];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Proto => "proto",
            Self::Port => "port",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Pod => "pod",
            Self::Namespace => "ns",
            Self::Node => "node",
            Self::Device => "dev",
            Self::State => "state",
        }
    }

    /// The key with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|key| key.name().eq_ignore_ascii_case(name))
    }
}

/// One condition.
#[derive(Clone, Debug)]
pub enum Term {
    /// A part of a name; in lower case.
    Word(String),
    /// A protocol by its number.
    Proto(Protocols),
    /// Ports.
    Port(RangeInclusive<u16>),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Cidr(IpNet),
    /// A pod.
    Pod(Pattern),
    /// A Kubernetes namespace.
    Namespace(Pattern),
    /// A node.
    Node(Pattern),
    /// A device.
    Device(Pattern),
    /// The word for a state.
    State(String),
}

/// One protocol, or ICMP of both IP versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols(u8, u8);

impl Protocols {
    /// Whether it is one of them.
    #[must_use]
    pub fn contain(self, number: u8) -> bool {
        number == self.0 || number == self.1
    }
}

impl Term {
    /// Reads the value of a term.
    pub(super) fn read(key: Key, value: &str) -> Result<Self, String> {
        if value.is_empty() {
            return Err(format!("{}: needs a value, {}", key.name(), example(key)));
        }
        match key {
            Key::Proto => protocols(value).map(Self::Proto),
            Key::Port => ports(value).map(Self::Port),
            Key::Ip => address(value),
            Key::Cidr => network(value),
            Key::Pod => Pattern::new(value).map(Self::Pod),
            Key::Namespace => Pattern::new(value).map(Self::Namespace),
            Key::Node => Pattern::new(value).map(Self::Node),
            Key::Device => Pattern::new(value).map(Self::Device),
            Key::State => state(value).map(Self::State),
        }
    }

    /// Reads a word without a key: an address, a network, or a part of a name.
    pub(super) fn word(text: &str) -> Self {
        if let Ok(address) = text.parse() {
            return Self::Ip(address);
        }
        match text.parse() {
            Ok(network) => Self::Cidr(network),
            Err(_) => Self::Word(text.to_lowercase()),
        }
    }
}

/// How a term is written.
fn example(key: Key) -> &'static str {
    match key {
        Key::Proto => "such as proto:tcp",
        Key::Port => "such as port:443 or port:8000-8999",
        Key::Ip => "such as ip:10.0.0.1",
        Key::Cidr => "such as cidr:10.0.0.0/8",
        Key::Pod => "such as pod:web-*",
        Key::Namespace => "such as ns:default",
        Key::Node => "such as node:kind-worker",
        Key::Device => "such as dev:lxc*",
        Key::State => "such as state:losing",
    }
}

fn protocols(value: &str) -> Result<Protocols, String> {
    if value.eq_ignore_ascii_case("icmp") {
        return Ok(Protocols(protocol::ICMP, protocol::ICMPV6));
    }
    match protocol::number(value) {
        Some(number) => Ok(Protocols(number, number)),
        None => Err(format!(
            "not a protocol; use {} or a number up to 255",
            protocol::NAMES.map(|(_, name)| name).join(", ")
        )),
    }
}

fn ports(value: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = value.split_once('-').unwrap_or((value, value));
    let port = |text: &str| {
        let port = text.parse::<u16>();
        port.map_err(|_| "not a port; use a number up to 65535, or a range 8000-8999".to_owned())
    };
    let (first, last) = (port(first)?, port(last)?);
    match first <= last {
        true => Ok(first..=last),
        false => Err("an empty range; write the lower port first".into()),
    }
}

fn address(value: &str) -> Result<Term, String> {
    if value.contains('/') {
        return Err("not an address; a network is written cidr:10.0.0.0/8".into());
    }
    let address = value.parse().map(Term::Ip);
    address.map_err(|_| "not an IPv4 or IPv6 address".into())
}

fn network(value: &str) -> Result<Term, String> {
    // As people write it: any address of the network.
    match value.parse::<IpNet>() {
        Ok(network) => Ok(Term::Cidr(network.trunc())),
        Err(_) => match value.parse::<IpAddr>() {
            Ok(_) => Err("without a prefix length; an address is written ip:10.0.0.1".into()),
            Err(_) => Err("not a network; use an address with a prefix length, 10.0.0.0/8".into()),
        },
    }
}

fn state(value: &str) -> Result<String, String> {
    let value = value.to_lowercase();
    let words = Status::ALL.map(Status::word);
    if words.contains(&value.as_str()) {
        return Ok(value);
    }
    let near = match nearest(&value, words).first() {
        Some(word) => format!("; did you mean {word}?"),
        None => String::new(),
    };
    Err(format!("not a state; use {}{near}", words.join(", ")))
}

/// A name or a glob pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    glob: GlobMatcher,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).case_insensitive(true).build();
        match glob {
            Ok(glob) => Ok(Self {
                text: text.to_lowercase(),
                glob: glob.compile_matcher(),
            }),
            Err(error) => Err(format!(
                "invalid pattern: {}; escape glob characters as [*], [?], [[]",
                error.kind()
            )),
        }
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        name.to_lowercase() == self.text || self.glob.is_match(name)
    }
}

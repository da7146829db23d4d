//! The format of a file of path tests.

use std::{fmt, time::Duration};

use globset::{Glob, GlobMatcher};
use jiff::SignedDuration;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_saphyr::Spanned;

use crate::{
    model::Direction,
    verify::{Kind, Protocol},
};

/// Packets of a test without `count`.
const COUNT: u32 = 10;
/// The most packets: more would be a load, not a probe.
const MOST: u32 = 1_000;
/// The longest round trip: a longer one has timed out.
const MOST_TIME: Duration = Duration::from_secs(3_600);

/// A file of path tests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the file, for messages.
    #[serde(skip)]
    pub file: String,
    /// The tests, in order.
    pub tests: Vec<Test>,
}

/// The ends, the probes, and what to expect.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// Its name in reports, which no other test has.
    pub name: Option<Spanned<String>>,
    /// A.
    pub from: End,
    /// B.
    pub to: End,
    /// The protocol to send.
    #[serde(default)]
    pub protocol: Protocol,
    /// Destination port.
    #[serde(default, deserialize_with = "port")]
    pub port: Option<u16>,
    /// How many packets.
    #[serde(default = "usual", deserialize_with = "count")]
    pub count: u32,
    /// Length of the IP packet in bytes.
    pub size: Option<u16>,
    /// The verdict; the default is `verified`, or with a list of doors, delivered.
    pub expect: Option<Kind>,
    /// All doors that packets have to cross from A to B, in order.
    pub doors: Option<Vec<DoorPattern>>,
    /// How long a round trip may take.
    #[serde(default)]
    pub round_trip: Limits,
}

fn usual() -> u32 {
    COUNT
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        count @ 1..=MOST => Ok(count),
        other => Err(D::Error::custom(format!(
            "a count of {other} packets is not between 1 and {MOST}"
        ))),
    }
}

fn port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    match Option::<u16>::deserialize(from)? {
        Some(0) => Err(D::Error::custom("port 0 is not a destination")),
        port => Ok(port),
    }
}

/// One end of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A name, as on the command line.
    Name(String),
    /// All pods that match.
    Pods(Selector),
}

/// Selects pods; what is not given matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// `key=value`, several with commas: a pod needs all of them.
    pub labels: Option<String>,
    /// Glob pattern for the name, without its namespace.
    pub pods: Option<String>,
}

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not an untagged enum, whose errors have no position.
        from.deserialize_any(EndVisitor)
    }
}

struct EndVisitor;

impl<'de> Visitor<'de> for EndVisitor {
    type Value = End;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name (namespace/pod, node/NAME, an address), or namespace, labels, pods")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<End, E> {
        if text.trim().is_empty() {
            return Err(E::custom("the name is empty"));
        }
        Ok(End::Name(text.trim().to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<End, A::Error> {
        let selector = Selector::deserialize(MapAccessDeserializer::new(map))?;
        if selector == Selector::default() {
            return Err(A::Error::custom(
                "a selector needs at least one of namespace, labels, pods",
            ));
        }
        for label in selector.labels() {
            if label.split_once('=').is_none_or(|(key, _)| key.is_empty()) {
                return Err(A::Error::custom(format!(
                    "the label {label:?} is not of the form key=value"
                )));
            }
        }
        if let Some(pattern) = &selector.pods {
            glob(pattern).map_err(A::Error::custom)?;
        }
        Ok(End::Pods(selector))
    }
}

impl Selector {
    /// The labels that a pod needs.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        let labels = self.labels.iter().flat_map(|labels| labels.split(','));
        labels.map(str::trim)
    }
}

pub(super) fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    Glob::new(pattern)
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("invalid pattern {pattern:?}: {}", error.kind()))
}

/// A door of a list: a direction, and a glob pattern for the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorPattern {
    /// Which hook.
    pub direction: Direction,
    /// The pattern, as in the file.
    pub pattern: String,
}

impl DoorPattern {
    /// `▲ eth0`, `egress eth0`, `out eth0` or `^ eth0`; `▼`, `ingress`, `in` or `v`.
    ///
    /// # Errors
    /// Another format.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (sign, pattern) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or(("", ""));
        let direction = match sign {
            "▼" | "ingress" | "in" | "v" => Direction::Ingress,
            "▲" | "egress" | "out" | "^" => Direction::Egress,
            _ => {
                return Err(format!(
                    "the door {text:?} is not of the form \"ingress lxc*\" or \"▲ eth0\""
                ));
            }
        };
        let pattern = pattern.trim().to_owned();
        glob(&pattern)?;
        Ok(Self { direction, pattern })
    }

    /// Whether it matches this door.
    pub fn fits(&self, direction: Direction, interface: &str) -> bool {
        let matches = || glob(&self.pattern).is_ok_and(|glob| glob.is_match(interface));
        self.direction == direction && (self.pattern == interface || matches())
    }
}

impl<'de> Deserialize<'de> for DoorPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// How long a round trip may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The median.
    #[serde(default, deserialize_with = "time")]
    pub median: Option<Duration>,
    /// The longest.
    #[serde(default, deserialize_with = "time")]
    pub worst: Option<Duration>,
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let time = text.parse::<SignedDuration>().ok();
    let time = time.and_then(|time| Duration::try_from(time).ok());
    match time.filter(|time| !time.is_zero() && *time <= MOST_TIME) {
        Some(time) => Ok(Some(time)),
        None => Err(D::Error::custom(format!(
            "{text:?} is no time: write 500us, 2ms or 1s"
        ))),
    }
}

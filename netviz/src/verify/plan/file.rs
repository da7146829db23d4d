//! The form of a file of path tests.

use std::{fmt, time::Duration};

use globset::{Glob, GlobMatcher};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    model::Direction,
    verify::{collect::probe::Protocol, verdict::Kind},
};

/// Packets of a test that says nothing of their number.
const COUNT: u32 = 10;
/// More would be a load, not a probe.
const MOST: u32 = 1_000;

/// A file of path tests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the file, for messages.
    #[serde(skip)]
    pub file: String,
    /// What is to be tried, in this order.
    pub tests: Vec<Test>,
}

/// Who to whom, how, and what is to come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// What it is called in reports.
    pub name: Option<String>,
    /// A.
    pub from: End,
    /// B.
    pub to: End,
    /// What is sent.
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
    /// The verdict.
    pub expect: Option<Expected>,
    /// All doors that packets are to cross from A to B, in order.
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
        Some(0) => Err(D::Error::custom("port 0 cannot be sent to")),
        port => Ok(port),
    }
}

/// A verdict as a test names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// Delivered by the doors of the mode.
    Verified,
    /// Delivered by others.
    Detour,
    /// Not delivered: what a policy is for.
    Lost,
    /// It cannot be told.
    Unclear,
}

impl From<Expected> for Kind {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Verified => Self::Verified,
            Expected::Detour => Self::Detour,
            Expected::Lost => Self::Lost,
            Expected::Unclear => Self::Unclear,
        }
    }
}

/// One end of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A name as the command takes it.
    Name(String),
    /// All pods that fit.
    Pods(Selector),
}

/// Pods by what is known of them; what is not named fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// `key=value`, several with commas: each has to be there.
    pub labels: Option<String>,
    /// Glob pattern for the name, without its namespace.
    pub pods: Option<String>,
}

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not an untagged enum, which forgets where a mistake is.
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
            return Err(E::custom("an empty name is nobody's"));
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
    /// The labels that have to be there.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        let labels = self.labels.as_deref().unwrap_or_default().split(',');
        let some = self.labels.is_some();
        labels.map(str::trim).filter(move |_| some)
    }
}

pub(super) fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    Glob::new(pattern)
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("the pattern {pattern:?} cannot be read: {}", error.kind()))
}

/// A door of a list: a direction, and a glob pattern for the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorPattern {
    /// Which hook.
    pub direction: Direction,
    /// The pattern as it was written.
    pub pattern: String,
}

impl DoorPattern {
    /// `▲ eth0`, `egress eth0`, `out eth0` or `^ eth0`; `▼`, `ingress`, `in` or `v`.
    ///
    /// # Errors
    /// What is not of this form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form =
            || format!("the door {text:?} is not of the form \"ingress lxc*\" or \"▲ eth0\"");
        let (sign, pattern) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(form)?;
        let direction = match sign {
            "▼" | "ingress" | "in" | "v" => Direction::Ingress,
            "▲" | "egress" | "out" | "^" => Direction::Egress,
            _ => return Err(form()),
        };
        let pattern = pattern.trim().to_owned();
        glob(&pattern)?;
        Ok(Self { direction, pattern })
    }

    /// Whether it is this door.
    #[must_use]
    pub fn fits(&self, direction: Direction, interface: &str) -> bool {
        let fits = || glob(&self.pattern).is_ok_and(|glob| glob.is_match(interface));
        self.direction == direction && (self.pattern == interface || fits())
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
    /// Half of them.
    #[serde(default, deserialize_with = "time")]
    pub median: Option<Duration>,
    /// Each of them.
    #[serde(default, deserialize_with = "time")]
    pub worst: Option<Duration>,
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    parse_time(&text)
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no time: write 500us, 2ms or 1s")))
}

fn parse_time(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * scale;
    // What takes longer has no answer any more.
    (seconds > 0.0 && seconds <= 3600.0)
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

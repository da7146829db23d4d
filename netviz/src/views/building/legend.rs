//! What is written below a drawing: remarks, what its signs mean, and where it comes from.

use super::{
    Map, footnote,
    layout::{Way, WayKind},
    route::Flow,
};
use crate::model::Role;
use crate::views::{
    footnotes::Footnotes,
    sources, summary,
    text::{list, safe, wrap},
};

/// Where and when a drawing was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Local time with its offset; without it, that of the snapshot.
    pub time: Option<String>,
    /// The machine's name.
    pub host: Option<String>,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// netviz' version.
    pub version: Option<String>,
}

/// A line as the drawing has it, and its meaning.
pub(super) struct Swatch {
    pub(super) line: SwatchLine,
    pub(super) meaning: String,
}

/// What a swatch shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SwatchLine {
    Flow(Flow),
    Tunnel,
}

impl Map<'_> {
    /// `2026-12-01T10:04:11+01:00 · worker · cluster kind · netviz 0.4.0`
    pub(super) fn origin(&self) -> String {
        let Origin {
            time,
            host,
            cluster,
            version,
        } = &self.origin;
        let parts = [
            time.clone()
                .or_else(|| Some(self.snapshot.taken_at.clone())),
            host.clone(),
            cluster.as_ref().map(|name| format!("cluster {name}")),
            version.as_ref().map(|version| format!("netviz {version}")),
        ];
        safe(&list(parts.into_iter().flatten(), " · "))
    }

    /// The lines of the drawing.
    pub(super) fn swatches(&self) -> Vec<Swatch> {
        let flows: &[(Flow, &str)] = match self.route {
            Some(_) => &[
                (Flow::Request, "request"),
                (Flow::Reply, "reply only"),
                (Flow::Lost, "lost"),
                (Flow::Idle, "not crossed"),
            ],
            None => &[
                (Flow::Busy(10.0), "traffic"),
                (Flow::Idle, "idle"),
                (Flow::Unknown, "unknown"),
            ],
        };
        let swatch = |(flow, meaning): &(Flow, &str)| Swatch {
            line: SwatchLine::Flow(*flow),
            meaning: (*meaning).into(),
        };
        let mut swatches: Vec<_> = flows.iter().map(swatch).collect();
        if let Some(way) = self.layout.tunnel() {
            let name = way.name.as_ref().map(|name| format!(" {}", safe(name)));
            swatches.push(Swatch {
                line: SwatchLine::Tunnel,
                meaning: format!("tunnel{}", name.unwrap_or_default()),
            });
        }
        swatches
    }

    /// The kinds of doors in the drawing.
    pub(super) fn roles(&self) -> Vec<(Role, &'static str)> {
        let names = [
            (Role::Pod, "pod"),
            (Role::CiliumHost, "cilium_host"),
            (Role::Overlay, "tunnel device"),
            (Role::Encryption, "encryption"),
            (Role::Uplink, "uplink"),
        ];
        let drawn = |role| self.snapshot.doors.iter().any(|door| door.role == role);
        names.into_iter().filter(|(role, _)| drawn(*role)).collect()
    }

    /// What the figures mean.
    pub(super) fn units(&self) -> String {
        if self.route.is_some() {
            return "2 ▼ 10/10 (9 ▲): second of the request, into the interface, seen 10 of 10; ninth of the reply, out of it".into();
        }
        let window = self.snapshot.window_seconds;
        let window = window.map_or_else(String::new, |seconds| format!(" over {seconds:.1} s"));
        format!("▼ into, ▲ out of the interface, packets/s{window}")
    }

    /// The remarks, and what is not clear from the drawing.
    pub(super) fn below(&self, remarks: &Footnotes, width: usize) -> Vec<String> {
        let remarks = remarks.all().enumerate().map(footnote);
        let mut below: Vec<_> = remarks.flat_map(|it| wrap(&it, width, 4)).collect();
        let rest = self.explained();
        below.extend(rest.iter().flat_map(|it| wrap(it, width, 2)));
        below
    }

    /// The network that carries the tunnel.
    fn wire_below(&self) -> Option<String> {
        let wire = self.layout.wire.as_ref()?;
        wire.name.as_ref().map(|name| safe(name))
    }

    fn explained(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let buildings = self.buildings();
        let drawn = || {
            let halls = |it| [self.rooms(it).0, self.gates(it).0].concat();
            buildings.iter().flat_map(move |it| halls(*it))
        };
        let hidden = drawn()
            .any(|hall| hall.is_single() && hall.doors().any(|door| door.peer_ifindex.is_some()));
        if hidden {
            lines.push("5@if6: the other end, with index 6, is not shown".into());
        }
        let off = |it| {
            self.gates(it)
                .0
                .iter()
                .any(|hall| self.is_off_path(it, hall))
        };
        if self.route.is_none() && buildings.iter().any(|it| off(*it)) {
            let meaning =
                "not on this path: packets of pods crossed the node, but not this interface";
            lines.push(meaning.into());
        }
        let others = self.layout.buildings.len() - buildings.len();
        if others > 0 {
            let nodes = if others == 1 { "node" } else { "nodes" };
            lines.push(format!("+ {others} other {nodes}"));
        }
        if self.route.is_some() {
            return lines;
        }
        if let Some(way) = &self.layout.way {
            let name = |way: &Way| {
                let name = way.name.as_ref().map(|name| format!(", {}", safe(name)));
                name.unwrap_or_default()
            };
            let wire = self.wire_below().map(|name| format!(", over {name}"));
            let kind = match way.kind {
                WayKind::Tunnel => "the tunnel",
                WayKind::Network => "the network",
            };
            let wire = wire.unwrap_or_default();
            lines.push(format!("between the nodes: {kind}{}{wire}", name(way)));
        }
        if !self.snapshot.sources.is_empty() {
            lines.push(format!("names: {}", sources::line(self.snapshot)));
        }
        lines.extend(summary::notes(self.snapshot));
        lines
    }
}

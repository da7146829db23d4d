//! The building as a picture: self-contained, no script, readable in light and dark.

use super::{
    Map,
    legend::SwatchLine,
    route::Flow,
    scene::{self, Door, Frame, Kind, Label, Line, Plan, Scene},
};
use crate::{
    model::Role,
    views::{
        svg::{Svg, escape},
        table,
        text::{list, visible_width},
    },
};

/// A column and a row of the scene.
const COLUMN: usize = 8;
const ROW: usize = 20;
const MARGIN: usize = 16;
/// The middle and the baseline of a row.
const MIDDLE: usize = 9;
const BASE: usize = 14;
/// The length of a line in the legend.
const SWATCH: usize = 4;

const DESCRIPTION: &str =
    "Nodes, pods, interfaces and veth pairs; the wider a line, the more packets cross it.";

const STYLE: &str = ":root{color-scheme:light dark}svg{background:#fff;color:#1f2328;max-width:100%;height:auto}text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-variant-numeric:tabular-nums;fill:currentColor;white-space:pre}.t{font-size:16px;font-weight:bold}.h{font-weight:bold}.s,.f{font-size:12px}.s{fill:#59636e}.n{fill:none;stroke:#59636e;stroke-width:1.5}.r{fill:#f3f7fc;stroke:#8c959f}.c{stroke:#1668c7}.q{stroke:#9aa2ab;stroke-dasharray:2 4}.u{stroke:#b25000;stroke-dasharray:8 4}.v{stroke:#8250df;stroke-dasharray:9 5}.p{stroke:#1668c7;stroke-width:3.5}.y{stroke:#6ea8e6;stroke-dasharray:5 4}.x{stroke:#cf222e;stroke-dasharray:3 3;stroke-width:3}.k,.d0,.d1,.d2,.d3{rx:1.5px}.k{fill:#8c959f}.d0{fill:#1668c7}.d1{fill:#9a6700}.d2{fill:#8250df}.d3{fill:#1a7f37}text.g{fill:#6b737c}rect.g{fill:none;stroke:#b6bec7}.w{fill:#a04400;font-weight:bold}.b{fill:#cf222e;font-weight:bold}.o{fill:#1a7f37;font-weight:bold}.l{fill:#0b57b0;font-weight:bold}@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.s{fill:#9198a1}.n{stroke:#9198a1}.r{fill:#151b23;stroke:#656c76}.c,.p{stroke:#58a6ff}.q{stroke:#656c76}.u{stroke:#f0a35e}.v{stroke:#bc8cff}.y{stroke:#3d6ea8}.x{stroke:#ff7b72}.k{fill:#656c76}.d0{fill:#58a6ff}.d1{fill:#d29922}.d2{fill:#bc8cff}.d3{fill:#3fb950}text.g{fill:#8b949e}rect.g{fill:none;stroke:#3d444d}.w{fill:#f0a35e}.b{fill:#ff7b72}.o{fill:#3fb950}.l{fill:#79c0ff}}";

/// A line above the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// What it is.
    pub kind: CaptionKind,
    /// The text.
    pub text: String,
}

/// How a caption is emphasised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptionKind {
    /// The title.
    Title,
    /// A detail.
    Detail,
    /// A good result.
    Good,
    /// An odd one.
    Odd,
    /// A bad one.
    Bad,
}

/// The columns of a picture, for captions.
#[must_use]
pub fn columns(map: &Map<'_>) -> usize {
    Plan::picture(map).width()
}

/// The places of everything in a picture.
#[must_use]
pub fn scene(map: &Map<'_>) -> Scene {
    scene::draw(map, &Plan::picture(map)).0
}

/// Draws all buildings in two columns, with the connection between them.
#[must_use]
pub fn draw(map: &Map<'_>) -> String {
    captioned(map, &format!("Interfaces of {}", nodes(map)), &[])
}

/// Draws all buildings below `captions`.
#[must_use]
pub fn captioned(map: &Map<'_>, title: &str, captions: &[Caption]) -> String {
    let plan = Plan::picture(map);
    let (scene, remarks) = scene::draw(map, &plan);
    let mut picture = Picture::default();
    for caption in captions {
        let class = match caption.kind {
            CaptionKind::Title => "t",
            CaptionKind::Detail => "s",
            CaptionKind::Good => "o",
            CaptionKind::Odd => "w",
            CaptionKind::Bad => "b",
        };
        picture.text(class, (0, 0), false, &caption.text);
        picture.top += ROW;
    }
    picture.top += if captions.is_empty() { 0 } else { MARGIN / 2 };
    picture.scene(&scene);
    picture.top += scene.size.1 * ROW + MARGIN;
    picture.legend(map, scene.size.0);
    // Of small letters, more fit.
    for line in map.below(&remarks, scene.size.0 + scene.size.0 / 16) {
        picture.text("s", (0, 0), false, &line);
        picture.top += ROW;
    }
    picture.text("s", (0, 0), false, &map.origin());
    picture.top += ROW;
    let size = (scene.size.0 * COLUMN + 2 * MARGIN, picture.top + 2 * MARGIN);
    picture.svg.document(size, STYLE, (title, DESCRIPTION))
}

#[derive(Default)]
struct Picture {
    svg: Svg,
    /// The height of what is above.
    top: usize,
}

impl Picture {
    fn x(column: usize) -> usize {
        MARGIN + column * COLUMN
    }

    fn y(&self, row: usize) -> usize {
        MARGIN + self.top + row * ROW
    }

    fn text(&mut self, class: &str, (x, y): (usize, usize), right: bool, text: &str) {
        let anchor = if right { "end" } else { "start" };
        let x = Self::x(if right { x + 1 } else { x });
        self.svg.text(class, (x, self.y(y) + BASE), anchor, text);
    }

    fn scene(&mut self, scene: &Scene) {
        scene.frames.iter().for_each(|frame| self.frame(frame));
        scene.lines.iter().for_each(|line| self.line(line));
        scene.doors.iter().for_each(|door| self.door(door));
        scene.labels.iter().for_each(|label| self.label(label));
    }

    fn frame(&mut self, frame: &Frame) {
        let class = match (frame.is_node, frame.quiet) {
            (true, _) => "n",
            (false, true) => "r g",
            (false, false) => "r",
        };
        let half = COLUMN / 2;
        let (x, y) = (Self::x(frame.from.0) + half, self.y(frame.from.1));
        let width = (frame.to.0 - frame.from.0) * COLUMN;
        let height = (frame.to.1 + 1 - frame.from.1) * ROW;
        // Neighbours do not touch each other.
        let (y, height) = if frame.is_node {
            (y - 4, height + 4)
        } else {
            (y + 1, height - 3)
        };
        self.svg.open(None, &frame.title);
        self.svg.rectangle(class, (x, y), (width, height));
        self.svg.close();
    }

    fn line(&mut self, line: &Line) {
        let at = |(x, y): (usize, usize)| (Self::x(x) + COLUMN / 2, self.y(y) + MIDDLE);
        let (class, width) = stroke(line.flow, line.tunnel);
        let (from, to) = (at(line.from), at(line.to));
        self.svg.line(class, from, to, width);
    }

    fn door(&mut self, door: &Door) {
        let class = match door.role {
            _ if door.quiet => "k",
            Role::Pod | Role::Health | Role::Veth => "d0",
            Role::CiliumHost => "d1",
            Role::Overlay | Role::Encryption => "d2",
            Role::Uplink => "d3",
            Role::Bridge | Role::Other => "k",
        };
        let at = (Self::x(door.at.0), self.y(door.at.1) + MIDDLE - 5);
        self.svg.open(None, &door.title);
        self.svg.rectangle(class, at, (COLUMN, 10));
        self.svg.close();
    }

    fn label(&mut self, label: &Label) {
        let quiet = label.quiet;
        let class = match label.kind {
            Kind::Node => "t",
            Kind::Pod if quiet => "h g",
            Kind::Pod => "h",
            Kind::Door if quiet => "g",
            Kind::Door => "e",
            Kind::Figures if quiet => "f g",
            Kind::Figures => "f",
            Kind::Mark => "w",
            Kind::Small => "s",
            Kind::Request => "l",
            Kind::Reply => "s",
            Kind::Lost => "b",
        };
        self.text(class, label.at, label.right, &label.text);
    }

    /// What the signs mean.
    fn legend(&mut self, map: &Map<'_>, columns: usize) {
        let mut x = 0;
        let middle = self.y(0) + MIDDLE;
        let end = |x: usize, text: &str| x + visible_width(text) + 3;
        for swatch in map.swatches() {
            let (class, width) = match swatch.line {
                SwatchLine::Flow(flow) => stroke(flow, false),
                SwatchLine::Tunnel => stroke(Flow::Busy(1.0), true),
            };
            let (from, to) = (Self::x(x), Self::x(x + SWATCH));
            self.svg.line(class, (from, middle), (to, middle), width);
            self.text("s", (x + SWATCH + 1, 0), false, &swatch.meaning);
            x = end(x + SWATCH + 1, &swatch.meaning);
        }
        for (role, meaning) in map.roles() {
            self.door(&Door {
                at: (x, 0),
                left: false,
                role,
                quiet: false,
                title: meaning.into(),
            });
            self.text("s", (x + 2, 0), false, meaning);
            x = end(x + 2, meaning);
        }
        let units = map.units();
        if x + visible_width(&units) > columns {
            self.top += ROW;
            x = 0;
        }
        self.text("s", (x, 0), false, &units);
        self.top += ROW;
    }
}

/// The class and the width of a line: a million packets per second are ten times as wide as one.
fn stroke(flow: Flow, tunnel: bool) -> (&'static str, f64) {
    match flow {
        _ if tunnel && flow.is_quiet() => ("q", 1.5),
        _ if tunnel => ("v", 2.0),
        Flow::Idle => ("q", 1.5),
        Flow::Unknown => ("u", 1.5),
        Flow::Busy(rate) => ("c", 1.5 + (1.0 + rate).log10() * 2.0),
        Flow::Reply => ("y", 2.0),
        Flow::Lost => ("x", 3.0),
        Flow::Request => ("p", 3.5),
    }
}

/// The picture with the table under it, as one page.
#[must_use]
pub fn page(map: &Map<'_>) -> String {
    let table = table::draw(map.snapshot, table::Style::default());
    document(&nodes(map), &draw(map), &table)
}

/// A page of a picture and a text.
#[must_use]
pub fn document(title: &str, picture: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/><meta name=\"viewport\" content=\"width=device-width\"/><title>netviz: {}</title><style>:root{{color-scheme:light dark}}body{{font-family:ui-monospace,monospace;margin:1em;background:#fff;color:#1b1f24}}pre{{overflow-x:auto}}@media(prefers-color-scheme:dark){{body{{background:#0d1117;color:#e6edf3}}}}</style></head><body>\n{picture}<pre>{}</pre>\n</body></html>\n",
        escape(title),
        escape(text)
    )
}

fn nodes(map: &Map<'_>) -> String {
    let names = map.layout.buildings.iter().map(|it| &it.name);
    list(names, ", ")
}

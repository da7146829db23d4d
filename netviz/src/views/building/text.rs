//! The building in characters: 80 columns and wider.

mod canvas;

use super::{
    Map,
    legend::{Swatch, SwatchLine},
    route::Flow,
    scene::{self, Plan, Scene},
};
pub use crate::views::text::Style;
use crate::views::text::{ascii, list, visible_width, wrap};
use canvas::{Canvas, Stroke};

/// The least width of a drawing.
pub const NARROWEST: usize = 80;
/// The width without a terminal.
const USUAL: usize = 100;

/// Draws all buildings, without a line break at the end.
#[must_use]
pub fn draw(map: &Map<'_>, style: Style) -> String {
    let width = style.width.unwrap_or(USUAL).max(NARROWEST);
    let plan = Plan::fitting(map, width, style.full);
    let (scene, remarks) = scene::draw(map, &plan);
    let width = width.min(scene.size.0.max(NARROWEST));
    let mut lines = Canvas::paint(&scene).lines(style.colour);
    lines.push(String::new());
    let swatches = list(map.swatches().iter().map(swatch), "   ");
    let (units, whole) = (map.units(), format!("{swatches}   {}", map.units()));
    match visible_width(&whole) <= width {
        true => lines.push(whole),
        false => lines.extend([swatches, units]),
    }
    lines.extend(map.below(&remarks, width));
    lines.extend(wrap(&map.origin(), width, 2));
    let drawing = lines.join("\n");
    if style.ascii {
        ascii(&drawing)
    } else {
        drawing
    }
}

/// The places of everything in a drawing of `width` columns.
#[must_use]
pub fn scene(map: &Map<'_>, width: usize) -> Scene {
    scene::draw(map, &Plan::fitting(map, width, true)).0
}

/// `══ traffic`
fn swatch(swatch: &Swatch) -> String {
    let stroke = match swatch.line {
        SwatchLine::Flow(Flow::Unknown) => Stroke::Unknown,
        SwatchLine::Flow(flow) => Stroke::from(flow),
        SwatchLine::Tunnel => Stroke::Tunnel,
    };
    let sign = stroke.horizontal();
    format!("{sign}{sign} {}", swatch.meaning)
}

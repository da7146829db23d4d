//! Where everything is in a drawing, in columns and rows: the text and the picture are made from it.
//!
//! ```text
//! ┌ node ─────────────────────────────────────────────────┐
//! │ ┌ pod ────────────────┐                               │
//! │ │ address      eth0 8 ▐══════▌ 9 lxc4a891387ff1a ══╗  │
//! │ └─────── ▼ 9.0  ▲ 9.0 ┘        ▼ 9.0  ▲ 9.0        ║  │
//! │ tunnel to other nodes        ▌ 4 cilium_vxlan ═════╣╍╍╪╍╍┐
//! │ uplink                       ▌ 5 eth0 ═════════════╩══╪══╪══╗
//! └───────────────────────────────────────────────────────┘
//! ```
//!
//! A packet's way can be followed by eye: from the pod through its veth pair to the node, by the node's
//! trunk to the tunnel's device and to the uplink, and through the wall to the other nodes. Two
//! buildings are beside each other if the width allows; the right one is mirrored.

mod ends;
mod node_box;
mod parts;
mod pen;
mod plan;
mod street;

use super::Map;
use crate::views::footnotes::Footnotes;
pub use parts::{Door, Frame, Kind, Label, Line, Scene};
use pen::Pen;
pub(super) use plan::Plan;

/// Draws all buildings that `plan` has room for. Returns the remarks about their doors as well.
pub(super) fn draw(map: &Map<'_>, plan: &Plan) -> (Scene, Footnotes) {
    let mut pen = Pen::default();
    let mut remarks = Footnotes::default();
    let house = node_box::House::new(map, plan);
    let mut ports = Vec::new();
    let mut top = 0;
    let row = if plan.beside { 2 } else { 1 };
    for buildings in map.buildings().chunks(row) {
        let plots: Vec<_> = buildings.iter().map(|it| house.measure(it)).collect();
        let height = plots.iter().map(|plot| plot.height).max().unwrap_or(0);
        for (side, plot) in plots.iter().enumerate() {
            pen.turn(plan.left(side), plan.house, side == 1);
            ports.extend(house.draw(&mut pen, plot, (top, height), &mut remarks));
        }
        top += height + 1;
    }
    street::draw(&mut pen, plan, &ports);
    let mut scene = pen.scene;
    scene.size = (plan.width(), top.saturating_sub(1));
    (scene, remarks)
}

//! `netviz map`: the building, drawn once.

use std::{io::Write as _, time::Duration};

use anyhow::Result;

use super::{doors, output, terminal};
use crate::{
    cli::{DoorsArgs, MapArgs, MapOutput},
    model::Snapshot,
    sys::signals::Signals,
    views::{
        building::{Map, graph, json::drawing, svg, text},
        json,
    },
};

/// Runs `netviz map`.
///
/// # Errors
/// As [`doors::run`].
pub async fn run(args: &MapArgs) -> Result<()> {
    let counted = DoorsArgs {
        selection: args.selection.clone(),
        period: args.period,
        once: args.period.is_none(),
        watch: Duration::from_secs(1),
        filter: args.filter.clone(),
        fast_attach: args.fast_attach,
        ..DoorsArgs::default()
    };
    let mut end = Signals::new()?;
    if let Some(snapshot) = doors::reading(&counted, &mut end).await? {
        output::write(print(&snapshot, args)?, &mut end).await?;
    }
    Ok(())
}

fn print(snapshot: &Snapshot, args: &MapArgs) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let map = Map::new(snapshot);
    match args.output {
        MapOutput::Text => {
            let shown = || terminal::is_terminal().then(terminal::width);
            let style = text::Style {
                width: args.width.or_else(shown).unwrap_or(100),
                ascii: args.ascii,
                mac: args.mac,
                colour: terminal::is_terminal() && terminal::colour(),
            };
            writeln!(out, "{}", text::draw(&map, style))?;
        }
        MapOutput::Svg => out.write_all(svg::draw(&map).as_bytes())?,
        MapOutput::Html => out.write_all(svg::page(&map).as_bytes())?,
        MapOutput::Mermaid => out.write_all(graph::mermaid(&map).as_bytes())?,
        MapOutput::Dot => out.write_all(graph::dot(&map).as_bytes())?,
        MapOutput::Json => json::write_pretty(&drawing(&map), &mut out)?,
    }
    Ok(out)
}

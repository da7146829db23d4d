//! `netviz map`.

use std::{io::Write as _, time::Duration};

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    output::Output,
    sink::{Printer, Shown, drive},
    start::start,
    terminal,
};
use crate::{
    cli::{DoorsArgs, Exit, MapArgs, MapOutput},
    discover::own_hostname,
    feed::Pace,
    model::Snapshot,
    sys::signals::Signals,
    views::{
        building::{Map, Origin, graph, json::drawing, svg, text},
        json, yaml,
    },
};

/// Runs `netviz map`.
pub async fn run(args: &MapArgs) -> Result<Exit> {
    let counted = DoorsArgs {
        selection: args.selection.clone(),
        period: args.period,
        watch: Duration::from_secs(1),
        filter: args.filter.clone(),
        fast_attach: args.fast_attach,
        ..DoorsArgs::default()
    };
    let mut stop = Signals::new()?;
    let Some((mut feed, filter)) = start(&counted, Pace::Once, None, &mut stop).await? else {
        return Ok(Exit::Success);
    };
    let shown = Shown {
        filter,
        ..Shown::default()
    };
    let format = |snapshot: &Snapshot| format(snapshot, args);
    let mut printer = Printer::new(Output::stdout()?, shown, format);
    drive(&mut feed, &mut printer, async || stop.any().await).await?;
    Ok(printer.exit())
}

fn format(snapshot: &Snapshot, args: &MapArgs) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let origin = origin(&snapshot.taken_at);
    let map = Map::new(snapshot).with_origin(origin).with_idle(args.idle);
    match args.output {
        MapOutput::Text => {
            let style = terminal::style();
            let style = text::Style {
                width: args.width.or(style.width),
                ascii: args.ascii || style.ascii,
                full: args.mac,
                ..style
            };
            writeln!(out, "{}", text::draw(&map, style))?;
        }
        MapOutput::Svg => out.write_all(svg::draw(&map).as_bytes())?,
        MapOutput::Html => out.write_all(svg::page(&map).as_bytes())?,
        MapOutput::Mermaid => out.write_all(graph::mermaid(&map).as_bytes())?,
        MapOutput::Dot => out.write_all(graph::dot(&map).as_bytes())?,
        MapOutput::Json => json::write(&drawing(&map), &mut out)?,
        MapOutput::Yaml => yaml::write(&drawing(&map), &mut out)?,
    }
    Ok(out)
}

/// Where a drawing is made, and when in local time.
pub(in crate::app) fn origin(taken_at: &str) -> Origin {
    let time = taken_at.parse::<Timestamp>().ok().map(|time| {
        let local = time.to_zoned_datetime(TimeZone::system());
        local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    });
    Origin {
        time,
        host: Some(own_hostname()),
        cluster: None,
        version: Some(env!("CARGO_PKG_VERSION").into()),
    }
}

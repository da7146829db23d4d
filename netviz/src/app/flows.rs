//! `netviz flows`.

use std::{collections::HashSet, io::Write as _};

use anyhow::{Result, bail};
use jiff::tz::TimeZone;

use super::{
    output::Output,
    screen,
    sink::{Printer, Shown, drive},
    start::start,
    terminal,
};
use crate::{
    cli::{DoorsArgs, Exit, FlowRows, FlowsArgs, FlowsOutput, TypedQuery},
    count::FlowOptions,
    feed::Pace,
    model::{DoorId, DoorState, Snapshot},
    sys::signals::Signals,
    views::{
        filter::Filter,
        flows::{
            self, FlowReport, PairReport, Selected, interfaces, matrix, pair_table,
            screen::FlowScreenOptions, table,
        },
        json,
        text::Style,
        yaml,
    },
};

/// Flows of an interface, or pairs, in a text for people.
const TOP: usize = 20;

/// Runs `netviz flows`.
///
/// # Errors
/// When there is nothing to observe, or this process may not observe it; the message names the
/// operation, the object and the remedy.
pub async fn run(args: &FlowsArgs) -> Result<Exit> {
    let is_picture = matches!(args.output, FlowsOutput::Svg | FlowsOutput::Html);
    if is_picture && args.by == Some(FlowRows::Flow) {
        bail!("svg and html draw pairs: leave out --by flow");
    }
    let typed = args.typed()?;
    let counted = counted(args);
    let options = FlowOptions { room: args.room };
    let is_live = args.output == FlowsOutput::Table && !args.once && args.period.is_none();
    if is_live && terminal::is_terminal() {
        screen::run_flows(&counted, options, |filter| {
            screen_options(args, typed, filter)
        })
        .await?;
        return Ok(Exit::Success);
    }
    let pace = match args.output {
        FlowsOutput::Jsonl if !args.once => Pace::Steady,
        _ => Pace::Once,
    };
    let mut stop = Signals::new()?;
    let Some((mut feed, filter)) = start(&counted, pace, Some(options), &mut stop).await? else {
        return Ok(Exit::Success);
    };
    let switch = feed.flow_switch();
    let mut is_blind = false;
    let print = |snapshot: &Snapshot| {
        let doors = interfaces(snapshot, &filter);
        let counted = |door: &&DoorState| doors.contains(&door.id) && door.flows.is_some();
        is_blind = snapshot.doors.iter().filter(counted).count() < doors.len();
        let selected = selected(args, &typed, doors.clone());
        // Pods come and go.
        switch.want(doors);
        format(snapshot, &selected, args)
    };
    let mut printer = Printer::new(Output::stdout()?, Shown::default(), print);
    drive(&mut feed, &mut printer, async || stop.any().await).await?;
    drop(printer);
    Ok(match pace {
        Pace::Once if is_blind => Exit::Unclear,
        Pace::Once | Pace::Prompt | Pace::Steady => Exit::Success,
    })
}

/// What to count, as `netviz doors` has it.
fn counted(args: &FlowsArgs) -> DoorsArgs {
    DoorsArgs {
        selection: args.selection.clone(),
        watch: args.watch,
        period: args.period,
        filter: args.filter.clone(),
        fast_attach: args.fast_attach,
        ascii: args.ascii,
        ..DoorsArgs::default()
    }
}

fn selected(args: &FlowsArgs, typed: &TypedQuery, doors: HashSet<DoorId>) -> Selected {
    let is_text = matches!(
        args.output,
        FlowsOutput::Table | FlowsOutput::Svg | FlowsOutput::Html
    );
    let top = match args.top {
        None if is_text => Some(TOP),
        None | Some(0) => None,
        top => top,
    };
    Selected {
        query: typed.query.clone(),
        sort: args.sort,
        top,
        doors: Some(doors),
    }
}

fn screen_options(args: &FlowsArgs, typed: TypedQuery, filter: Filter) -> FlowScreenOptions {
    FlowScreenOptions {
        ascii: args.ascii || terminal::style().ascii,
        filter,
        selected: selected(args, &typed, HashSet::new()),
        query: typed.text,
        by_pair: args.by_pair(),
        zone: Some(TimeZone::system()),
    }
}

fn format(snapshot: &Snapshot, selected: &Selected, args: &FlowsArgs) -> Result<Vec<u8>> {
    let style = terminal::style();
    let ascii = args.ascii || style.ascii;
    let style = Style { ascii, ..style };
    let mut out = Vec::new();
    if args.by_pair() {
        let report = PairReport::new(snapshot, selected);
        match args.output {
            FlowsOutput::Table => writeln!(out, "{}", pair_table::draw(&report, style))?,
            FlowsOutput::Json => json::write(&report, &mut out)?,
            FlowsOutput::Yaml => yaml::write(&report, &mut out)?,
            FlowsOutput::Jsonl => json::write_line(&report, &mut out)?,
            FlowsOutput::Csv => flows::csv::write_pairs(&report, &mut out)?,
            FlowsOutput::Svg => out.write_all(matrix::draw(&report).as_bytes())?,
            FlowsOutput::Html => out.write_all(matrix::page(&report).as_bytes())?,
        }
        return Ok(out);
    }
    let report = FlowReport::new(snapshot, selected);
    match args.output {
        FlowsOutput::Json => json::write(&report, &mut out)?,
        FlowsOutput::Yaml => yaml::write(&report, &mut out)?,
        FlowsOutput::Jsonl => json::write_line(&report, &mut out)?,
        FlowsOutput::Csv => flows::csv::write(&report, &mut out)?,
        // Pictures are of pairs.
        FlowsOutput::Table | FlowsOutput::Svg | FlowsOutput::Html => {
            writeln!(out, "{}", table::draw(&report, style))?;
        }
    }
    Ok(out)
}

//! Verdicts in the requested format.

use std::slice;

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use jiff::Timestamp;

use crate::{
    app::{map::origin, terminal},
    cli::{Exit, VerdictOutput, VerifyArgs},
    feed::uncounted,
    model::Cluster,
    verify::{Kind, Verdict},
    views::{
        text::Style,
        verdict::{drawing::Drawing, explain, json, junit, ladder, matrix, mermaid, results},
    },
};

/// Refuses a format that cannot show what was asked for, before anything is sent.
pub(super) fn check(args: &VerifyArgs) -> Result<()> {
    let format = args.output.to_possible_value();
    let format = format.as_ref().map_or("", |value| value.get_name());
    let many = args.all_pairs || args.file.is_some();
    match args.output {
        VerdictOutput::Text => {}
        _ if args.explain => {
            bail!("-o {format} has no explanations: drop --explain, or use text")
        }
        VerdictOutput::Map | VerdictOutput::Svg | VerdictOutput::Html | VerdictOutput::Mermaid
            if many =>
        {
            bail!("-o {format} draws one pair: name A and B, or use text, json, jsonl or junit")
        }
        VerdictOutput::Map
        | VerdictOutput::Svg
        | VerdictOutput::Html
        | VerdictOutput::Mermaid
        | VerdictOutput::Junit
        | VerdictOutput::Yaml
            if args.watch.is_some() =>
        {
            bail!("-o {format} is one document: drop --watch, or use text, json or jsonl")
        }
        _ => {}
    }
    Ok(())
}

/// One pair, whose doors `cluster` has.
pub(super) fn single(args: &VerifyArgs, verdict: &Verdict, cluster: &Cluster) -> Result<Vec<u8>> {
    let draw: fn(&Drawing<'_>, Style) -> String = match args.output {
        VerdictOutput::Map => |drawing, style| drawing.text(style) + "\n",
        VerdictOutput::Svg => |drawing, _| drawing.svg(),
        VerdictOutput::Html => |drawing, _| drawing.page(),
        _ => return one(args, verdict),
    };
    let now = Timestamp::now();
    let snapshot = uncounted(cluster, now);
    let drawing = Drawing::new(verdict, &snapshot, origin(&now.to_string()));
    Ok(draw(&drawing, style(args)).into_bytes())
}

/// One pair.
pub(super) fn one(args: &VerifyArgs, verdict: &Verdict) -> Result<Vec<u8>> {
    if args.output != VerdictOutput::Text {
        return documents(args.output, slice::from_ref(verdict));
    }
    let mut text = ladder::draw(verdict, style(args)) + "\n";
    if args.explain {
        text += &format!("\n{}\n", explain::draw(verdict, style(args)));
    }
    Ok(text.into_bytes())
}

/// Many pairs.
pub(super) fn many(args: &VerifyArgs, verdicts: &[Verdict]) -> Result<Vec<u8>> {
    if args.output != VerdictOutput::Text {
        return documents(args.output, verdicts);
    }
    let mut text = String::new();
    let style = style(args);
    if args.full {
        for verdict in verdicts {
            text.push_str(&ladder::draw(verdict, style));
            text.push_str("\n\n");
        }
    }
    text.push_str(&matrix::draw(verdicts, style));
    text.push('\n');
    if args.file.is_some() {
        text.push_str(&results::draw(verdicts, style));
    }
    Ok(text.into_bytes())
}

/// Every format but text. A drawing has one verdict: see [`check`].
fn documents(output: VerdictOutput, verdicts: &[Verdict]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match output {
        // A drawing of the building needs a cluster: see [`single`].
        VerdictOutput::Text | VerdictOutput::Map | VerdictOutput::Svg | VerdictOutput::Html => {}
        VerdictOutput::Json => json::write(verdicts, &mut out)?,
        VerdictOutput::Yaml => json::write_yaml(verdicts, &mut out)?,
        VerdictOutput::Jsonl => verdicts
            .iter()
            .try_for_each(|verdict| json::write_line(verdict, &mut out))?,
        VerdictOutput::Junit => junit::write(verdicts, &mut out)?,
        VerdictOutput::Mermaid => {
            let charts: String = verdicts.iter().map(mermaid::draw).collect();
            return Ok(charts.into_bytes());
        }
    }
    Ok(out)
}

pub(super) fn style(args: &VerifyArgs) -> Style {
    let style = terminal::style();
    Style {
        ascii: args.ascii || style.ascii,
        full: args.full,
        ..style
    }
}

/// The exit code of the worst verdict; unclear without any.
pub(super) fn worst(verdicts: impl Iterator<Item = Kind>) -> Exit {
    verdicts.map(exit).max().unwrap_or(Exit::Unclear)
}

/// The exit code of a verdict.
pub(super) fn exit(verdict: Kind) -> Exit {
    match verdict {
        Kind::Verified => Exit::Success,
        Kind::Unclear => Exit::Unclear,
        Kind::Detour | Kind::Lost => Exit::Finding,
    }
}

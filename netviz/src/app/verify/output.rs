//! Verdicts in the form that was asked for.

use std::io::Write as _;

use anyhow::Result;

use super::batch::Tried;
use crate::{
    app::terminal,
    cli::{VerdictOutput, VerifyArgs},
    verify::Verdict,
    views::verdict::{
        json,
        junit::{self, Case},
        ladder, matrix, mermaid, svg,
    },
};

/// One pair.
pub(super) fn one(args: &VerifyArgs, verdict: &Verdict) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match args.output {
        VerdictOutput::Text => writeln!(out, "{}", ladder::draw(verdict, style(args)))?,
        VerdictOutput::Json => json::write(std::slice::from_ref(verdict), &mut out)?,
        VerdictOutput::Jsonl => json::write_line(verdict, &mut out)?,
        VerdictOutput::Junit => junit::write(&[Case::new(verdict)], &mut out)?,
        VerdictOutput::Svg => out.write_all(svg::draw(verdict).as_bytes())?,
        VerdictOutput::Mermaid => out.write_all(mermaid::draw(verdict).as_bytes())?,
    }
    Ok(out)
}

/// Many pairs.
pub(super) fn many<'a>(args: &VerifyArgs, tried: &'a [Tried]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match args.output {
        VerdictOutput::Text => {
            out.write_all(text(args, tried).as_bytes())?;
        }
        VerdictOutput::Json => {
            let verdicts: Vec<_> = tried.iter().map(|tried| tried.verdict.clone()).collect();
            json::write(&verdicts, &mut out)?;
        }
        VerdictOutput::Jsonl => {
            for tried in tried {
                json::write_line(&tried.verdict, &mut out)?;
            }
        }
        VerdictOutput::Junit => {
            let case = |tried: &'a Tried| Case {
                verdict: &tried.verdict,
                why: tried.outcome.why.clone(),
            };
            let cases: Vec<_> = tried.iter().map(case).collect();
            junit::write(&cases, &mut out)?;
        }
        VerdictOutput::Svg | VerdictOutput::Mermaid => anyhow::bail!(
            "a picture shows one pair: name A and B, or take text, json, jsonl or junit for many"
        ),
    }
    Ok(out)
}

fn text(args: &VerifyArgs, tried: &[Tried]) -> String {
    let verdicts: Vec<_> = tried.iter().map(|tried| tried.verdict.clone()).collect();
    let mut text = String::new();
    if args.full {
        for verdict in &verdicts {
            text.push_str(&ladder::draw(verdict, style(args)));
            text.push_str("\n\n");
        }
    }
    let ladder::Style {
        width,
        colour,
        ascii,
        ..
    } = style(args);
    let style = matrix::Style {
        width,
        colour,
        ascii,
    };
    text.push_str(&matrix::draw(&verdicts, style));
    text.push('\n');
    let failed: Vec<_> = tried.iter().filter(|tried| !tried.outcome.passed).collect();
    if args.file.is_some() {
        text.push_str(&format!(
            "{} tests: {} as wanted, {} not\n",
            tried.len(),
            tried.len() - failed.len(),
            failed.len()
        ));
        for tried in failed {
            let why = tried.outcome.why.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "  {} -> {}: {why}\n",
                tried.verdict.from.name, tried.verdict.to.name
            ));
        }
    }
    text
}

pub(super) fn style(args: &VerifyArgs) -> ladder::Style {
    let terminal = terminal::is_terminal();
    ladder::Style {
        width: if terminal { terminal::width() } else { 0 },
        colour: terminal && terminal::colour(),
        ascii: args.ascii,
        full: args.full,
    }
}

//! Verdicts in the requested format.

use std::io::Write as _;

use anyhow::Result;

use crate::{
    app::terminal,
    cli::{VerdictOutput, VerifyArgs},
    verify::{Verdict, run::batch::Tested},
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
pub(super) fn many<'a>(args: &VerifyArgs, tested: &'a [Tested]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match args.output {
        VerdictOutput::Text => {
            out.write_all(text(args, tested).as_bytes())?;
        }
        VerdictOutput::Json => {
            let verdicts: Vec<_> = tested.iter().map(|tested| tested.verdict.clone()).collect();
            json::write(&verdicts, &mut out)?;
        }
        VerdictOutput::Jsonl => {
            for tested in tested {
                json::write_line(&tested.verdict, &mut out)?;
            }
        }
        VerdictOutput::Junit => {
            let case = |tested: &'a Tested| Case {
                verdict: &tested.verdict,
                why: tested.outcome.why.clone(),
            };
            let cases: Vec<_> = tested.iter().map(case).collect();
            junit::write(&cases, &mut out)?;
        }
        VerdictOutput::Svg | VerdictOutput::Mermaid => anyhow::bail!(
            "-o svg and -o mermaid show one pair: name A and B, or use text, json, jsonl or junit"
        ),
    }
    Ok(out)
}

fn text(args: &VerifyArgs, tested: &[Tested]) -> String {
    let verdicts: Vec<_> = tested.iter().map(|tested| tested.verdict.clone()).collect();
    let mut text = String::new();
    if args.full {
        for verdict in &verdicts {
            text.push_str(&ladder::draw(verdict, style(args)));
            text.push_str("\n\n");
        }
    }
    let style = style(args);
    let style = matrix::Style {
        width: style.width,
        colour: style.colour,
        ascii: style.ascii,
    };
    text.push_str(&matrix::draw(&verdicts, style));
    text.push('\n');
    if args.file.is_some() {
        text.push_str(&results(tested));
    }
    text
}

/// How many tests passed, and why the others failed.
fn results(tested: &[Tested]) -> String {
    let failed: Vec<_> = tested.iter().filter(|it| !it.outcome.passed).collect();
    let (all, failures) = (tested.len(), failed.len());
    let passed = all - failures;
    let mut text = format!("{all} tests: {passed} passed, {failures} failed\n");
    for Tested { verdict, outcome } in failed {
        let (from, to) = (&verdict.from.name, &verdict.to.name);
        let why = outcome.why.as_deref().unwrap_or_default();
        text.push_str(&format!("  {from} -> {to}: {why}\n"));
    }
    text
}

fn style(args: &VerifyArgs) -> ladder::Style {
    let terminal = terminal::is_terminal();
    ladder::Style {
        width: if terminal { terminal::width() } else { 0 },
        colour: terminal && terminal::colour(),
        ascii: args.ascii,
        full: args.full,
    }
}

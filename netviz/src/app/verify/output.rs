//! Verdicts in the requested format.

use anyhow::Result;

use crate::{
    app::terminal,
    cli::{Exit, VerdictOutput, VerifyArgs},
    verify::{Kind, Verdict, run::batch::Tested},
    views::{
        text::Style,
        verdict::{
            explain, json,
            junit::{self, Case},
            ladder, matrix, mermaid, svg,
        },
    },
};

/// One pair.
pub(super) fn one(args: &VerifyArgs, verdict: &Verdict) -> Result<Vec<u8>> {
    match args.output {
        VerdictOutput::Text => {
            let mut text = ladder::draw(verdict, style(args)) + "\n";
            if args.explain {
                text += &format!("\n{}\n", explain::draw(verdict, style(args)));
            }
            Ok(text.into_bytes())
        }
        VerdictOutput::Svg => Ok(svg::draw(verdict).into_bytes()),
        VerdictOutput::Mermaid => Ok(mermaid::draw(verdict).into_bytes()),
        _ => for_programs(args.output, &[Case::new(verdict)]),
    }
}

/// Many pairs.
pub(super) fn many(args: &VerifyArgs, tested: &[Tested]) -> Result<Vec<u8>> {
    let cases = tested.iter().map(|tested| Case {
        verdict: &tested.verdict,
        why: tested.outcome.why.clone(),
    });
    match args.output {
        VerdictOutput::Text => Ok(text(args, tested).into_bytes()),
        _ => for_programs(args.output, &cases.collect::<Vec<_>>()),
    }
}

fn for_programs(output: VerdictOutput, cases: &[Case<'_>]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut verdicts = cases.iter().map(|case| case.verdict);
    match output {
        VerdictOutput::Json => json::write(&verdicts.collect::<Vec<_>>(), &mut out)?,
        VerdictOutput::Jsonl => {
            verdicts.try_for_each(|verdict| json::write_line(verdict, &mut out))?;
        }
        VerdictOutput::Junit => junit::write(cases, &mut out)?,
        VerdictOutput::Text | VerdictOutput::Svg | VerdictOutput::Mermaid => anyhow::bail!(
            "-o svg and -o mermaid show one pair: name A and B, or use text, json, jsonl or junit"
        ),
    }
    Ok(out)
}

fn text(args: &VerifyArgs, tested: &[Tested]) -> String {
    let verdicts: Vec<_> = tested.iter().map(|tested| tested.verdict.clone()).collect();
    let mut text = String::new();
    let style = style(args);
    if args.full {
        for verdict in &verdicts {
            text.push_str(&ladder::draw(verdict, style));
            text.push_str("\n\n");
        }
    }
    text.push_str(&matrix::draw(&verdicts, style));
    text.push('\n');
    if args.file.is_some() {
        text.push_str(&results(tested));
    }
    text
}

/// The number of passed tests, and why the others failed.
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

fn style(args: &VerifyArgs) -> Style {
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

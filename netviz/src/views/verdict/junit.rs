//! JUnit XML for CI: one test case per pair.

use std::io::{self, Write};

use super::{
    ladder,
    words::{end, summary, test_label},
};
use crate::{
    verify::{Kind, Verdict},
    views::{
        svg::escape,
        text::{Style, safe},
    },
};

/// Writes a report.
///
/// A test passes as its file has it, or without one if the verdict is verified. One that does not is an
/// error if the verdict is unclear, else a failure.
pub fn write(verdicts: &[Verdict], mut out: impl Write) -> io::Result<()> {
    let unclear = |verdict: &&Verdict| verdict.verdict == Kind::Unclear;
    let failed = || verdicts.iter().filter(|verdict| !verdict.passed());
    let errors = failed().filter(unclear).count();
    let (tests, failures) = (verdicts.len(), failed().count() - errors);
    let numbers =
        format!("tests=\"{tests}\" skipped=\"0\" failures=\"{failures}\" errors=\"{errors}\"");
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"netviz\" {numbers}>")?;
    writeln!(out, "  <testsuite name=\"netviz verify\" {numbers}>")?;
    for verdict in verdicts {
        write_case(verdict, &mut out)?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn write_case(verdict: &Verdict, out: &mut impl Write) -> io::Result<()> {
    let style = Style {
        full: true,
        ..Style::default()
    };
    let ladder = escape(&ladder::draw(verdict, style));
    let name = escape(&format!(
        "{}{} -> {}",
        test_label(verdict),
        end(&verdict.from),
        end(&verdict.to)
    ));
    let protocol = verdict.probes.protocol;
    let class = protocol.map_or_else(|| "passive".into(), |protocol| protocol.to_string());
    writeln!(
        out,
        "    <testcase name=\"{name}\" classname=\"netviz.verify.{class}\">"
    )?;
    if !verdict.passed() {
        let kind = match verdict.verdict {
            Kind::Unclear => "error",
            _ => "failure",
        };
        let word = verdict.verdict.word();
        let message = escape(&message(verdict));
        writeln!(
            out,
            "      <{kind} type=\"{word}\" message=\"{message}\">{ladder}</{kind}>"
        )?;
    } else {
        writeln!(out, "      <system-out>{ladder}</system-out>")?;
    }
    writeln!(out, "    </testcase>")
}

/// Why a test did not pass, and the result.
fn message(verdict: &Verdict) -> String {
    let summary = summary(verdict);
    let why = verdict.test.as_ref().and_then(|test| test.why.as_ref());
    safe(&match why {
        None => summary,
        Some(why) => format!("{why}; {summary}"),
    })
}

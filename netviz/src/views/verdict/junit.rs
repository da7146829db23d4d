//! JUnit XML, which every CI shows: one test case per pair.

use std::io::{self, Write};

use super::{
    ladder,
    words::{end, summary},
};
use crate::{
    verify::{Kind, Verdict},
    views::{svg::escape, text::safe},
};

/// A verdict, and what became of it as a test.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// What was seen.
    pub verdict: &'a Verdict,
    /// Why it is not as it should be; `None`: passed. An unclear one is an error, not a failure.
    pub why: Option<String>,
}

impl<'a> Case<'a> {
    /// A pair of which nothing was said: it is to be verified.
    #[must_use]
    pub fn new(verdict: &'a Verdict) -> Self {
        let passed = verdict.verdict == Kind::Verified;
        Self {
            verdict,
            why: (!passed).then(|| summary(verdict)),
        }
    }
}

/// Writes a report.
///
/// # Errors
/// Those of the writer.
pub fn write(cases: &[Case<'_>], mut out: impl Write) -> io::Result<()> {
    let unclear = |case: &&Case<'_>| case.verdict.verdict == Kind::Unclear;
    let wrong = || cases.iter().filter(|case| case.why.is_some());
    let errors = wrong().filter(unclear).count();
    let numbers = format!(
        "tests=\"{}\" skipped=\"0\" failures=\"{}\" errors=\"{errors}\"",
        cases.len(),
        wrong().count() - errors
    );
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"netviz\" {numbers}>")?;
    writeln!(out, "  <testsuite name=\"netviz verify\" {numbers}>")?;
    for case in cases {
        write_case(case, &mut out)?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn protocol(verdict: &Verdict) -> String {
    let protocol = verdict.probes.protocol;
    protocol.map_or_else(|| "passive".into(), |protocol| protocol.to_string())
}

fn write_case(case: &Case<'_>, out: &mut impl Write) -> io::Result<()> {
    let verdict = case.verdict;
    let style = ladder::Style {
        full: true,
        ..ladder::Style::default()
    };
    let ladder = escape(&ladder::draw(verdict, style));
    let name = format!("{} -> {}", end(&verdict.from), end(&verdict.to));
    writeln!(
        out,
        "    <testcase name=\"{}\" classname=\"netviz.verify.{}\">",
        escape(&name),
        protocol(verdict)
    )?;
    match &case.why {
        None => writeln!(out, "      <system-out>{ladder}</system-out>")?,
        Some(why) => {
            let kind = match verdict.verdict {
                Kind::Unclear => "error",
                _ => "failure",
            };
            writeln!(
                out,
                "      <{kind} type=\"{}\" message=\"{}\">{ladder}</{kind}>",
                verdict.verdict.word(),
                escape(&message(why, verdict))
            )?;
        }
    }
    writeln!(out, "    </testcase>")
}

/// Why, and what became of the packets, where that is not the same.
fn message(why: &str, verdict: &Verdict) -> String {
    let said = summary(verdict);
    safe(&if why == said {
        said
    } else {
        format!("{why}; {said}")
    })
}

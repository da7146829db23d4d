//! JUnit XML for CI: one test case per pair.

use std::io::{self, Write};

use super::{
    ladder,
    words::{end, summary},
};
use crate::{
    verify::{Kind, Verdict},
    views::{
        svg::escape,
        text::{Style, safe},
    },
};

/// A verdict and its result as a test.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// Why the test did not pass; `None` if it passed. An unclear verdict is an error, not a failure.
    pub why: Option<String>,
}

impl<'a> Case<'a> {
    /// A test that passes if the verdict is verified.
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
pub fn write(cases: &[Case<'_>], mut out: impl Write) -> io::Result<()> {
    let unclear = |case: &&Case<'_>| case.verdict.verdict == Kind::Unclear;
    let failed = || cases.iter().filter(|case| case.why.is_some());
    let errors = failed().filter(unclear).count();
    let (tests, failures) = (cases.len(), failed().count() - errors);
    let numbers =
        format!("tests=\"{tests}\" skipped=\"0\" failures=\"{failures}\" errors=\"{errors}\"");
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"netviz\" {numbers}>")?;
    writeln!(out, "  <testsuite name=\"netviz verify\" {numbers}>")?;
    for case in cases {
        write_case(case, &mut out)?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn write_case(case: &Case<'_>, out: &mut impl Write) -> io::Result<()> {
    let verdict = case.verdict;
    let style = Style {
        full: true,
        ..Style::default()
    };
    let ladder = escape(&ladder::draw(verdict, style));
    let name = escape(&format!("{} -> {}", end(&verdict.from), end(&verdict.to)));
    let protocol = verdict.probes.protocol;
    let class = protocol.map_or_else(|| "passive".into(), |protocol| protocol.to_string());
    writeln!(
        out,
        "    <testcase name=\"{name}\" classname=\"netviz.verify.{class}\">"
    )?;
    if let Some(why) = &case.why {
        let kind = match verdict.verdict {
            Kind::Unclear => "error",
            _ => "failure",
        };
        let word = verdict.verdict.word();
        let message = escape(&message(why, verdict));
        writeln!(
            out,
            "      <{kind} type=\"{word}\" message=\"{message}\">{ladder}</{kind}>"
        )?;
    } else {
        writeln!(out, "      <system-out>{ladder}</system-out>")?;
    }
    writeln!(out, "    </testcase>")
}

/// Why a test did not pass, and the result if that is something else.
fn message(why: &str, verdict: &Verdict) -> String {
    let summary = summary(verdict);
    safe(&match why == summary {
        true => summary,
        false => format!("{why}; {summary}"),
    })
}

//! JUnit XML for CI: one test case per pair.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    ladder,
    words::{end, family, summary, test_label},
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
    for (verdict, name) in verdicts.iter().zip(names(verdicts)) {
        write_case(verdict, &name, &mut out)?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

/// The name of each test case. CI tells cases apart by their names, so no two are equal: what several
/// pairs of one test can have in common is followed by a number.
fn names(verdicts: &[Verdict]) -> Vec<String> {
    let mut known: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut unique = |verdict| {
        let name = name(verdict);
        let times = known.entry((class(verdict), name.clone())).or_default();
        *times += 1;
        match *times {
            1 => name,
            number => format!("{name} ({number})"),
        }
    };
    verdicts.iter().map(&mut unique).collect()
}

/// `web: shop/client -> shop/web port 80 (IPv6)`
fn name(verdict: &Verdict) -> String {
    let (from, to) = (end(&verdict.from), end(&verdict.to));
    let port = verdict.probes.port;
    let port = port.map_or_else(String::new, |port| format!(" port {port}"));
    let (test, family) = (test_label(verdict), family(verdict));
    format!("{test}{from} -> {to}{port}{family}")
}

fn class(verdict: &Verdict) -> String {
    let protocol = verdict.probes.protocol;
    protocol.map_or_else(|| "passive".into(), |protocol| protocol.to_string())
}

fn write_case(verdict: &Verdict, name: &str, out: &mut impl Write) -> io::Result<()> {
    let style = Style {
        full: true,
        ..Style::default()
    };
    let ladder = escape(&ladder::draw(verdict, style));
    let (name, class) = (escape(name), class(verdict));
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

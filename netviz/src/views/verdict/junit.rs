//! JUnit XML, which every CI shows: one test case per pair.

use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{ladder, summary, words::end};
use crate::{
    verify::{Kind, Verdict},
    views::text::safe,
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
    let mut suite = TestSuite::new("netviz verify");
    suite.add_test_cases(cases.iter().map(case));
    let mut report = Report::new("netviz");
    report.add_test_suite(suite);
    report.serialize(&mut out).map_err(io::Error::other)
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

fn case(case: &Case<'_>) -> TestCase {
    let verdict = case.verdict;
    let ladder = ladder::draw(
        verdict,
        ladder::Style {
            full: true,
            ..ladder::Style::default()
        },
    );
    let status = match &case.why {
        None => TestCaseStatus::success(),
        Some(why) => {
            let kind = match verdict.verdict {
                Kind::Unclear => NonSuccessKind::Error,
                _ => NonSuccessKind::Failure,
            };
            let mut status = TestCaseStatus::non_success(kind);
            status
                .set_type(verdict.verdict.word())
                .set_message(allowed(&message(why, verdict)))
                .set_description(allowed(&ladder));
            status
        }
    };
    let name = format!("{} -> {}", end(&verdict.from), end(&verdict.to));
    let mut test = TestCase::new(allowed(&name), status);
    test.set_classname(format!(
        "netviz.verify.{}",
        allowed(&safe(&verdict.probes.protocol))
    ));
    if case.why.is_none() {
        test.set_system_out(allowed(&ladder));
    }
    test
}

/// Without the two characters that XML does not have, and that are not control characters.
fn allowed(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

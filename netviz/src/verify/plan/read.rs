//! Parses a plan: YAML, with the position of each error.

use std::{fs::File, io::Read as _, path::Path};

use super::{
    PlanError,
    file::{End, Plan},
};
use crate::{model::safe, verify::protocol::Protocol};

/// The largest file to read.
pub const MOST_BYTES: u64 = 1 << 20;
const REMEDY: &str = "fix it there; format: docs/verify.md";

/// Reads a file of path tests.
///
/// # Errors
/// A file that cannot be opened, read or parsed, with the remedy.
pub fn read(path: &Path) -> Result<Plan, PlanError> {
    let name = path.display().to_string();
    let wrong = |what: String, remedy: &str| PlanError {
        place: safe(&name),
        what,
        remedy: remedy.into(),
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| {
        wrong(
            format!("cannot open the file: {error}"),
            "give the path of a readable file",
        )
    })?;
    let length = file
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            wrong(
                format!("cannot read the file: {error}"),
                "give a text file in UTF-8",
            )
        })?;
    if length as u64 > MOST_BYTES {
        return Err(wrong(
            format!("more than {MOST_BYTES} bytes"),
            "use selectors, or several files",
        ));
    }
    parse(&text, &name)
}

/// Parses a text; `name` is its name in messages.
///
/// # Errors
/// The first error, its position and the remedy.
pub fn parse(text: &str, name: &str) -> Result<Plan, PlanError> {
    let at = |line, column, what: &str| PlanError {
        place: format!("{}:{line}:{column}", safe(name)),
        what: safe(&what.split_whitespace().collect::<Vec<_>>().join(" ")),
        remedy: REMEDY.into(),
    };
    let mut plan: Plan = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let (line, column) = place.map_or((1, 1), |place| (place.line(), place.column()));
        let text = error.without_snippet().to_string();
        let position = format!(" at line {line}, column {column}");
        at(line, column, text.trim_end_matches(position.as_str()))
    })?;
    plan.file = name.to_owned();
    validate(&plan)?;
    Ok(plan)
}

/// Rejects what the format allows and makes no sense.
fn validate(plan: &Plan) -> Result<(), PlanError> {
    let wrong = |number: usize, what: &str, remedy: &str| PlanError {
        place: plan.place(number),
        what: what.into(),
        remedy: remedy.into(),
    };
    if plan.tests.is_empty() {
        return Err(PlanError {
            place: safe(&plan.file),
            what: "no tests".into(),
            remedy: REMEDY.into(),
        });
    }
    for (number, test) in plan.tests.iter().enumerate() {
        let portless = test.port.is_none() && matches!(test.to, End::Pods(_));
        match test.protocol {
            Protocol::Icmp if test.port.is_some() => {
                return Err(wrong(
                    number,
                    "icmp has no port",
                    "remove `port`, or use `protocol: tcp`",
                ));
            }
            Protocol::Tcp | Protocol::Udp if portless => {
                return Err(wrong(number, "selected pods need a port", "add `port`"));
            }
            _ => {}
        }
        if test.doors.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong(
                number,
                "an empty list of doors",
                "list some, or remove `doors`",
            ));
        }
    }
    Ok(())
}

impl Plan {
    /// The name of a test: `paths.yaml: test 2 (client to server)`.
    pub(super) fn place(&self, number: usize) -> String {
        let name = self.tests.get(number).and_then(|test| test.name.as_ref());
        let name = name.map_or_else(String::new, |name| format!(" ({})", safe(name)));
        format!("{}: test {}{name}", safe(&self.file), number + 1)
    }
}

//! Parses a plan: YAML, with the position of each error.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use super::{
    PlanError,
    file::{End, Plan},
};
use crate::{model::safe, verify::Protocol};

/// The largest file to read.
pub const MOST_BYTES: u64 = 1 << 20;
const REMEDY: &str = "fix it there; format: docs/verify.md";

/// Reads a file of path tests.
///
/// # Errors
/// A file that cannot be opened, read or parsed, with the remedy.
pub fn read(path: &Path) -> Result<Plan, PlanError> {
    let name = path.display().to_string();
    let wrong = |what: String, remedy: &str| PlanError::new(&name, what, remedy);
    let file = File::open(path).map_err(|error| {
        let what = format!("cannot open the file: {error}");
        wrong(what, "give the path of a readable file")
    })?;
    let mut text = String::new();
    let length = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    let length = length.map_err(|error| {
        let what = format!("cannot read the file: {error}");
        wrong(what, "give a text file in UTF-8")
    })?;
    if length as u64 > MOST_BYTES {
        let what = format!("more than {MOST_BYTES} bytes");
        return Err(wrong(what, "use selectors, or several files"));
    }
    parse(&text, &name)
}

/// Parses a text; `name` is its name in messages.
///
/// # Errors
/// The first error, its position and the remedy.
pub fn parse(text: &str, name: &str) -> Result<Plan, PlanError> {
    let mut plan: Plan = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let (line, column) = place.map_or((1, 1), |place| (place.line(), place.column()));
        let text = error.without_snippet().to_string();
        let position = format!(" at line {line}, column {column}");
        let words = text.trim_end_matches(position.as_str()).split_whitespace();
        let what = safe(&words.collect::<Vec<_>>().join(" "));
        PlanError::new(&format!("{name}:{line}:{column}"), what, REMEDY)
    })?;
    plan.file = name.to_owned();
    validate(&plan)?;
    Ok(plan)
}

/// Rejects what the format allows and makes no sense.
fn validate(plan: &Plan) -> Result<(), PlanError> {
    if plan.tests.is_empty() {
        return Err(PlanError::new(&plan.file, "no tests", REMEDY));
    }
    unique_names(plan)?;
    for (number, test) in plan.tests.iter().enumerate() {
        let portless = test.port.is_none() && matches!(test.to, End::Pods(_));
        let icmp = test.protocol == Protocol::Icmp;
        let (what, remedy) = if icmp && test.port.is_some() {
            ("icmp has no port", "remove `port`, or use `protocol: tcp`")
        } else if !icmp && portless {
            ("selected pods need a port", "add `port`")
        } else if test.doors.as_ref().is_some_and(Vec::is_empty) {
            ("an empty list of doors", "list some, or remove `doors`")
        } else {
            continue;
        };
        return Err(PlanError::new(&plan.place(number), what, remedy));
    }
    Ok(())
}

/// Reports identify a test by its name, so names are unique.
fn unique_names(plan: &Plan) -> Result<(), PlanError> {
    let mut lines = BTreeMap::new();
    for name in plan.tests.iter().filter_map(|test| test.name.as_ref()) {
        let (text, at) = (name.value.trim(), name.referenced);
        let place = format!("{}:{}:{}", plan.file, at.line(), at.column());
        if text.is_empty() {
            let remedy = "name the test, or remove `name`";
            return Err(PlanError::new(&place, "the name is empty", remedy));
        }
        if let Some(line) = lines.insert(text, at.line()) {
            let what = format!("the test at line {line} has the same name, {text:?}");
            return Err(PlanError::new(&place, safe(&what), "rename one of them"));
        }
    }
    Ok(())
}

impl Plan {
    /// The name of a test: `paths.yaml: test 2 (client to server)`.
    pub(super) fn place(&self, number: usize) -> String {
        let name = self.tests.get(number).and_then(|test| test.name.as_ref());
        let name = name.map_or_else(String::new, |name| format!(" ({})", name.value));
        format!("{}: test {}{name}", self.file, number + 1)
    }
}

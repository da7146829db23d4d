//! The test programs that cargo builds, and the tests in them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{self, cargo, line, succeeded};

/// Programs that run at a time, each with as many threads as there are processors: what they do for most
/// of their time is to wait for the kernel's grace periods, and that they can do together.
pub(crate) const AT_A_TIME: usize = 3;

/// Those that take longest. They begin first, so that none is left over at the end.
const LONGEST: [&str; 5] = [
    "verify_lab",
    "faults",
    "churn",
    "thousand",
    "verify_passive",
];

/// What was built of netviz and its kernel tests.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// By name.
    pub(crate) tests: Vec<Program>,
    /// netviz as the tests start it, beside them.
    pub(crate) netviz: Option<PathBuf>,
}

/// A test file's program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Program {
    /// Of the file.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Of its package: cargo runs it there.
    pub(crate) directory: PathBuf,
}

/// Builds the test programs of the ordinary run.
pub(crate) fn build() -> Result<Programs> {
    let mut build = cargo();
    // Together: alone, either would be built once more, with the features that it has alone.
    build.args([
        "test",
        "--no-run",
        "-p",
        "netviz",
        "-p",
        "netviz-tests",
        "--test",
        "*",
    ]);
    build.arg("--message-format=json-render-diagnostics");
    let output = build
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", line(&build)))?;
    succeeded(&build, output.status)?;
    let mut programs = Programs::default();
    for message in String::from_utf8_lossy(&output.stdout).lines() {
        programs.take(message);
    }
    programs.tests.sort();
    Ok(programs)
}

impl Programs {
    /// Takes in one of cargo's messages.
    fn take(&mut self, message: &str) {
        let Ok(message) = serde_json::from_str::<Value>(message) else {
            return;
        };
        let target = &message["target"];
        let (Some(path), Some(name)) = (message["executable"].as_str(), target["name"].as_str())
        else {
            return;
        };
        let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
        match target["kind"][0].as_str() {
            Some("test") => self.tests.push(Program {
                name: name.into(),
                path: path.into(),
                directory: manifest.parent().unwrap_or(manifest).into(),
            }),
            Some("bin") if name == "netviz" && message["profile"]["test"] == false => {
                self.netviz = Some(path.into())
            }
            _ => {}
        }
    }
}

impl Program {
    /// Its place in the order in which they begin; many share the last one.
    pub(crate) fn rank(&self) -> usize {
        let place = LONGEST.iter().position(|name| *name == self.name);
        place.unwrap_or(LONGEST.len())
    }

    /// Runs it as cargo would.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .current_dir(&self.directory)
            .env("CARGO_MANIFEST_DIR", &self.directory)
            .stdin(Stdio::null());
        command
    }

    /// Its tests that are not ignored.
    pub(crate) fn functions(&self) -> Result<Vec<String>> {
        let list = |more: &[&str]| -> Result<Vec<String>> {
            let mut list = Command::new(&self.path);
            let text = process::read(list.args(["--list", "--format", "terse"]).args(more))?;
            Ok(text
                .lines()
                .filter_map(|line| line.strip_suffix(": test"))
                .map(str::to_owned)
                .collect())
        };
        let ignored: BTreeSet<_> = list(&["--ignored"])?.into_iter().collect();
        Ok(list(&[])?
            .into_iter()
            .filter(|name| !ignored.contains(name))
            .collect())
    }
}

/// Whether something of this name was asked for: it contains one of `filters`, or there is none.
pub(crate) fn is_asked_for(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Whether `file::function` is a test of `tests/tests`, or `lib::path::function` one of netviz's own.
#[cfg(test)]
pub(crate) fn is_test(name: &str) -> bool {
    let Some((file, path)) = name.split_once("::") else {
        return false;
    };
    let (source, function) = match path.rsplit_once("::tests::") {
        Some((module, function)) if file == "lib" => (
            format!("netviz/src/{}.rs", module.replace("::", "/")),
            function,
        ),
        // A test of several files is a directory.
        _ => match path.split_once("::") {
            Some((module, function)) => (format!("tests/tests/{file}/{module}.rs"), function),
            None => (format!("tests/tests/{file}.rs"), path),
        },
    };
    let text = std::fs::read_to_string(process::root().join(source)).unwrap_or_default();
    let mut lines = text.lines().map(str::trim_start);
    // Attributes may stand between the two.
    let tests = std::iter::from_fn(|| {
        lines.find(|line| *line == "#[test]")?;
        lines.find_map(|line| line.strip_prefix("fn "))
    });
    tests
        .map(|rest| rest.split('(').next())
        .any(|found| found == Some(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_known_by_name() {
        assert!(
            is_test("faults::endings::sigkill")
                && is_test("lib::sys::netlink::tests::an_interrupted_dump_is_said")
                && is_test("verify_judge::properties::hidden_doors_are_never_verified")
        );
        for none in [
            "faults::endings::netviz",
            "faults::endings::sig",
            "nothing::sigkill",
            "verify_judge::hidden_doors_are_never_verified",
            "faults",
            "lib::sys::netlink::tests::x",
        ] {
            assert!(!is_test(none), "{none}");
        }
    }

    #[test]
    fn what_takes_longest_is_there() {
        for name in LONGEST {
            let places = [format!("{name}.rs"), format!("{name}/main.rs")];
            let there = |place: &String| process::root().join("tests/tests").join(place).is_file();
            assert!(places.iter().any(there), "there is no {name}");
        }
    }

    /// What the documentation of safety names must not rot.
    #[test]
    fn the_tests_that_show_safety_are_there() {
        let text = std::fs::read_to_string(process::root().join("docs/safety.md")).unwrap();
        let names: Vec<_> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.contains("::"))
            .collect();
        let missing: Vec<_> = names
            .iter()
            .filter(|name| **name != "file::function" && !is_test(name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(names.len() > 30, "{names:?}");
    }

    #[test]
    fn test_programs_are_told_from_other_programs() {
        let mut programs = Programs::default();
        for message in [
            r#"{"target":{"name":"faults","kind":["test"]},"profile":{"test":true},"executable":"/t/faults","manifest_path":"/w/tests/Cargo.toml"}"#,
            r#"{"target":{"name":"netviz","kind":["lib"]},"profile":{"test":false},"executable":null}"#,
            r#"{"target":{"name":"netviz","kind":["bin"]},"profile":{"test":true},"executable":"/t/wrong"}"#,
            r#"{"target":{"name":"netviz","kind":["bin"]},"profile":{"test":false},"executable":"/t/netviz"}"#,
            "not json",
        ] {
            programs.take(message);
        }
        let faults = Program {
            name: "faults".into(),
            path: "/t/faults".into(),
            directory: "/w/tests".into(),
        };
        assert_eq!(programs.tests, [faults]);
        assert_eq!(programs.netviz.as_deref(), Some(Path::new("/t/netviz")));
    }
}

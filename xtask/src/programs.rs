//! The test programs that cargo builds, and their tests.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{self, cargo, line, succeeded};

/// Programs that run at once, each with a thread per processor: they mostly wait for RCU grace periods,
/// which they share.
pub(crate) const AT_A_TIME: usize = 3;

/// The slowest programs. They start first, so that none of them runs last by itself.
const LONGEST: [&str; 5] = [
    "verify_lab",
    "faults",
    "churn",
    "thousand_pairs",
    "verify_passive",
];

/// The built netviz and test programs.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// By name.
    pub(crate) tests: Vec<Program>,
    /// The netviz that the tests start, beside them.
    pub(crate) netviz: Option<PathBuf>,
}

/// A test file's program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Program {
    /// Name of the file.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Directory of its package, in which cargo runs it.
    pub(crate) directory: PathBuf,
}

/// Builds the test programs of the ordinary run.
pub(crate) fn build() -> Result<Programs> {
    let mut build = cargo();
    // Both packages at once: separately, each would be rebuilt with other features of its dependencies.
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
        programs.read(message);
    }
    programs.tests.sort();
    Ok(programs)
}

impl Programs {
    /// Reads one of cargo's messages.
    fn read(&mut self, message: &str) {
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
    /// Returns its rank in the starting order; many share the last one.
    pub(crate) fn rank(&self) -> usize {
        let place = LONGEST.iter().position(|name| *name == self.name);
        place.unwrap_or(LONGEST.len())
    }

    /// Returns a command that runs it as cargo does.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .current_dir(&self.directory)
            .env("CARGO_MANIFEST_DIR", &self.directory)
            .stdin(Stdio::null());
        command
    }

    /// Lists its tests that are not ignored.
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

/// Returns whether the name contains one of `filters`, or there are none.
pub(crate) fn is_asked_for(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Returns whether `file::function` is a test in `tests/tests`, or `lib::path::function` one in netviz.
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
        // A test with several files is a directory.
        _ => match path.split_once("::") {
            Some((module, function)) => (format!("tests/tests/{file}/{module}.rs"), function),
            None => (format!("tests/tests/{file}.rs"), path),
        },
    };
    let text = std::fs::read_to_string(process::root().join(source)).unwrap_or_default();
    let mut lines = text.lines().map(str::trim_start);
    // Attributes may follow.
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
    fn tests_are_found_by_name() {
        assert!(
            is_test("faults::cleanup::sigkill")
                && is_test("lib::sys::netlink::tests::interrupted_dump_is_reported")
                && is_test("verify_judge::properties::hidden_doors_are_never_verified")
        );
        for none in [
            "faults::cleanup::netviz",
            "faults::cleanup::sig",
            "nothing::sigkill",
            "verify_judge::hidden_doors_are_never_verified",
            "faults",
            "lib::sys::netlink::tests::x",
        ] {
            assert!(!is_test(none), "{none}");
        }
    }

    #[test]
    fn slowest_programs_exist() {
        for name in LONGEST {
            let places = [format!("{name}.rs"), format!("{name}/main.rs")];
            let there = |place: &String| process::root().join("tests/tests").join(place).is_file();
            assert!(places.iter().any(there), "no test file {name}");
        }
    }

    /// docs/safety.md names only existing tests.
    #[test]
    fn tests_in_safety_md_exist() {
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
    fn test_programs_are_recognized() {
        let mut programs = Programs::default();
        for message in [
            r#"{"target":{"name":"faults","kind":["test"]},"profile":{"test":true},"executable":"/t/faults","manifest_path":"/w/tests/Cargo.toml"}"#,
            r#"{"target":{"name":"netviz","kind":["lib"]},"profile":{"test":false},"executable":null}"#,
            r#"{"target":{"name":"netviz","kind":["bin"]},"profile":{"test":true},"executable":"/t/wrong"}"#,
            r#"{"target":{"name":"netviz","kind":["bin"]},"profile":{"test":false},"executable":"/t/netviz"}"#,
            "not json",
        ] {
            programs.read(message);
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

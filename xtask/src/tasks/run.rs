//! Runs of test programs, their output and their results.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};

use super::tally::Tally;
use crate::process::{line, seconds};

/// Result of one run of cargo or of a test program.
#[derive(Default)]
pub(super) struct Run {
    pub(super) tally: Tally,
    /// The command line, if it failed.
    failed: Option<String>,
}

impl Run {
    fn new(tally: Tally, command: &Command, status: ExitStatus) -> Self {
        let failed = || format!("`{}` failed ({status})", line(command));
        Self {
            tally,
            failed: (!status.success()).then(failed),
        }
    }

    /// Runs cargo, and copies and parses its output line by line.
    pub(super) fn of_cargo(command: &mut Command, terminal: &mut impl Write) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", line(command)))?;
        let mut tally = Tally::default();
        for output in
            BufReader::new(child.stdout.take().context("cargo has no stdout")?).split(b'\n')
        {
            let output = output?;
            tally.read(&String::from_utf8_lossy(&output));
            // A closed pipe must not end the tests.
            let _ = terminal
                .write_all(&output)
                .and_then(|()| terminal.write_all(b"\n"));
        }
        let status = child.wait()?;
        Ok(Self::new(tally, command, status))
    }

    /// Runs a test program, and prints its output at its end, so that programs that run at once do not
    /// interleave. Until then, the output is in `log`.
    pub(super) fn of_program(
        name: &str,
        command: &mut Command,
        log: &Path,
        terminal: &mut impl Write,
    ) -> Result<Self> {
        let start = Instant::now();
        let create = || format!("cannot write {}", log.display());
        let file = File::create(log).with_context(create)?;
        let stderr = file.try_clone().with_context(create)?;
        let status = command
            .stdout(file)
            .stderr(stderr)
            .status()
            .with_context(|| format!("cannot start `{}`", line(command)))?;
        let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
        let mut tally = Tally::default();
        for line in String::from_utf8_lossy(&text).lines() {
            tally.read(line);
        }
        let run = Self::new(tally, command, status);
        // With a filter, most programs run no test.
        if run.failed.is_some() || run.tally != Tally::default() {
            // In one write: others print meanwhile.
            let head = format!("\n{name}, in {}:\n", seconds(start.elapsed()));
            let all = [head.as_bytes(), &text].concat();
            // A closed pipe must not end the tests.
            let _ = terminal.write_all(&all);
        }
        Ok(run)
    }

    /// Returns what is wrong besides failed tests. With a filter, a run may be empty.
    pub(super) fn complaint(&self, name: &str, may_be_empty: bool) -> Option<String> {
        let Self { tally, failed } = self;
        match failed {
            Some(failed) if tally.failed == 0 => Some(failed.clone()),
            None if !may_be_empty && tally.executed() == 0 => {
                Some(format!("no test of {name} was executed"))
            }
            _ => None,
        }
    }

    /// Like [`Self::complaint`], for one test program. Without a filter it has tests, possibly all ignored;
    /// one that exits with 0 and prints no result has failed.
    pub(super) fn complaint_of_program(&self, name: &str, is_filtered: bool) -> Option<String> {
        let is_silent = self.tally.executed() + self.tally.ignored == 0;
        let silence = || format!("{name} ended without printing results");
        self.complaint(name, true)
            .or_else(|| (is_silent && !is_filtered).then(silence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(passed: u64, failed: u64, status: Option<&str>) -> Run {
        let tally = Tally {
            passed,
            failed,
            ..Tally::default()
        };
        Run {
            tally,
            failed: status.map(Into::into),
        }
    }

    #[test]
    fn passed_run_has_no_complaint() {
        assert_eq!(run(3, 0, None).complaint("x", false), None);
    }

    #[test]
    fn run_without_tests_fails_unless_filtered() {
        let message = run(0, 0, None).complaint("x", false);
        assert_eq!(message.as_deref(), Some("no test of x was executed"));
        assert_eq!(run(0, 0, None).complaint("x", true), None);
    }

    #[test]
    fn interrupted_run_fails_without_a_failed_test() {
        let message = run(3, 0, Some("cargo failed")).complaint("x", true);
        assert_eq!(message.as_deref(), Some("cargo failed"));
    }

    #[test]
    fn program_without_results_fails_unless_filtered() {
        let silent = run(0, 0, None);
        let message = silent.complaint_of_program("x", false);
        assert_eq!(message.as_deref(), Some("x ended without printing results"));
        assert_eq!(silent.complaint_of_program("x", true), None);
        // Reported once.
        let message = run(0, 0, Some("x failed")).complaint_of_program("x", false);
        assert_eq!(message.as_deref(), Some("x failed"));
        let mut ignored = run(0, 0, None);
        ignored.tally.ignored = 4;
        for fine in [ignored, run(3, 0, None), run(2, 1, Some("x failed"))] {
            assert_eq!(fine.complaint_of_program("x", false), None);
        }
    }

    #[test]
    fn failed_tests_are_listed_once() {
        assert_eq!(run(3, 1, Some("cargo failed")).complaint("x", true), None);
    }

    #[test]
    fn output_is_counted_and_status_kept() {
        let script = "echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored'; exit 101";
        let mut output = Vec::new();
        let run = Run::of_cargo(Command::new("sh").args(["-c", script]), &mut output).unwrap();
        assert_eq!(
            output,
            b"test result: FAILED. 2 passed; 1 failed; 0 ignored\n"
        );
        assert_eq!((run.tally.passed, run.tally.failed), (2, 1));
        assert!(run.failed.is_some());
    }

    #[test]
    fn output_of_a_program_is_logged_and_counted() {
        let log = std::env::temp_dir().join(format!("netviz-run-{}", std::process::id()));
        let script = "echo said >&2; echo 'test result: ok. 2 passed; 0 failed; 1 ignored'";
        let mut command = Command::new("sh");
        let mut output = Vec::new();
        let command = command.args(["-c", script]);
        let run = Run::of_program("x", command, &log, &mut output).unwrap();
        let text = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        let output = String::from_utf8(output).unwrap();
        assert!(
            output.starts_with("\nx, in ") && output.ends_with(&text),
            "{output}"
        );
        assert_eq!((run.tally.passed, run.tally.ignored), (2, 1));
        assert_eq!(run.failed, None);
    }
}

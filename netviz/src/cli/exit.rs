//! Exit codes, with one meaning in every command.

use std::process::ExitCode;

/// The table for `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0  success: verified, or no finding
  1  a finding: a detour or a loss (verify), or a finding at or above --fail-on (audit)
  2  could not tell: unclear (verify), an interface that could not be inspected (audit) or that is blind
     (map, and doors if it prints once), an error, or wrong usage";

/// How a command ended, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It did its work, and found no problem.
    Success,
    /// It could not tell, as after every error.
    Unclear,
    /// It found a problem.
    Finding,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Finding => 1,
            Exit::Unclear => 2,
        })
    }
}

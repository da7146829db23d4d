//! Child processes: start, wait, report.

use std::{
    env,
    fmt::Display,
    io::Read as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Runs `work`, and prints a line before and one with the time after.
pub(crate) fn step<T>(what: impl Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
    log(format_args!("{what} ..."));
    let start = Instant::now();
    let result = work();
    let end = if result.is_ok() { "done" } else { "failed" };
    log(format_args!(
        "{what}: {end} in {}",
        seconds(start.elapsed())
    ));
    result
}

/// Runs `work` on all items, `at_a_time` at once, and returns the results in order. Items also start in
/// order: the slowest ones should come first.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    at_a_time: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let queue = Mutex::new(items.iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let mut done = Vec::new();
        while let Some((place, item)) = next() {
            done.push((place, work(item)));
        }
        done
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time.min(items.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        ended
            .flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    done.sort_by_key(|&(place, _)| place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Prints a line to stderr; stdout belongs to the child processes.
pub(crate) fn log(line: impl Display) {
    eprintln!("xtask: {line}");
}

/// Formats a duration in seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Returns a command for the cargo that runs this program, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Returns a command for a program of another toolchain, in the root of the workspace.
pub(crate) fn rustup_run(toolchain: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", toolchain, program])
        .current_dir(root());
    // cargo sets these for children of its own toolchain.
    for name in [
        "CARGO",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().unwrap_or(&own).to_owned()
}

/// Returns cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a program that writes to the terminal; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    succeeded(command, status)
}

/// Runs a program and returns its stdout; if it fails, its stderr is the error.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", line(command), gist(&stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that may hang, such as a download, with a time limit.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            // Text before a read error is still useful.
            let _ = stderr.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            let stderr = reader.join().unwrap_or_default();
            bail!("`{}` failed: {}", line(command), gist(&stderr));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("`{}` timed out after {}", line(command), seconds(limit));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns an error with command line and status unless the status is success.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Formats a command as typed, without its environment.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// Returns the line of stderr that explains a failure: the first error, or the last line.
fn gist(stderr: &str) -> &str {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    lines()
        .find(|line| line.starts_with("error") || line.starts_with("E: "))
        .or_else(|| lines().next_back())
        .unwrap_or("no message on stderr")
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn gist_is_the_first_error() {
        let stderr = "info: syncing\nerror: no network\n\nCaused by:\n  timeout\n";
        assert_eq!(gist(stderr), "error: no network");
        assert_eq!(
            gist("W: old lists\nE: Could not get lock\n"),
            "E: Could not get lock"
        );
    }

    #[test]
    fn gist_is_the_last_line_without_an_error() {
        assert_eq!(gist("first\nlast\n\n"), "last");
        assert_eq!(gist(""), "no message on stderr");
    }

    #[test]
    fn two_run_at_a_time_with_results_in_order() {
        // The barrier opens only if two run at once.
        let together = Barrier::new(2);
        let tens = side_by_side(&[3, 1, 2, 4], 2, |item| {
            together.wait();
            item * 10
        });
        assert_eq!(tens, [30, 10, 20, 40]);
        assert!(side_by_side(&[0; 0], 2, |item| *item).is_empty());
    }

    #[test]
    fn hanging_program_is_killed_at_the_limit() {
        let start = Instant::now();
        let error = run_within(Duration::from_millis(100), Command::new("sleep").arg("60"));
        assert_eq!(
            error.unwrap_err().to_string(),
            "`sleep 60` timed out after 0.1 s"
        );
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn failure_names_the_command_and_its_stderr() {
        let error = read(Command::new("sh").args(["-c", "echo error: closed >&2; exit 3"]));
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("failed: error: closed"), "{error}");
    }
}

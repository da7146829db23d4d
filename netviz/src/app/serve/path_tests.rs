//! Runs path tests again and again, each run as a `netviz verify` of its own.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Command,
    sync::{oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    app::launcher,
    cli::ServeArgs,
    sys::{descriptors, privileges, threads::Worker},
    verify::plan,
    views::metrics::{PairResult, PathTests},
};

/// How long a run may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(5);

/// The thread that runs the tests; ends with it.
pub(super) type Tester = Worker<(), oneshot::Sender<()>>;

/// Starts a thread with the privileges that `verify` needs; to be called with all privileges.
///
/// # Errors
/// When the file is no plan, or the thread cannot be started.
pub(super) fn start(file: &Path, args: &ServeArgs) -> Result<(Tester, watch::Receiver<PathTests>)> {
    plan::read(file)?;
    let file = file
        .to_str()
        .context("--paths: the name of the file is not UTF-8")?;
    let selection = args.selection.command_line();
    let command = ["verify", "-o", "jsonl", "--file", file].map(String::from);
    let arguments = [&command[..], &selection].concat();
    let (every, (results, receiver)) = (args.every, watch::channel(PathTests::default()));
    let (end, ended) = oneshot::channel();
    let tester = Worker::until(end, "netviz-paths", "runs path tests", move || {
        privileges::keep_only(&launcher::privileges());
        match descriptors::runtime() {
            Ok(runtime) => runtime.block_on(repeat(&arguments, every, &results, ended)),
            Err(error) => log::error!("no path tests: {error}"),
        }
    })?;
    Ok((tester, receiver))
}

async fn repeat(
    arguments: &[String],
    every: Duration,
    results: &watch::Sender<PathTests>,
    mut ended: oneshot::Receiver<()>,
) {
    let mut due = interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            _ = &mut ended => return,
        }
        let started = Instant::now();
        let pairs = match run(arguments, &mut ended).await {
            Ok(Some(output)) => parse(&output),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let at = Timestamp::now().as_millisecond() as f64 / 1e3;
        results.send_modify(|results| match &pairs {
            Ok(pairs) => results.add(pairs, at),
            Err(error) => {
                log::warn!(
                    "the path tests failed after {:.1?}: {error:#}",
                    started.elapsed()
                );
                results.fail();
            }
        });
    }
}

/// One run; `None` if it was stopped.
async fn run(arguments: &[String], ended: &mut oneshot::Receiver<()>) -> Result<Option<Output>> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().context("cannot start netviz verify")?;
    let process = child.id();
    let mut output = std::pin::pin!(child.wait_with_output());
    tokio::select! {
        output = &mut output => return Ok(Some(output?)),
        _ = ended => {}
    }
    if let Some(process) = process {
        let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGTERM);
    }
    let _ = timeout(ENDING, output).await;
    Ok(None)
}

/// The verdicts of a run; the exit code says no more than they do.
fn parse(output: &Output) -> Result<Vec<PairResult>> {
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let pairs: Vec<PairResult> = lines
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()?;
    if pairs.is_empty() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{}", error.trim().lines().last().unwrap_or("no output"));
    }
    Ok(pairs)
}

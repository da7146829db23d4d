//! `netviz demo`: a cluster in network namespaces, with traffic, and a command to observe it.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::Instant,
};

use anyhow::{Context as _, Error, Result, anyhow};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::preflight;
use crate::{
    cli::{DemoArgs, Exit, NETNS_VARIABLE},
    lab::{Lab, Options, Traffic},
    sys::{signals::Signals, stderr::KeptStderr},
    views::text::list,
};

/// Creates the lab, runs the command, removes the lab. The exit code is the command's.
///
/// # Errors
/// When the lab cannot be created or the command cannot be run.
pub async fn run(args: &DemoArgs) -> Result<ExitCode> {
    preflight::check()?;
    // The command may draw on the terminal.
    let log = KeptStderr::start().context("cannot keep the log of the lab")?;
    match in_lab(args, log.as_ref()).await {
        Ok(status) => Ok(exit_code(status?)),
        Err(error) => Err(saved(error, log.as_ref())),
    }
}

/// The result of the command; an error outside of it is the lab's.
async fn in_lab(args: &DemoArgs, log: Option<&KeptStderr>) -> Result<Result<ExitStatus>> {
    let options = Options {
        mode: args.mode,
        attach: args.attach,
        ipv6: args.ipv6,
        extra_pods_per_node: args.pods,
    };
    let start = Instant::now();
    let lab = Lab::up(&options).context("cannot create the lab")?;
    let traffic = (!args.quiet).then(|| Traffic::start(&lab)).transpose()?;
    let (stderr, kept): (File, _) = match log {
        Some(log) => {
            let kept = format!(
                "; the log of the lab is in {} and is printed then",
                log.path()
            );
            (log.before()?, kept)
        }
        None => (
            io::stderr().as_fd().try_clone_to_owned()?.into(),
            String::new(),
        ),
    };
    let _ = writeln!(
        &stderr,
        "netviz: {} nodes and {} pods are up after {:.1} s, mode {}; they are removed when the command ends{kept}",
        lab.nodes().len(),
        lab.pods().len(),
        start.elapsed().as_secs_f64(),
        args.mode
    );
    let status = command(args, &lab, stderr).await;
    drop(traffic);
    lab.down().context("cannot remove the lab")?;
    Ok(status)
}

/// The error, with the file to which the log of the lab was written.
fn saved(error: Error, log: Option<&KeptStderr>) -> Error {
    let saved = log.map(|log| log.save(&format!("netviz: {error:#}")));
    match saved {
        Some(Ok(path)) => {
            anyhow!("{error:#}; the log of the lab is in {}", path.display())
        }
        _ => error,
    }
}

async fn command(args: &DemoArgs, lab: &Lab, stderr: File) -> Result<ExitStatus> {
    let own = std::env::current_exe().context("cannot find the netviz binary")?;
    let (program, rest) = match args.command.split_first() {
        Some((program, rest)) => (program.clone(), rest),
        None => (own.clone().into_os_string(), [].as_slice()),
    };
    let nodes = list(lab.nodes().iter().map(|node| node.pid), ",");
    let mut command = Command::new(&program);
    command
        .args(rest)
        .env("PATH", path(own))
        .env(NETNS_VARIABLE, nodes)
        .stderr(stderr);
    // Before the command starts: a signal can come at any moment from now on.
    let signals = Signals::new()?;
    let child = command.spawn();
    let child = child.map_err(|error| {
        let program = program.to_string_lossy();
        anyhow!("cannot run {program}: {error}; give a program that exists: netviz demo -- PROGRAM")
    })?;
    wait(signals, child).await
}

/// A PATH in which the command finds this netviz.
fn path(own: PathBuf) -> OsString {
    let own = own.parent().map(PathBuf::from);
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let paths = own.into_iter().chain(std::env::split_paths(&inherited));
    std::env::join_paths(paths).unwrap_or(inherited)
}

/// Waits for the command. Signals for netviz are passed on to the command.
async fn wait(mut signals: Signals, mut child: Child) -> Result<ExitStatus> {
    // The terminal itself sends Ctrl-C to the command.
    let shared = io::stdin().is_terminal();
    loop {
        tokio::select! {
            status = child.wait() => return status.context("cannot wait for the command"),
            _ = signals.interrupt.recv() => if !shared { pass_on(&child, Signal::SIGINT) },
            _ = signals.terminate.recv() => pass_on(&child, Signal::SIGTERM),
            _ = signals.hangup.recv() => pass_on(&child, Signal::SIGHUP),
        }
    }
}

fn pass_on(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    let code = code.and_then(|code| u8::try_from(code).ok());
    code.map_or(Exit::Unclear.into(), ExitCode::from)
}

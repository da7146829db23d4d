//! `netviz demo`: the blog's cluster, with traffic, and a command that looks at it.

use std::{
    ffi::OsString,
    io::{IsTerminal as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::Instant,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::preflight;
use crate::{
    cli::{DemoArgs, NETNS_VARIABLE},
    lab::{Lab, Options, Traffic},
    sys::signals::Signals,
};

/// Brings the laboratory up, runs the command, takes the laboratory down; the exit code is the
/// command's.
///
/// # Errors
/// When the laboratory cannot be brought up or the command cannot be run.
pub async fn run(args: &DemoArgs) -> Result<ExitCode> {
    preflight::check()?;
    let options = Options {
        mode: args.mode,
        attach: args.attach,
        ipv6: args.ipv6,
        extra_pods_per_node: args.pods,
    };
    let start = Instant::now();
    let lab = Lab::up(&options).context("cannot bring the laboratory up")?;
    let traffic = (!args.quiet).then(|| Traffic::start(&lab)).transpose()?;
    say(&format!(
        "{} nodes and {} pods are up after {:.1} s, mode {}; they are gone when the command ends",
        lab.nodes().len(),
        lab.pods().len(),
        start.elapsed().as_secs_f64(),
        args.mode
    ));
    let status = command(args, &lab).await;
    drop(traffic);
    lab.down().context("cannot take the laboratory down")?;
    Ok(exit_code(status?))
}

async fn command(args: &DemoArgs, lab: &Lab) -> Result<ExitStatus> {
    let own = std::env::current_exe().context("cannot find the netviz binary")?;
    let mut words = args.command.iter().cloned();
    let (program, rest) = match words.next() {
        Some(program) => (program, words.collect::<Vec<_>>()),
        None => (own.clone().into_os_string(), Vec::new()),
    };
    let nodes: Vec<_> = lab
        .nodes()
        .iter()
        .map(|node| node.pid.to_string())
        .collect();
    let mut command = Command::new(&program);
    command
        .args(rest)
        .env("PATH", path(own))
        .env(NETNS_VARIABLE, nodes.join(","));
    // Before the command: it may be there, and netviz be told to end, at any moment from now on.
    let signals = Signals::new()?;
    let child = command.spawn();
    let child = child.with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
    wait(signals, child).await
}

/// The command finds this very netviz under its name.
fn path(own: PathBuf) -> OsString {
    let own = own.parent().map(PathBuf::from);
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let paths = own.into_iter().chain(std::env::split_paths(&inherited));
    std::env::join_paths(paths).unwrap_or(inherited)
}

/// Waits for the command. What ends netviz ends the command first: the laboratory goes last.
async fn wait(mut signals: Signals, mut child: Child) -> Result<ExitStatus> {
    // A Ctrl-C at a terminal reaches the command by itself.
    let shared = std::io::stdin().is_terminal();
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
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "netviz: {text}");
}

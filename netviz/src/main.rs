//! The `netviz` command.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use netviz::{
    app, attach,
    cli::{self, Cli, Command, Exit},
    sys::descriptors,
};

fn main() -> ExitCode {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        // kube logs whole answers of a server; the source of names reports the error.
        .filter_module("kube_client", log::LevelFilter::Off)
        .filter_module("kube_runtime", log::LevelFilter::Off)
        // aya warns that it cannot raise the limit of locked memory; where that matters, loading fails.
        .filter_module("aya::sys::bpf", log::LevelFilter::Error)
        .parse_env("NETVIZ_LOG")
        .target(env_logger::Target::Pipe(Box::new(io::stderr())))
        .format(|out, record| writeln!(out, "netviz: {}", record.args()))
        .init();
    let result = match env::args_os().nth(1) {
        // Started by `--fast-attach`; not a command for people, so not one of `Cli`.
        Some(command) if command == attach::GUARD_COMMAND => guard(),
        _ => run(cli::parse()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed as well.
            let _ = writeln!(io::stderr(), "netviz: {}", one_line(&error));
            Exit::Unclear.into()
        }
    }
}

fn guard() -> Result<ExitCode> {
    attach::expedite_guard().context("the RCU guard")?;
    Ok(Exit::Success.into())
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => return Ok(block_on(app::live::run(&cli.doors))?.into()),
        Some(Command::Doors(args)) => return Ok(block_on(app::doors::run(&args))?.into()),
        Some(Command::Flows(args)) => return Ok(block_on(app::flows::run(&args))?.into()),
        Some(Command::Map(args)) => return Ok(block_on(app::map::run(&args))?.into()),
        Some(Command::Verify(args)) => return Ok(block_on(app::verify::run(&args))?.into()),
        Some(Command::Audit(args)) => return Ok(block_on(app::audit::run(&args))?.into()),
        Some(Command::Serve(args)) => block_on(app::serve::run(&args))?,
        Some(Command::Demo(args)) => return block_on(app::demo::run(&args)),
        Some(Command::Schema(args)) => app::generate::schema(args.form)?,
        Some(Command::Completions(args)) => app::generate::completions(args.shell)?,
        Some(Command::Man(args)) => app::generate::man(&args.directory)?,
    }
    Ok(Exit::Success.into())
}

/// Runs a command on this thread; code that enters a namespace runs on other threads.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    descriptors::are_enough_to_start().context("cannot start")?;
    let runtime = descriptors::runtime().context("cannot start the asynchronous runtime")?;
    runtime.block_on(work)
}

/// The error and its causes in one line, for logs.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

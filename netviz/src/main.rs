//! The `netviz` command.

use std::{
    io::{ErrorKind, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use netviz::{
    app, attach,
    cli::{Cli, Command, SchemaForm},
    sys::descriptors,
    views::{audit, building, json, verdict},
};

fn main() -> ExitCode {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        // kube repeats what a server wrote, all of it, and what is wrong is said by the source.
        .filter_module("kube_client", log::LevelFilter::Off)
        .filter_module("kube_runtime", log::LevelFilter::Off)
        // That the limit of locked memory cannot be raised: where it matters, the error says so.
        .filter_module("aya::sys::bpf", log::LevelFilter::Error)
        .parse_env("NETVIZ_LOG")
        .target(env_logger::Target::Pipe(Box::new(app::Aside)))
        .format(|out, record| writeln!(out, "netviz: {}", record.args()))
        .init();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => complain(&error, FAILED),
    }
}

/// Exit code of a command that could not do its work ...
const FAILED: u8 = 1;
/// ... and of one that says by a 1 what it has found.
const CANNOT: u8 = 2;

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    // Standard error may be closed as well.
    let _ = writeln!(std::io::stderr(), "netviz: {}", one_line(error));
    code.into()
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => wait_for(app::live::run(&cli.doors))?,
        Some(Command::Doors(args)) => wait_for(app::doors::run(&args))?,
        Some(Command::Map(args)) => wait_for(app::map::run(&args))?,
        Some(Command::Verify(args)) => {
            let verified = wait_for(app::verify::run(&args));
            return Ok(verified.unwrap_or_else(|error| complain(&error, CANNOT)));
        }
        Some(Command::Demo(args)) => return wait_for(app::demo::run(&args)),
        Some(Command::Audit(args)) => {
            let audited = wait_for(app::audit::run(&args));
            return Ok(audited.unwrap_or_else(|error| complain(&error, CANNOT)));
        }
        Some(Command::Schema(args)) => {
            let schema = match args.form {
                SchemaForm::Snapshot => json::schema(),
                SchemaForm::Map => building::json::schema(),
                SchemaForm::Audit => audit::schema(),
                SchemaForm::Verdict => verdict::json::schema(),
            };
            let schema = serde_json::to_string_pretty(&schema)?;
            match writeln!(std::io::stdout(), "{schema}") {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                written => written.context("cannot write the schema")?,
            }
        }
        Some(Command::RcuGuard) => attach::expedite_guard().context("the RCU guard")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One thread for the views; those that enter namespaces are threads of their own.
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    descriptors::are_enough_to_start().context("cannot start")?;
    let runtime = descriptors::runtime().context("cannot start the asynchronous runtime")?;
    runtime.block_on(work)
}

/// The error and its causes in one line, for a log as well as for a person.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

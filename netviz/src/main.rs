//! The `netviz` command.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use netviz::{
    app,
    cli::{Cli, Command},
    trace,
    views::json,
};

fn main() -> ExitCode {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        // kube repeats what a server wrote, all of it, and what is wrong is said by the source.
        .filter_module("kube_client", log::LevelFilter::Off)
        .filter_module("kube_runtime", log::LevelFilter::Off)
        .parse_env("NETVIZ_LOG")
        .format(|out, record| writeln!(out, "netviz: {}", record.args()))
        .init();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed as well.
            let _ = writeln!(std::io::stderr(), "netviz: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => runtime()?.block_on(app::live::run(&cli.doors))?,
        Some(Command::Doors(args)) => runtime()?.block_on(app::doors::run(&args))?,
        Some(Command::Map(args)) => runtime()?.block_on(app::map::run(&args))?,
        Some(Command::Verify(args)) => return app::verify::run_to_code(&args),
        Some(Command::Demo(args)) => return runtime()?.block_on(app::demo::run(&args)),
        Some(Command::Schema) => {
            let schema = serde_json::to_string_pretty(&json::schema())?;
            let written = writeln!(std::io::stdout(), "{schema}");
            app::doors::quiet(written.context("cannot write the schema"))?;
        }
        Some(Command::RcuGuard) => trace::expedite_guard().context("the RCU guard")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One thread for the views; those that enter namespaces are threads of their own.
fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}

/// The error and its causes in one line, for a log as well as for a person.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

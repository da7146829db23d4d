//! Time from the start of netviz to the first table, and to the table in which every door counts.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use netviz::lab::{Lab, Options};
use netviz_tests::{
    cli::binary::{self, Running},
    netns::pairs,
};

use crate::figure::Figure;

const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn lab(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let lab = Lab::up(&Options::default())?;
    let nodes: Vec<_> = lab
        .nodes()
        .iter()
        .map(|node| node.pid.to_string())
        .collect();
    for (fast, goal) in [(false, Some(2.0)), (true, Some(2.0))] {
        measure(&nodes.join(","), fast, goal, "the lab", report)?;
    }
    Ok(())
}

pub(crate) fn thousand(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let namespace = pairs(500)?;
    for (fast, goal) in [(true, Some(1.0)), (false, None)] {
        measure(&namespace.name(), fast, goal, "1 000 doors", report)?;
    }
    Ok(())
}

fn measure(
    netns: &str,
    fast: bool,
    goal: Option<f64>,
    what: &str,
    report: &mut dyn FnMut(Figure),
) -> Result<()> {
    let mut command = Command::new(binary::netviz()?);
    command
        .args(["doors", "--netns", netns, "-o", "jsonl", "--watch", "50ms"])
        .args(fast.then_some("--fast-attach"))
        .stdout(Stdio::piped());
    let start = Instant::now();
    let mut running = Running::start(&mut command)?;
    let lines = BufReader::new(running.0.stdout.take().context("no stdout")?).lines();
    let mut first = None;
    let how = if fast { ", --fast-attach" } else { "" };
    for line in lines {
        let elapsed = start.elapsed();
        let (doors, counting) = doors(&line?)?;
        ensure!(doors > 0, "netviz has no doors");
        if first.replace(()).is_none() {
            let label = format!("{what}: the first rows{how}");
            report(Figure::new(label, elapsed.as_secs_f64(), "s"));
        }
        if doors == counting {
            let label = format!("{what}: all {doors} doors counting{how}");
            let figure = Figure::new(label, elapsed.as_secs_f64(), "s");
            report(Figure { goal, ..figure });
            // SIGTERM, so that netviz restores what it changed.
            let pid = nix::unistd::Pid::from_raw(running.0.id().cast_signed());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
            let start = Instant::now();
            running.0.wait()?;
            let label = format!("{what}: exit{how}");
            report(Figure::new(label, start.elapsed().as_secs_f64(), "s"));
            return Ok(());
        }
        ensure!(
            elapsed < LIMIT,
            "{counting} of {doors} doors after {LIMIT:?}"
        );
    }
    bail!("netviz ended too early")
}

/// Returns the doors in a snapshot, and the number of counted ones.
fn doors(line: &str) -> Result<(usize, usize)> {
    let snapshot: serde_json::Value = serde_json::from_str(line)?;
    let doors = snapshot["doors"].as_array().context("no doors")?;
    let counting = doors.iter().filter(|door| door["state"] == "counting");
    Ok((doors.len(), counting.count()))
}
